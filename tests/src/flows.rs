//! Flows that last, and what becomes of each: kept by its origin, moved to another, or broken.
//!
//! [`Flows`] is a set of them, all opened before it is made. In the background every one asks its
//! origin something again and again ([`Flows::start`]), or they stay silent and ask once, at the
//! end ([`Flows::silent`]). [`connections`] are TCP connections to nginx, [`datagrams`] UDP flows
//! to a server that counts them, [`large`] ones too large for a link. [`openings`] are bare SYNs, which no kernel would send twice on
//! demand.

pub mod connections;
pub mod datagrams;
pub mod large;
pub mod openings;
mod servers;

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::process::wait_until;

/// Time an answer may take: some retransmissions.
const LIMIT: Duration = Duration::from_secs(5);
/// Time between two questions of one flow.
const PAUSE: Duration = Duration::from_millis(50);
/// Time some rounds of questions may take on a busy machine.
const ROUNDS_LIMIT: Duration = Duration::from_mins(1);

/// One flow to the VIP, as its client sees it.
pub trait Flow: Send + 'static {
    /// Sends something that the origin will answer.
    ///
    /// # Errors
    /// Why not, in words.
    fn ask(&mut self) -> Result<(), String>;

    /// Waits for the answer, and gives the name of the origin it came from, if that still knows
    /// the flow.
    ///
    /// # Errors
    /// What came instead, in words.
    fn answer(&mut self) -> Result<Answer, String>;
}

/// Who answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// An origin that knows everything this flow said before.
    From(String),
    /// An origin to which this flow is new.
    Stranger(String),
}

/// What became of some flows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fates {
    /// Flows that stayed with the origin that took them, by its name.
    pub kept: BTreeMap<String, u64>,
    /// Flows that another origin answered, by the way they went.
    pub moved: BTreeMap<String, u64>,
    /// Flows that were not answered, by cause.
    pub broken: BTreeMap<String, u64>,
}

impl Fates {
    /// Counts everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        let parts = [
            (&mut self.kept, &other.kept),
            (&mut self.moved, &other.moved),
            (&mut self.broken, &other.broken),
        ];
        for (mine, theirs) in parts {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }

    /// Flows that stayed with this origin.
    pub fn kept_by(&self, origin: &str) -> u64 {
        self.kept.get(origin).copied().unwrap_or(0)
    }

    /// Flows that were moved or broken.
    pub fn harmed(&self) -> u64 {
        self.moved.values().chain(self.broken.values()).sum()
    }
}

impl Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kept, moved, broken } = self;
        write!(f, "kept {kept:?}, moved {moved:?}, broken {broken:?}")
    }
}

/// A flow with what is known of it.
struct Tracked<F> {
    flow: F,
    origin: String,
    state: State,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Kept,
    Moved(String),
    Broken(String),
}

impl<F: Flow> Tracked<F> {
    /// A flow whose first question is answered.
    fn open(mut flow: F) -> Result<Self, String> {
        flow.ask()?;
        let (Answer::From(origin) | Answer::Stranger(origin)) = flow.answer()?;
        Ok(Self { flow, origin, state: State::Kept })
    }

    fn ask(&mut self) {
        if self.state == State::Kept
            && let Err(cause) = self.flow.ask()
        {
            self.state = State::Broken(cause);
        }
    }

    fn answer(&mut self) {
        if self.state != State::Kept {
            return;
        }
        self.state = match self.flow.answer() {
            Ok(Answer::From(name)) if name == self.origin => State::Kept,
            Ok(Answer::From(name) | Answer::Stranger(name)) => State::Moved(name),
            Err(cause) => State::Broken(cause),
        };
    }
}

/// Flows with a thread that speaks on all of them. Dropped, they end.
#[derive(Debug)]
pub struct Flows {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether to ask all the time, and not only before the end.
    asking: AtomicBool,
    stop: AtomicBool,
    rounds: AtomicU64,
    fates: Mutex<Fates>,
}

impl Flows {
    /// Asks the first question on each of `flows`, which must be answered, and goes on asking.
    ///
    /// # Errors
    /// When a flow cannot even begin.
    pub fn start<F: Flow>(flows: Vec<F>) -> Result<Self> {
        Self::make(flows, true)
    }

    /// Asks the first question on each of `flows`, which must be answered, and then is silent
    /// until [`Flows::stop`].
    ///
    /// # Errors
    /// When a flow cannot even begin.
    pub fn silent<F: Flow>(flows: Vec<F>) -> Result<Self> {
        Self::make(flows, false)
    }

    fn make<F: Flow>(flows: Vec<F>, asking: bool) -> Result<Self> {
        let tracked: Result<Vec<_>, String> = flows.into_iter().map(Tracked::open).collect();
        let tracked = tracked.map_err(anyhow::Error::msg).context("beginning a flow")?;
        let shared = Arc::new(Shared { asking: AtomicBool::new(asking), ..Shared::default() });
        shared.note(&tracked);
        let in_thread = Arc::clone(&shared);
        let worker = thread::spawn(move || in_thread.work(tracked));
        Ok(Self { shared, worker: Some(worker) })
    }

    /// What was counted so far.
    pub fn fates(&self) -> Fates {
        self.shared.fates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every flow has asked at least `count` times from now on, and been answered or
    /// given up.
    ///
    /// # Errors
    /// When that takes too long, or the flows are silent.
    pub fn wait_rounds(&self, count: u64) -> Result<Fates> {
        if !self.shared.asking.load(Ordering::SeqCst) {
            bail!("silent flows make no rounds");
        }
        // One more: the round under way began before this call.
        let until = self.shared.rounds.load(Ordering::SeqCst) + count + 1;
        wait_until(&format!("{count} rounds of all flows"), ROUNDS_LIMIT, || {
            let done = self.shared.rounds.load(Ordering::SeqCst) >= until;
            Ok(done.then(|| self.fates()))
        })
    }

    /// Asks once more on every flow, ends them, and gives everything that was counted.
    ///
    /// # Errors
    /// When the thread panicked.
    pub fn stop(mut self) -> Result<Fates> {
        self.end()?;
        Ok(self.fates())
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(worker) = self.worker.take() {
            worker.thread().unpark();
            worker.join().map_err(|_panic| anyhow!("the thread of the flows panicked"))?;
        }
        Ok(())
    }
}

impl Drop for Flows {
    fn drop(&mut self) {
        // A failure was either reported by `stop` or happens while another is being reported.
        let _ = self.end();
    }
}

impl Shared {
    fn work<F: Flow>(&self, mut tracked: Vec<Tracked<F>>) {
        loop {
            let last = self.stop.load(Ordering::SeqCst);
            if last || self.asking.load(Ordering::SeqCst) {
                // All ask before any waits, so that one lost answer delays nobody's question.
                tracked.iter_mut().for_each(Tracked::ask);
                tracked.iter_mut().for_each(Tracked::answer);
                self.note(&tracked);
                self.rounds.fetch_add(1, Ordering::SeqCst);
            }
            if last {
                return;
            }
            // Parked, not asleep, so that `end` can wake it.
            thread::park_timeout(PAUSE);
        }
    }

    fn note<F>(&self, tracked: &[Tracked<F>]) {
        let mut fates = Fates::default();
        for Tracked { origin, state, .. } in tracked {
            let (counts, name) = match state {
                State::Kept => (&mut fates.kept, origin.clone()),
                State::Moved(to) => (&mut fates.moved, format!("{origin} -> {to}")),
                State::Broken(cause) => (&mut fates.broken, format!("{origin}: {cause}")),
            };
            *counts.entry(name).or_default() += 1;
        }
        *self.fates.lock().unwrap_or_else(PoisonError::into_inner) = fates;
    }
}

#[cfg(test)]
mod tests;
