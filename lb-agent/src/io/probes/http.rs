//! HTTP/1.1 probes: one request, and whether its answer is the one that is expected.

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lb_common::config::{HttpCheck, HttpMethod, Statuses};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::steps::Steps;
use super::{AGENT, BODY_MAX_BYTES};
use crate::core::health::Probe;

/// What is wrong with an answer, or why there is none.
#[derive(Debug, Error)]
pub(super) enum HttpFailure {
    #[error("no HTTP answer: {0}")]
    NoAnswer(hyper::Error),
    #[error("cannot ask: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("the answer is {status}, expected {expected}")]
    Status { status: StatusCode, expected: Statuses },
    #[error("the body broke off after {bytes} bytes: {source}")]
    BrokenOff { bytes: usize, source: hyper::Error },
    #[error("the body, {bytes} bytes, does not have {expected:?}")]
    Body { bytes: usize, expected: String },
    #[error("the first {BODY_MAX_BYTES} bytes of the body do not have {expected:?}")]
    LongBody { expected: String },
}

/// Asks on a connection that is open.
pub(super) async fn ask<S>(
    stream: S,
    probe: &Probe,
    check: &HttpCheck,
    steps: &mut Steps,
) -> Result<String, HttpFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    steps.begin("request");
    let request = request(probe, check)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(HttpFailure::NoAnswer)?;
    // Ends when it is dropped, whatever is under way.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    steps.done(|| told(&request));
    steps.begin("answer");
    let response = sender.send_request(request).await.map_err(HttpFailure::NoAnswer)?;
    let status = response.status();
    if !check.expect_status.contains(status.as_u16()) {
        let expected = check.expect_status.clone();
        return Err(HttpFailure::Status { status, expected });
    }
    steps.done(|| status.to_string());
    if let Some(expected) = &check.expect_body {
        steps.begin("body");
        let bytes = find(response, expected).await?;
        steps.done(|| format!("has {expected:?} in its first {bytes} bytes"));
    }
    Ok(status.to_string())
}

fn request(probe: &Probe, check: &HttpCheck) -> Result<Request<Body>, hyper::http::Error> {
    let method = match check.method {
        HttpMethod::Get => Method::GET,
        HttpMethod::Head => Method::HEAD,
    };
    let host = check.host.clone().unwrap_or_else(|| probe.address.to_string());
    Request::builder()
        .method(method)
        .uri(check.path.as_str())
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Body::empty())
}

fn told(request: &Request<Body>) -> String {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    format!("{} {}, Host: {}", request.method(), request.uri(), host.unwrap_or_default())
}

/// How many bytes of the body had to be read until it had what is expected.
async fn find(response: Response<Incoming>, expected: &str) -> Result<usize, HttpFailure> {
    let mut body = response.into_body();
    let mut seen: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken_off = |source| HttpFailure::BrokenOff { bytes: seen.len(), source };
        let frame = frame.map_err(broken_off)?;
        let Some(piece) = frame.data_ref() else { continue };
        // What was looked at before has it at most in part, at its end.
        let from = seen.len().saturating_sub(expected.len());
        let room = BODY_MAX_BYTES - seen.len();
        seen.extend(piece.iter().take(room));
        let unseen = seen.get(from..).unwrap_or_default();
        if unseen.windows(expected.len()).any(|window| window == expected.as_bytes()) {
            return Ok(seen.len());
        }
        if seen.len() == BODY_MAX_BYTES {
            return Err(HttpFailure::LongBody { expected: expected.to_owned() });
        }
    }
    Err(HttpFailure::Body { bytes: seen.len(), expected: expected.to_owned() })
}
