//! Liveness as an answer: without the loop that it is about.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lb_common::api::{API_VERSION, Item, Live, Problem};

use super::problem::ProblemResponse;
use super::routes::Calls;
use crate::io::pulse::{Liveness, Moment};

#[utoipa::path(get, path = "/v1/live",
    responses((status = 200, body = Item<Live>), (status = 503, body = Problem)))]
pub(super) async fn live(State(caller): Calls) -> Response {
    let liveness = caller.sources.pulse.liveness(Moment::now());
    let Liveness { last, age, lag } = liveness;
    if !liveness.is_alive() {
        let title = format!("the agent's loop has not come round for {} s", age.as_secs());
        return ProblemResponse::new("internal", StatusCode::SERVICE_UNAVAILABLE, title)
            .into_response();
    }
    let milliseconds = |time: std::time::Duration| time.as_millis().try_into().unwrap_or(u64::MAX);
    let item = Live {
        last_loop_at: humantime::format_rfc3339_millis(last).to_string(),
        last_loop_age_ms: milliseconds(age),
        loop_lag_ms: milliseconds(lag),
    };
    let (api_version, kind) = (API_VERSION.to_owned(), "Live".to_owned());
    let generation = caller.sources.journal.generation();
    Json(Item { api_version, kind, generation, item }).into_response()
}
