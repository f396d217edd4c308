//! An answer that goes on: one JSON document a line, until either side has enough.

use std::future::pending;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::Method;
use lb_common::api::Event;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ANSWER_MAX_BYTES, Answer, Client, ClientError, Document, refusal};

/// How following ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Followed {
    /// The agent has ended it, or has gone.
    Ended,
    /// Whoever is being told has had enough.
    Enough,
    /// Ctrl-C, or SIGTERM.
    Interrupted,
}

impl Client {
    /// Follows events: `tell` is given each, and says whether to go on. Only the head of the answer
    /// has a time limit.
    ///
    /// # Errors
    /// When the agent cannot be reached, refuses, or sends something else; or what `tell` says.
    pub(crate) fn follow<E: From<ClientError>>(
        &self,
        path: &str,
        tell: impl FnMut(&Document<Event>) -> Result<bool, E>,
    ) -> Result<Followed, E> {
        self.runtime.block_on(async {
            let mut interrupts = Interrupts::new();
            tokio::select! {
                ended = self.read_lines(path, tell) => ended,
                () = interrupts.next() => Ok(Followed::Interrupted),
            }
        })
    }

    /// Waits a moment, for an agent that has gone; true when it was interrupted.
    pub(crate) fn pause(&self, pause: std::time::Duration) -> bool {
        self.runtime.block_on(async {
            let mut interrupts = Interrupts::new();
            tokio::time::timeout(pause, interrupts.next()).await.is_ok()
        })
    }

    async fn read_lines<E: From<ClientError>>(
        &self,
        path: &str,
        mut tell: impl FnMut(&Document<Event>) -> Result<bool, E>,
    ) -> Result<Followed, E> {
        let opened =
            tokio::time::timeout(self.timeout, self.open(&Method::GET, path, Bytes::new()));
        let timed_out = |_| ClientError::TimedOut { timeout: self.timeout, change: false };
        let answer = opened.await.map_err(timed_out)??;
        let status = answer.status();
        (self.log)(&format!("GET {path}: {status}, following"));
        let mut body = answer.into_body();
        if !status.is_success() {
            let read = Limited::new(body, ANSWER_MAX_BYTES).collect().await;
            let unread = |source| ClientError::Body { path: path.to_owned(), source };
            let answer = Answer { status, body: read.map_err(unread)?.to_bytes() };
            return Err(refusal(&answer, &Method::GET, path).into());
        }
        let mut lines = Vec::new();
        // An agent that is killed leaves an answer without its end: that is its end, too.
        while let Some(Ok(frame)) = body.frame().await {
            lines.extend(frame.into_data().unwrap_or_default());
            while let Some(end) = lines.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = lines.drain(..=end).collect();
                if !tell(&decode(&line, path)?)? {
                    return Ok(Followed::Enough);
                }
            }
        }
        Ok(Followed::Ended)
    }
}

fn decode(line: &[u8], path: &str) -> Result<Document<Event>, ClientError> {
    let undecodable = |source| ClientError::Undecodable { path: path.to_owned(), source };
    let tree = serde_json::from_slice(line).map_err(undecodable)?;
    let typed = serde_json::from_slice(line).map_err(undecodable)?;
    Ok(Document { tree, typed })
}

/// The signals that end following in good order.
struct Interrupts([Option<Signal>; 2]);

impl Interrupts {
    /// Where they cannot be had, they end the process as ever.
    fn new() -> Self {
        Self([SignalKind::interrupt(), SignalKind::terminate()].map(|kind| signal(kind).ok()))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            () = received(interrupt) => {}
            () = received(terminate) => {}
        }
    }
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}
