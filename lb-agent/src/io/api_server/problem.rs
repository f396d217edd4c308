//! Problem documents as responses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lb_common::api::{PROBLEM_MEDIA_TYPE, Problem};

/// A problem on its way to the client.
#[derive(Debug)]
pub(super) struct ProblemResponse(pub(super) Problem);

impl ProblemResponse {
    /// A problem without further detail.
    pub(super) fn new(kind: &str, status: StatusCode, title: impl Into<String>) -> Self {
        Self(Problem {
            kind: kind.to_owned(),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            did_you_mean: Vec::new(),
            errors: Vec::new(),
        })
    }
}

impl IntoResponse for ProblemResponse {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        let media_type = HeaderValue::from_static(PROBLEM_MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}
