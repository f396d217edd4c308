//! Probes: one question to one backend, within its time.
//!
//! They are asked on a thread of their own ([`Prober`]): while the agent's loop builds a table or waits
//! for the kernel, answers are still taken when they come.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use axum::body::Body;
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use lb_common::config::HealthKind;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use crate::core::health::{Outcome, Probe, ProbeId};

/// What a server's log shows of us.
const AGENT: &str = concat!("lb-agent/", env!("CARGO_PKG_VERSION"));

/// What this host can run out of; it says nothing about a backend.
const OUT_OF_RESOURCES: [Errno; 5] =
    [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EADDRNOTAVAIL];

/// Raises the limit of open files as far as it may go: each check that waits has one.
pub fn raise_open_files() {
    // As it was, checks that cannot be made say so.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What a probe came to; `None` if it could not be asked.
pub type Finished = (ProbeId, Option<Outcome>);

/// The thread that asks. It ends when this is dropped.
#[derive(Debug)]
pub struct Prober {
    asked: mpsc::UnboundedSender<Probe>,
}

impl Prober {
    /// Starts it; answers come out of the receiver.
    ///
    /// # Errors
    /// There can be no thread, or no event loop for it.
    pub fn start() -> io::Result<(Self, mpsc::UnboundedReceiver<Finished>)> {
        let (asked, questions) = mpsc::unbounded_channel();
        let (answers, finished) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let ask = move || runtime.block_on(ask_all(questions, answers));
        thread::Builder::new().name("probes".to_owned()).spawn(ask)?;
        Ok((Self { asked }, finished))
    }

    /// Asks. The answer comes when it comes, or when the probe's time is over.
    pub fn ask(&self, probe: Probe) {
        // Its thread ends with this, not before.
        let _ = self.asked.send(probe);
    }
}

async fn ask_all(
    mut questions: mpsc::UnboundedReceiver<Probe>,
    answers: mpsc::UnboundedSender<Finished>,
) {
    while let Some(question) = questions.recv().await {
        let answers = answers.clone();
        tokio::spawn(async move {
            let id = question.id;
            // One that panics has come to nothing, and is due again.
            let outcome = tokio::spawn(async move { probe(&question).await }).await;
            // The loop has ended, and nobody wants to know.
            let _ = answers.send((id, outcome.unwrap_or(None)));
        });
    }
}

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

/// Asks, and says what came of it, unless this host had no means to ask. The time is that of
/// everything together, so an answer that comes drop by drop is none.
#[expect(clippy::disallowed_methods, reason = "how long the answer took is measured here")]
pub async fn probe(probe: &Probe) -> Option<Outcome> {
    let start = Instant::now();
    let limit = Duration::from_nanos(probe.timeout_ns);
    let asked = timeout(limit, ask(probe)).await;
    let result = asked.unwrap_or(Err(Failure::TimedOut(limit)));
    let took_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    match result {
        Ok(detail) => Some(Outcome { passed: true, detail, took_ns }),
        Err(Failure::Connect(error)) if is_ours(&error) => {
            warn!(%error, address = %probe.address, "a check could not be made");
            None
        }
        Err(failure) => Some(Outcome { passed: false, detail: failure.to_string(), took_ns }),
    }
}

fn is_ours(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| OUT_OF_RESOURCES.contains(&errno))
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
