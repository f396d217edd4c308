//! Probes: one question to one backend, within its time.

use std::io;
use std::time::{Duration, Instant};

use axum::body::Body;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use lb_common::config::HealthKind;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::core::health::{Outcome, Probe};

/// What a server's log shows of us.
const AGENT: &str = concat!("lb-agent/", env!("CARGO_PKG_VERSION"));

/// Why a backend did not do what was asked.
#[derive(Debug, Error)]
enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no HTTP answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("the answer is {0}")]
    Status(hyper::StatusCode),
    #[error("cannot ask: {0}")]
    Request(#[from] hyper::http::Error),
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
}

/// Asks, and says what came of it. The time is that of everything together, so an answer that comes
/// drop by drop is none.
#[expect(clippy::disallowed_methods, reason = "how long the answer took is measured here")]
pub async fn probe(probe: &Probe) -> Outcome {
    let start = Instant::now();
    let limit = Duration::from_nanos(probe.timeout_ns);
    let asked = timeout(limit, ask(probe)).await;
    let result = asked.unwrap_or(Err(Failure::TimedOut(limit)));
    let took_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    match result {
        Ok(detail) => Outcome { passed: true, detail, took_ns },
        Err(failure) => Outcome { passed: false, detail: failure.to_string(), took_ns },
    }
}

async fn ask(probe: &Probe) -> Result<String, Failure> {
    let stream = TcpStream::connect(probe.address).await.map_err(Failure::Connect)?;
    // Closed by a reset: thousands of checks a second would fill the ports with waiting ones.
    stream.set_zero_linger().map_err(Failure::Connect)?;
    match &probe.kind {
        HealthKind::Tcp => Ok("connected".to_owned()),
        HealthKind::Http { path } => get(stream, probe, path).await,
    }
}

async fn get(stream: TcpStream, probe: &Probe, path: &str) -> Result<String, Failure> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, probe.address.to_string())
        .header(USER_AGENT, AGENT)
        .header(CONNECTION, "close")
        .body(Body::empty())?;
    // Ends when it is dropped, whatever is under way.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    if status.is_success() { Ok(status.to_string()) } else { Err(Failure::Status(status)) }
}

#[cfg(test)]
mod tests;
