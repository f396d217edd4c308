//! Paths, handlers, and the `OpenAPI` document made from them.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use lb_common::api::{
    Backend, ConfigDiff, ConfigRequest, ConfigText, ConfigVersion, DetailQuery, DrainRequest,
    Finding, Health, HealthHistory, HealthTrial, Item, List, Problem, REQUEST_MAX_BYTES, Service,
    StateBackup, Status, Trace, TraceRequest, WeightRequest,
};
use serde::de::DeserializeOwned;
use utoipa::OpenApi;

use super::connections::Caller;
use super::problem::ProblemResponse;
use super::{Answer, Request, Wanted};

pub(super) type Calls = State<Caller>;

#[derive(OpenApi)]
#[openapi(
    info(title = "Load balancer control API", description = "JSON over HTTP on a Unix socket."),
    paths(
        status,
        services,
        service,
        backends,
        backend,
        weight,
        drain,
        undrain,
        health,
        health_history,
        health_trial,
        config,
        history,
        version,
        diff,
        apply,
        export,
        import,
        trace,
        doctor,
        super::events::events,
        super::live::live,
        super::metrics::metrics
    ),
    components(schemas(Problem))
)]
struct Document;

/// The `OpenAPI` document of this API.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Every path with its handler.
pub(super) fn router(caller: Caller) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/services", get(services))
        .route("/v1/services/{name}", get(service))
        .route("/v1/backends", get(backends))
        .route("/v1/backends/{pool}/{name}", get(backend))
        .route("/v1/backends/{pool}/{name}/weight", put(weight))
        .route("/v1/backends/{pool}/{name}/drain", post(drain))
        .route("/v1/backends/{pool}/{name}/undrain", post(undrain))
        .route("/v1/health", get(health))
        .route("/v1/health/{pool}", get(health_history))
        .route("/v1/health/{pool}/{name}/check", post(health_trial))
        .route("/v1/config", get(config))
        .route("/v1/config/history", get(history))
        .route("/v1/config/history/{generation}", get(version))
        .route("/v1/config/diff", post(diff))
        .route("/v1/config/apply", post(apply))
        .route("/v1/state", get(export))
        .route("/v1/state", post(import))
        .route("/v1/trace", post(trace))
        .route("/v1/doctor", get(doctor))
        .route("/v1/events", get(super::events::events))
        .route("/v1/live", get(super::live::live))
        .route("/v1/metrics", get(super::metrics::metrics))
        .route("/openapi.json", get(|| async { Json(openapi()) }))
        .fallback(|| async {
            ProblemResponse::new(
                "not_found",
                StatusCode::NOT_FOUND,
                "no such path; see /openapi.json",
            )
        })
        .method_not_allowed_fallback(|| async {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            ProblemResponse::new(
                "invalid_request",
                status,
                "no such method here; see /openapi.json",
            )
        })
        .layer(DefaultBodyLimit::max(REQUEST_MAX_BYTES))
        .with_state(caller)
}

/// Hands a request to the agent's loop and waits for its answer.
async fn ask(State(caller): Calls, request: Request) -> Response {
    answered(caller.ask(Wanted::Request(request)).await)
}

fn answered(answer: Option<Answer>) -> Response {
    match answer {
        Some(Ok(document)) => Json(document).into_response(),
        Some(Err(problem)) => ProblemResponse(problem).into_response(),
        None => {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            ProblemResponse::new("internal", status, "the agent is shutting down").into_response()
        }
    }
}

pub(super) fn invalid(title: String) -> Response {
    refused(StatusCode::BAD_REQUEST, title)
}

/// Why a body is not the document it should be.
fn unreadable(rejection: &JsonRejection) -> Response {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let title = format!("the request is larger than {REQUEST_MAX_BYTES} bytes");
        return refused(StatusCode::PAYLOAD_TOO_LARGE, title);
    }
    invalid(rejection.body_text())
}

fn refused(status: StatusCode, title: String) -> Response {
    ProblemResponse::new("invalid_request", status, title).into_response()
}

/// The names in a path. A path that is not UTF-8 is a problem document, not axum's plain text.
struct Named<T>(T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Self(names)),
            Err(rejection) => Err(invalid(rejection.body_text())),
        }
    }
}

#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Item<Status>)))]
async fn status(calls: Calls) -> Response {
    ask(calls, Request::Status).await
}

#[utoipa::path(get, path = "/v1/services", responses((status = 200, body = List<Service>)))]
async fn services(calls: Calls) -> Response {
    ask(calls, Request::Services).await
}

#[utoipa::path(get, path = "/v1/services/{name}", params(("name" = String, Path)),
    responses((status = 200, body = Item<Service>), (status = 404, body = Problem)))]
async fn service(calls: Calls, Named(name): Named<String>) -> Response {
    ask(calls, Request::Service { name }).await
}

#[utoipa::path(get, path = "/v1/backends", params(("pool" = Option<String>, Query)),
    responses((status = 200, body = List<Backend>), (status = 404, body = Problem)))]
async fn backends(calls: Calls, query: Result<Query<DetailQuery>, QueryRejection>) -> Response {
    match query {
        Ok(Query(query)) => ask(calls, Request::Backends { pool: query.pool }).await,
        Err(rejection) => invalid(rejection.body_text()),
    }
}

#[utoipa::path(get, path = "/v1/health", params(("pool" = Option<String>, Query)),
    responses((status = 200, body = List<Health>), (status = 404, body = Problem)))]
async fn health(calls: Calls, query: Result<Query<DetailQuery>, QueryRejection>) -> Response {
    match query {
        Ok(Query(query)) => ask(calls, Request::Health { pool: query.pool }).await,
        Err(rejection) => invalid(rejection.body_text()),
    }
}

#[utoipa::path(get, path = "/v1/health/{pool}", params(("pool" = String, Path)),
    responses((status = 200, body = List<HealthHistory>), (status = 404, body = Problem)))]
async fn health_history(calls: Calls, Named(pool): Named<String>) -> Response {
    ask(calls, Request::HealthHistory { pool }).await
}

#[utoipa::path(post, path = "/v1/health/{pool}/{name}/check",
    params(("pool" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Item<HealthTrial>), (status = 404, body = Problem)))]
async fn health_trial(
    State(caller): Calls,
    Named((pool, name)): Named<(String, String)>,
) -> Response {
    answered(caller.ask(Wanted::Trial { pool, name }).await)
}

#[utoipa::path(get, path = "/v1/backends/{pool}/{name}",
    params(("pool" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Item<Backend>), (status = 404, body = Problem)))]
async fn backend(calls: Calls, Named((pool, name)): Named<(String, String)>) -> Response {
    ask(calls, Request::Backend { pool, name }).await
}

#[utoipa::path(put, path = "/v1/backends/{pool}/{name}/weight", request_body = WeightRequest,
    params(("pool" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Item<Backend>), (status = 400, body = Problem),
        (status = 404, body = Problem)))]
async fn weight(
    calls: Calls,
    Named((pool, name)): Named<(String, String)>,
    body: Result<Json<WeightRequest>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(body)) => ask(calls, Request::Weight { pool, name, weight: body.weight }).await,
        Err(rejection) => unreadable(&rejection),
    }
}

#[utoipa::path(post, path = "/v1/backends/{pool}/{name}/drain",
    request_body = Option<DrainRequest>,
    params(("pool" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Item<Backend>), (status = 400, body = Problem),
        (status = 404, body = Problem)))]
async fn drain(
    calls: Calls,
    Named((pool, name)): Named<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let request = match body {
        Ok(body) if body.is_empty() => Ok(Json::default()),
        Ok(body) => Json::from_bytes(&body),
        Err(rejection) => Err(rejection.into()),
    };
    match request {
        Ok(Json(request)) => ask(calls, Request::Drain { pool, name, request }).await,
        Err(rejection) => unreadable(&rejection),
    }
}

#[utoipa::path(post, path = "/v1/backends/{pool}/{name}/undrain",
    params(("pool" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Item<Backend>), (status = 404, body = Problem)))]
async fn undrain(calls: Calls, Named((pool, name)): Named<(String, String)>) -> Response {
    ask(calls, Request::Undrain { pool, name }).await
}

#[utoipa::path(get, path = "/v1/config", responses((status = 200, body = Item<ConfigText>)))]
async fn config(calls: Calls) -> Response {
    ask(calls, Request::Config).await
}

#[utoipa::path(get, path = "/v1/config/history",
    responses((status = 200, body = List<ConfigVersion>)))]
async fn history(calls: Calls) -> Response {
    ask(calls, Request::History).await
}

#[utoipa::path(get, path = "/v1/config/history/{generation}",
    params(("generation" = u64, Path)),
    responses((status = 200, body = Item<ConfigText>), (status = 404, body = Problem)))]
async fn version(calls: Calls, Named(generation): Named<u64>) -> Response {
    ask(calls, Request::Version { generation }).await
}

#[utoipa::path(post, path = "/v1/config/diff", request_body = ConfigRequest,
    responses((status = 200, body = Item<ConfigDiff>), (status = 422, body = Problem)))]
async fn diff(calls: Calls, body: Result<Json<ConfigRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(body)) => ask(calls, Request::Diff(body)).await,
        Err(rejection) => unreadable(&rejection),
    }
}

#[utoipa::path(post, path = "/v1/config/apply", request_body = ConfigRequest,
    responses((status = 200, body = Item<ConfigDiff>), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn apply(calls: Calls, body: Result<Json<ConfigRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(body)) => ask(calls, Request::Apply(body)).await,
        Err(rejection) => unreadable(&rejection),
    }
}

#[utoipa::path(get, path = "/v1/state", responses((status = 200, body = Item<StateBackup>)))]
async fn export(calls: Calls) -> Response {
    ask(calls, Request::Export).await
}

#[utoipa::path(post, path = "/v1/state", request_body = StateBackup,
    responses((status = 200, body = Item<ConfigDiff>), (status = 422, body = Problem)))]
async fn import(calls: Calls, body: Result<Json<StateBackup>, JsonRejection>) -> Response {
    match body {
        Ok(Json(body)) => ask(calls, Request::Import(body)).await,
        Err(rejection) => unreadable(&rejection),
    }
}

#[utoipa::path(post, path = "/v1/trace", request_body = TraceRequest,
    responses((status = 200, body = Item<Trace>), (status = 400, body = Problem)))]
async fn trace(calls: Calls, body: Result<Json<TraceRequest>, JsonRejection>) -> Response {
    match body {
        Ok(Json(body)) => ask(calls, Request::Trace(body)).await,
        Err(rejection) => unreadable(&rejection),
    }
}

#[utoipa::path(get, path = "/v1/doctor", responses((status = 200, body = List<Finding>)))]
async fn doctor(calls: Calls) -> Response {
    ask(calls, Request::Doctor).await
}
