//! Events as an answer: a list, or a stream of lines that goes on as they happen.

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use lb_common::api::{Event, EventsQuery, List, NDJSON_MEDIA_TYPE, Problem};

use super::connections::Kept;
use super::problem::ProblemResponse;
use super::routes::{Calls, invalid};
use crate::io::journal::{FOLLOWERS_MAX, Follower};

#[utoipa::path(get, path = "/v1/events",
    params(("since" = Option<u64>, Query, description = "Only events after the one of this number"),
        ("follow" = Option<bool>, Query, description = "Stay, and give one event a line")),
    responses((status = 200, body = List<Event>), (status = 503, body = Problem)))]
pub(super) async fn events(
    State(caller): Calls,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Response {
    let EventsQuery { since, follow } = match query {
        Ok(Query(query)) => query,
        Err(rejection) => return invalid(rejection.body_text()),
    };
    if !follow {
        return Json(caller.sources.journal.list(since)).into_response();
    }
    caller.follow(since).map_or_else(
        || {
            let title = format!("{FOLLOWERS_MAX} clients follow events already");
            ProblemResponse::new("busy", StatusCode::SERVICE_UNAVAILABLE, title).into_response()
        },
        stream_to,
    )
}

fn stream_to(following: (Follower, Kept)) -> Response {
    let pages = stream::unfold(following, |(mut follower, kept)| async {
        let lines = lines(&follower.next().await?);
        Some((Ok::<_, Infallible>(lines), (follower, kept)))
    });
    ([(header::CONTENT_TYPE, NDJSON_MEDIA_TYPE)], Body::from_stream(pages)).into_response()
}

fn lines(events: &[Event]) -> Bytes {
    let mut text = String::new();
    // Strings and numbers alone: this has no way to fail.
    for line in events.iter().flat_map(serde_json::to_string) {
        text.push_str(&line);
        text.push('\n');
    }
    text.into()
}
