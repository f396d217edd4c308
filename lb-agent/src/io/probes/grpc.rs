//! The health protocol of gRPC, `grpc.health.v1.Health/Check`: one request over HTTP/2.
//!
//! By hand on hyper, not with tonic: the two messages have one field each, and the whole protocol
//! around them is a prefix of five bytes and a status in the trailers. tonic would bring a code
//! generator, a second HTTP stack on top of this one, and connections that it opens by itself.
//!
//! ```text
//! message HealthCheckRequest  { string service = 1; }
//! message HealthCheckResponse { ServingStatus status = 1; }
//!
//! +------------+-------------------+---------+
//! | compressed | length, big-endian| message |
//! | 1 byte     | 4 bytes           |         |
//! +------------+-------------------+---------+
//! ```

use std::error::Error as _;
use std::net::SocketAddr;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, HeaderMap, TE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use lb_common::config::GrpcCheck;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use super::steps::Steps;
use super::{AGENT, BODY_MAX_BYTES};

/// `HealthCheckResponse.ServingStatus` by number.
const SERVING_STATUSES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/// The one that passes.
const SERVING: u64 = 1;
/// Statuses of gRPC that a health check may meet, by number.
const NOT_FOUND: &str = "5";
const UNIMPLEMENTED: &str = "12";
/// Number of the only field of either message, before its kind.
const FIELD: u64 = 1;
/// Kinds of fields (Protocol Buffers Encoding, "Message Structure").
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// What is wrong with an answer, or why there is none.
#[derive(Debug, Error)]
pub(super) enum GrpcFailure {
    #[error("no gRPC answer: {0}{cause}", cause = cause(.0))]
    NoAnswer(hyper::Error),
    #[error("cannot ask: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no gRPC answer: the status of HTTP is {0}")]
    Http(StatusCode),
    #[error("the server does not know service {0:?}")]
    NotFound(String),
    #[error("the server has no health service")]
    Unimplemented,
    #[error("the status of gRPC is {code}{message}")]
    Status { code: String, message: String },
    #[error("the answer is no health response")]
    Unreadable,
    #[error("the service is {0}, expected SERVING")]
    NotServing(String),
}

/// Asks on a connection that is open.
pub(super) async fn ask<S>(
    stream: S,
    address: SocketAddr,
    check: &GrpcCheck,
    steps: &mut Steps,
) -> Result<String, GrpcFailure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    steps.begin("request");
    let request = request(address, check)?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .map_err(GrpcFailure::NoAnswer)?;
    // Ends when it is dropped, whatever is under way.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    steps.done(|| format!("{} for service {:?}", request.uri().path(), check.service));
    steps.begin("answer");
    let response = sender.send_request(request).await.map_err(GrpcFailure::NoAnswer)?;
    let status = serving_status(response, &check.service).await?;
    let name = usize::try_from(status).ok().and_then(|number| SERVING_STATUSES.get(number));
    let name = name.map_or_else(|| format!("in status {status}"), |name| (*name).to_owned());
    if status != SERVING {
        return Err(GrpcFailure::NotServing(name));
    }
    steps.done(|| name.clone());
    Ok(name)
}

fn request(address: SocketAddr, check: &GrpcCheck) -> Result<Request<Body>, hyper::http::Error> {
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let name = check.tls.as_ref().and_then(|tls| tls.server_name.clone());
    let authority = name.unwrap_or_else(|| address.to_string());
    Request::post(format!("{scheme}://{authority}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Body::from(framed(&question(&check.service))))
}

/// What the server says of the service.
async fn serving_status(response: Response<Incoming>, service: &str) -> Result<u64, GrpcFailure> {
    if response.status() != StatusCode::OK {
        return Err(GrpcFailure::Http(response.status()));
    }
    // With nothing else to say, a server sends the status in the headers.
    accepted(response.headers(), service)?;
    let mut body = response.into_body();
    let mut message: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(GrpcFailure::NoAnswer)?;
        if let Some(trailers) = frame.trailers_ref() {
            accepted(trailers, service)?;
        }
        message.extend(frame.data_ref().into_iter().flatten());
        if message.len() > BODY_MAX_BYTES {
            return Err(GrpcFailure::Unreadable);
        }
    }
    unframed(&message).and_then(answer).ok_or(GrpcFailure::Unreadable)
}

/// Refuses a status of gRPC that is not "OK".
fn accepted(headers: &HeaderMap, service: &str) -> Result<(), GrpcFailure> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(NOT_FOUND) => Err(GrpcFailure::NotFound(service.to_owned())),
        Some(UNIMPLEMENTED) => Err(GrpcFailure::Unimplemented),
        Some(code) => {
            let message = text("grpc-message").map(|message| format!(": {message}"));
            Err(GrpcFailure::Status { code: code.to_owned(), message: message.unwrap_or_default() })
        }
    }
}

/// What lies below an error of hyper: it says in which frame of HTTP/2.
fn cause(error: &hyper::Error) -> String {
    error.source().map_or_else(String::new, |source| format!(": {source}"))
}

/// A message with the prefix that goes before it.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}

/// The one message of a body, if it is whole and not compressed.
fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_first_chunk::<5>()?;
    let [0, length @ ..] = prefix else { return None };
    (usize::try_from(u32::from_be_bytes(*length)).ok()? == message.len()).then_some(message)
}

/// A `HealthCheckRequest`.
fn question(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        put_varint(&mut message, FIELD << 3 | BYTES);
        put_varint(&mut message, service.len() as u64);
        message.extend(service.as_bytes());
    }
    message
}

/// The status in a `HealthCheckResponse`; fields that are not known are stepped over.
fn answer(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        message = match tag & 7 {
            VARINT => {
                let (value, rest) = varint(rest)?;
                if tag >> 3 == FIELD {
                    status = value;
                }
                rest
            }
            FIXED_64 => rest.get(8..)?,
            FIXED_32 => rest.get(4..)?,
            BYTES => {
                let (length, rest) = varint(rest)?;
                rest.get(usize::try_from(length).ok()?..)?
            }
            _ => return None,
        };
    }
    Some(status)
}

/// Seven bits a byte, the low ones first; the high bit says that more follow.
fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            return message.push(low);
        }
        message.push(low | 0x80);
    }
}

fn varint(message: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in message.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, message.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests;
