//! Short requests at a steady pace, each with the time it was begun and ended and who answered.
//!
//! The pace does not depend on the answers: while some requests wait for a dead backend, others are
//! begun all the same, so an outage is seen as long as it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::Span;
use crate::http;
use crate::process::wait_until;
use crate::topology::Host;

/// Time from one request to the next.
const PACE: Duration = Duration::from_millis(5);
/// Requests that can be under way at once.
const WORKERS: usize = 96;
/// Time a request may take to connect, and between two reads. A SYN that is lost is sent again after
/// a second (RFC 6298 §2), so a request that lost a packet to a dead backend has failed.
const PATIENCE: Duration = Duration::from_millis(900);

/// One request that has ended, in time since the drill began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ended {
    /// When it was begun.
    pub begun: Duration,
    /// When it was answered or given up.
    pub ended: Duration,
    /// The origin that answered, or what happened instead.
    pub outcome: Result<String, String>,
}

/// Requests in the background. Dropped, they end.
#[derive(Debug)]
pub struct Requests {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    targets: Vec<SocketAddr>,
    /// Requests begun so far: the number of the next, which says when it is due.
    tickets: AtomicU32,
    stop: AtomicBool,
    ended: Mutex<Vec<Ended>>,
}

impl Requests {
    /// Starts requests from `client` to each of `targets` in turn; times count from `start`.
    pub fn start(client: &Host, targets: &[SocketAddr], start: Instant) -> Self {
        let shared = Arc::new(Shared {
            start,
            targets: targets.to_vec(),
            tickets: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            ended: Mutex::default(),
        });
        let worker = |_| {
            let (shared, client) = (Arc::clone(&shared), client.clone());
            thread::spawn(move || {
                client.enter_this_thread()?;
                shared.work();
                Ok(())
            })
        };
        let workers = (0..WORKERS).map(worker).collect();
        Self { shared, workers }
    }

    /// Waits until so many more have ended.
    ///
    /// # Errors
    /// It takes longer than `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Result<()> {
        let ended = || self.shared.lock(|ended| ended.len());
        let before = ended();
        wait_until(&format!("{count} requests"), limit, || {
            Ok((ended() >= before + count).then_some(()))
        })
    }

    /// Those that have ended so far.
    pub fn so_far(&self) -> Timeline {
        Timeline::of(self.shared.lock(|ended| ended.clone()))
    }

    /// Lets those under way end, and gives all of them.
    ///
    /// # Errors
    /// A thread failed or panicked.
    pub fn stop(mut self) -> Result<Timeline> {
        self.end()?;
        Ok(self.so_far())
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_panic| anyhow!("a thread of the requests panicked"))??;
        }
        Ok(())
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // A failure was either reported by `stop` or happens while another is being reported.
        let _ = self.end();
    }
}

impl Shared {
    fn lock<T>(&self, body: impl FnOnce(&mut Vec<Ended>) -> T) -> T {
        body(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn work(&self) {
        let first = self.start.elapsed();
        while !self.stop.load(Ordering::SeqCst) {
            let ticket = self.tickets.fetch_add(1, Ordering::SeqCst);
            let due = first + PACE * ticket;
            while let Some(wait) = due.checked_sub(self.start.elapsed()) {
                if wait.is_zero() || self.stop.load(Ordering::SeqCst) {
                    break;
                }
                thread::park_timeout(wait);
            }
            let target = self.targets.get(ticket as usize % self.targets.len().max(1));
            let Some(target) = target else { return };
            let begun = self.start.elapsed();
            let outcome = http::download(*target, "/", PATIENCE);
            let request = Ended { begun, ended: self.start.elapsed(), outcome };
            self.lock(|ended| ended.push(request));
        }
    }
}

/// Requests that have ended, in the order of their ends.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Timeline(Vec<Ended>);

impl Timeline {
    /// Puts requests in order.
    pub fn of(mut ended: Vec<Ended>) -> Self {
        ended.sort_by_key(|request| request.ended);
        Self(ended)
    }

    /// How many there are.
    pub fn requests(&self) -> u64 {
        self.0.len() as u64
    }

    /// Those that were not answered.
    pub fn failed(&self) -> impl Iterator<Item = &Ended> {
        self.0.iter().filter(|request| request.outcome.is_err())
    }

    /// Whether each of those begun in a span was answered, in order of their ends.
    pub fn answered_in(&self, span: Span) -> impl Iterator<Item = bool> {
        let inside = move |request: &&Ended| (span.from..span.until).contains(&request.begun);
        self.0.iter().filter(inside).map(|request| request.outcome.is_ok())
    }

    /// How many each origin answered of those begun since a moment.
    pub fn answers_since(&self, moment: Duration) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for request in self.0.iter().filter(|request| request.begun >= moment) {
            if let Ok(origin) = &request.outcome {
                *counts.entry(origin.as_str()).or_default() += 1;
            }
        }
        counts
    }

    /// When an origin first answered a request that was begun since a moment.
    pub fn first_answer_by(&self, origin: &str, since: Duration) -> Option<Duration> {
        let by_origin = |request: &&Ended| {
            request.begun >= since && request.outcome.as_deref().is_ok_and(|by| by == origin)
        };
        self.0.iter().filter(by_origin).map(|request| request.ended).min()
    }

    /// When the last request that an origin answered was begun.
    pub fn last_begun_by(&self, origin: &str) -> Option<Duration> {
        let by_origin = |request: &&Ended| request.outcome.as_deref().is_ok_and(|by| by == origin);
        self.0.iter().filter(by_origin).map(|request| request.begun).max()
    }

    /// When the last of them ended.
    pub fn end(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, |request| request.ended)
    }

    /// The longest time without an answer to anybody.
    pub fn longest_gap(&self) -> Duration {
        let answers = self.0.iter().filter(|request| request.outcome.is_ok());
        let ends: Vec<_> = answers.map(|request| request.ended).collect();
        let gaps = ends.iter().zip(ends.iter().skip(1));
        gaps.map(|(before, after)| after.saturating_sub(*before)).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(begun_ms: u64, ended_ms: u64, outcome: Result<&str, &str>) -> Ended {
        let [begun, ended] = [begun_ms, ended_ms].map(Duration::from_millis);
        let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
        Ended { begun, ended, outcome }
    }

    #[test]
    fn failures_gaps_and_who_answered_are_found() {
        let ms = Duration::from_millis;
        let timeline = Timeline::of(vec![
            request(0, 1, Ok("a")),
            request(4, 104, Err("reset")),
            request(2, 3, Ok("b")),
            request(50, 120, Err("reset")),
            request(105, 130, Ok("b")),
            request(131, 132, Ok("a")),
        ]);
        assert_eq!((timeline.requests(), timeline.failed().count()), (6, 2));
        assert_eq!(timeline.longest_gap(), ms(127));
        assert_eq!(timeline.first_answer_by("b", ms(4)), Some(ms(130)));
        assert_eq!(timeline.first_answer_by("a", ms(132)), None);
        assert_eq!(timeline.last_begun_by("b"), Some(ms(105)));
        assert_eq!(timeline.answers_since(ms(100)), BTreeMap::from([("a", 1), ("b", 1)]));
        let span = Span { from: ms(2), until: ms(50) };
        assert_eq!(timeline.answered_in(span).collect::<Vec<_>>(), [true, false]);
    }
}
