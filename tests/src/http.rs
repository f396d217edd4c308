//! A small HTTP/1.1 client that counts who answered, and who did not, and why.
//!
//! Every request is a connection of its own, so that each takes a new source port and the
//! balancer may choose anew. [`load::Load`] does the same from several threads until stopped.

pub mod load;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time to connect, and time between two reads.
const LIMIT: Duration = Duration::from_secs(2);

/// What became of some requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Answers by body, which is the origin's name.
    pub answers: BTreeMap<String, u64>,
    /// Failures by cause.
    pub failures: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts one request.
    pub fn add(&mut self, outcome: Result<String, String>) {
        let count = match outcome {
            Ok(body) => self.answers.entry(body).or_default(),
            Err(cause) => self.failures.entry(cause).or_default(),
        };
        *count += 1;
    }

    /// Counts everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (body, count) in &other.answers {
            *self.answers.entry(body.clone()).or_default() += count;
        }
        for (cause, count) in &other.failures {
            *self.failures.entry(cause.clone()).or_default() += count;
        }
    }

    /// What was counted after `earlier`, an earlier state of this tally.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let subtract = |now: &BTreeMap<String, u64>, then: &BTreeMap<String, u64>| {
            now.iter()
                .map(|(name, count)| (name.clone(), count - then.get(name).copied().unwrap_or(0)))
                .filter(|(_, count)| *count > 0)
                .collect()
        };
        Self {
            answers: subtract(&self.answers, &earlier.answers),
            failures: subtract(&self.failures, &earlier.failures),
        }
    }

    /// Answers of one origin.
    pub fn of(&self, origin: &str) -> u64 {
        self.answers.get(origin).copied().unwrap_or(0)
    }

    /// Answers of all origins.
    pub fn answered(&self) -> u64 {
        self.answers.values().sum()
    }

    /// Requests that were not answered.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// One origin's part of all answers, 0..=1.
    #[expect(clippy::cast_precision_loss, reason = "a share is printed and compared roughly")]
    pub fn share(&self, origin: &str) -> f64 {
        self.of(origin) as f64 / self.answered().max(1) as f64
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {:?}", self.answered(), self.answers)?;
        if self.failed() > 0 {
            write!(f, ", {} failed {:?}", self.failed(), self.failures)?;
        }
        Ok(())
    }
}

/// Sends `count` requests one after the other from the calling thread's namespace.
pub fn requests(target: SocketAddr, count: usize) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..count {
        tally.add(fetch(target, &[]));
    }
    tally
}

/// Sends one request over a new connection, with `upload` as its body; gives the answer's body.
///
/// # Errors
/// The step that failed, and why, in words.
pub fn fetch(target: SocketAddr, upload: &[u8]) -> Result<String, String> {
    fetch_from(target, upload).map(|(body, _)| body)
}

/// Gets `path`, with `limit` to connect and between two reads; gives the answer's body.
///
/// # Errors
/// As [`fetch`].
pub fn download(target: SocketAddr, path: &str, limit: Duration) -> Result<String, String> {
    exchange(target, path, &[], limit).map(|(body, _)| body)
}

/// Sends `upload`, with `limit` to connect and between two reads or writes; gives the answer's
/// body.
///
/// # Errors
/// As [`fetch`].
pub fn upload(target: SocketAddr, upload: &[u8], limit: Duration) -> Result<String, String> {
    exchange(target, "/", upload, limit).map(|(body, _)| body)
}

/// Like [`fetch`], and gives the client's own address and port as well.
///
/// # Errors
/// As [`fetch`].
pub fn fetch_from(target: SocketAddr, upload: &[u8]) -> Result<(String, SocketAddr), String> {
    exchange(target, "/", upload, LIMIT)
}

fn exchange(
    target: SocketAddr,
    path: &str,
    upload: &[u8],
    limit: Duration,
) -> Result<(String, SocketAddr), String> {
    let step = |name: &'static str| move |error: io::Error| format!("{name}: {error}");
    let mut stream = TcpStream::connect_timeout(&target, limit).map_err(step("connect"))?;
    let source = stream.local_addr().map_err(step("own address"))?;
    stream.set_read_timeout(Some(limit)).map_err(step("time limit"))?;
    stream.set_write_timeout(Some(limit)).map_err(step("time limit"))?;
    let method = if upload.is_empty() { "GET" } else { "POST" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: lb\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        upload.len()
    );
    stream.write_all(head.as_bytes()).map_err(step("send"))?;
    stream.write_all(upload).map_err(step("upload"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(step("receive"))?;
    body_of(&String::from_utf8_lossy(&answer)).map(|body| (body, source))
}

/// The body of a complete answer with status 200.
fn body_of(answer: &str) -> Result<String, String> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or_else(|| format!("answer cut short after {} bytes", answer.len()))?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("status: {status}"));
    }
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok());
    match length {
        Some(length) if length == body.len() => Ok(body.to_owned()),
        Some(length) => Err(format!("body has {} of {length} bytes", body.len())),
        None => Err("answer without a length".to_owned()),
    }
}

#[cfg(test)]
mod tests;
