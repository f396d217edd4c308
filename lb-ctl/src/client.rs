//! The agent's control API, from this side: JSON over HTTP/1.1 on a Unix socket.
//!
//! One connection per request and one time limit over connecting, asking and reading. Each way an
//! agent can be out of reach is an error of its own, because each has another cure. The answer is
//! kept twice: decoded, for tables, and as the tree that was sent, so that `-o json` shows fields
//! this version does not know. Commands (`cmd`) are the only callers.

mod error;
mod follow;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use lb_common::api::{API_VERSION, Problem, REQUEST_MAX_BYTES};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

pub(crate) use error::ClientError;
pub(crate) use follow::Followed;

/// Longest answer that is read. 16,384 backends take about 8 MiB.
const ANSWER_MAX_BYTES: usize = 64 << 20;

/// An answer of the agent.
pub(crate) struct Document<T> {
    /// The document as it was sent. A YAML tree, unlike a JSON one, keeps the order of fields.
    pub(crate) tree: serde_yaml::Value,
    /// The same, decoded.
    pub(crate) typed: T,
}

/// A way to one agent.
pub(crate) struct Client {
    socket: PathBuf,
    timeout: Duration,
    log: fn(&str),
    runtime: Runtime,
}

/// Status and body of an answer.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Client {
    /// A client of the agent on `socket`. Nothing is sent yet. `log` is told of each exchange.
    ///
    /// # Errors
    /// When the system gives no event queue.
    pub(crate) fn new(
        socket: &Path,
        timeout: Duration,
        log: fn(&str),
    ) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| ClientError::Runtime { source })?;
        Ok(Self { socket: socket.to_owned(), timeout, log, runtime })
    }

    /// Socket of the agent.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// When the agent cannot be reached, refuses, or answers with something else.
    pub(crate) fn fetch<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Document<T>, ClientError> {
        self.ask(&Method::GET, path, Bytes::new())
    }

    /// Asks for a change that needs no further words.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub(crate) fn post<T: DeserializeOwned>(&self, path: &str) -> Result<Document<T>, ClientError> {
        self.ask(&Method::POST, path, Bytes::new())
    }

    /// Sends a request document by `method`.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        document: &impl Serialize,
    ) -> Result<Document<T>, ClientError> {
        let body = serde_json::to_vec(document)
            .map_err(|source| ClientError::Encode { path: path.to_owned(), source })?;
        // The agent would close the connection in the middle of it, and the reason be lost.
        if body.len() > REQUEST_MAX_BYTES {
            return Err(ClientError::TooLarge { bytes: body.len() });
        }
        self.ask(method, path, body.into())
    }

    #[expect(clippy::disallowed_methods, reason = "only the edge reads a clock, and this is it")]
    fn ask<T: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Document<T>, ClientError> {
        let started = Instant::now();
        let exchange = self.exchange(method, path, body);
        let limited = async { tokio::time::timeout(self.timeout, exchange).await };
        let answer = self.runtime.block_on(limited).unwrap_or_else(|_elapsed| {
            let timeout = self.timeout;
            Err(ClientError::TimedOut { timeout, change: is_change(method, path) })
        })?;
        (self.log)(&format!(
            "{method} {path}: {}, {} bytes, {} ms",
            answer.status,
            answer.body.len(),
            started.elapsed().as_millis()
        ));
        decode(&answer, method, path)
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<Answer, ClientError> {
        let answer = self.open(method, path, body).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES)
            .collect()
            .await
            .map_err(|source| ClientError::Body { path: path.to_owned(), source })?
            .to_bytes();
        Ok(Answer { status, body })
    }

    /// Sends a request; its answer as far as the head.
    async fn open(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
    ) -> Result<hyper::Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|source| ClientError::connect(&self.socket, source))?;
        let lost = |source| ClientError::Lost { change: is_change(method, path), source };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // What goes wrong with the connection is also the result of the request below.
        tokio::spawn(connection);
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(USER_AGENT, concat!("lb-ctl/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, "application/json, application/problem+json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(body))
            .map_err(|source| ClientError::Request { path: path.to_owned(), source })?;
        sender.send_request(request).await.map_err(lost)
    }
}

/// Whether a request may have changed something although no answer came.
fn is_change(method: &Method, path: &str) -> bool {
    let asks_only = path.ends_with("/diff") || path.ends_with("/check") || path == "/v1/trace";
    method != Method::GET && !asks_only
}

fn decode<T: DeserializeOwned>(
    answer: &Answer,
    method: &Method,
    path: &str,
) -> Result<Document<T>, ClientError> {
    if !answer.status.is_success() {
        return Err(refusal(answer, method, path));
    }
    let undecodable = |source| ClientError::Undecodable { path: path.to_owned(), source };
    let tree: serde_yaml::Value = serde_json::from_slice(&answer.body).map_err(undecodable)?;
    let version = tree.get("apiVersion").and_then(serde_yaml::Value::as_str);
    if let Some(found) = version.filter(|version| *version != API_VERSION) {
        return Err(ClientError::OtherApi { found: found.to_owned() });
    }
    let typed = serde_json::from_slice(&answer.body).map_err(undecodable)?;
    Ok(Document { tree, typed })
}

/// Why an answer is not the document asked for.
fn refusal(answer: &Answer, method: &Method, path: &str) -> ClientError {
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        Err(_not_a_problem) => ClientError::Unexpected {
            method: method.clone(),
            path: path.to_owned(),
            status: answer.status,
        },
    }
}
