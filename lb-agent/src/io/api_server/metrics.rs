//! Metrics as an answer: the text that Prometheus reads.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lb_common::api::Problem;

use super::problem::ProblemResponse;
use super::routes::Calls;
use crate::io::metrics::MEDIA_TYPE;

#[utoipa::path(get, path = "/v1/metrics",
    responses((status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 503, body = Problem)))]
pub(super) async fn metrics(State(caller): Calls) -> Response {
    match caller.metrics().await {
        Ok(text) => ([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response(),
        Err(error) => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            ProblemResponse::new("internal", status, error.to_string()).into_response()
        }
    }
}
