//! The journal: the last events, for whoever asks, and the next ones, for whoever follows.
//!
//! A follower takes from the ring itself, at its own pace: nothing is queued for it, and the agent
//! never waits. One that is so far behind that its next event is gone is told what it lost, and its
//! stream ends. Writers: `app` alone. Readers: the API.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lb_common::api::{API_VERSION, Event, List};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use crate::core::events::{Occurrence, Page, Ring};

/// Followers at once: a log shipper, a dashboard, and operators enough.
pub const FOLLOWERS_MAX: u32 = 16;
/// Events that a follower is given at once.
const PAGE_EVENTS: usize = 256;

/// The events of this run of the agent.
#[derive(Debug)]
pub struct Journal {
    ring: Mutex<Ring>,
    news: watch::Sender<News>,
    places: Arc<Semaphore>,
    lost: AtomicU64,
}

/// What followers wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct News {
    last: u64,
    is_closed: bool,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal {
    /// An empty journal. Its numbers begin at the time in milliseconds, so they are larger than
    /// those of any run before, unless that had a thousand events a second all the time.
    pub fn new() -> Self {
        let since = time_of_day().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ring = Ring::new(u64::try_from(since.as_millis()).unwrap_or(1).max(1));
        let news = News { last: ring.last(), is_closed: false };
        Self {
            ring: Mutex::new(ring),
            news: watch::Sender::new(news),
            places: Arc::new(Semaphore::new(FOLLOWERS_MAX as usize)),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds what has just happened.
    pub fn add(&self, occurrence: Occurrence, generation: u64) {
        let at = humantime::format_rfc3339_millis(time_of_day()).to_string();
        let last = self.ring().push(occurrence, at, generation);
        self.news.send_modify(|news| news.last = last);
    }

    /// The events after a number, or all there are.
    pub fn list(&self, since: Option<u64>) -> List<Event> {
        let ring = self.ring();
        let Page { lost, events, .. } = ring.after(since.unwrap_or(0), usize::MAX);
        // Who asks for what there is has missed nothing.
        let lost = lost.filter(|_| since.is_some());
        List {
            api_version: API_VERSION.to_owned(),
            kind: "EventList".to_owned(),
            generation: ring.generation(),
            items: lost.into_iter().chain(events).collect(),
        }
    }

    /// Gives a place to one that follows from after a number, or from the first there is; none if
    /// [`FOLLOWERS_MAX`] do.
    pub fn follow(self: &Arc<Self>, since: Option<u64>) -> Option<Follower> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let taken = Taken(Arc::new(AtomicU64::new(since.unwrap_or(0))));
        let stage = if since.is_some() { Stage::Resuming } else { Stage::Beginning };
        let news = self.news.subscribe();
        Some(Follower { journal: Arc::clone(self), news, taken, stage, _place: place })
    }

    /// Events that followers were too slow for.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Number of the last event.
    pub fn last(&self) -> u64 {
        self.news.borrow().last
    }

    /// Generation that the last event speaks of.
    pub fn generation(&self) -> u64 {
        self.ring().generation()
    }

    /// Ends every follower once it has the last event; waits a moment for that.
    pub async fn close(&self, patience: Duration) {
        self.news.send_modify(|news| news.is_closed = true);
        // Whoever does not read has to do without.
        let _ = timeout(patience, self.places.acquire_many(FOLLOWERS_MAX)).await;
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a follower is.
#[derive(Clone, Debug)]
pub struct Taken(Arc<AtomicU64>);

impl Taken {
    /// Number of the last event it has taken.
    pub fn last(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Where the stream of a follower is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// It takes what there is; what went before is not missing.
    Beginning,
    /// It knows the events up to a number: what is gone since then is missing.
    Resuming,
    /// It has been given events: if the next is gone it is too slow.
    Following,
    /// It is cut off.
    Ended,
}

/// Somebody who follows.
#[derive(Debug)]
pub struct Follower {
    journal: Arc<Journal>,
    news: watch::Receiver<News>,
    taken: Taken,
    stage: Stage,
    _place: OwnedSemaphorePermit,
}

impl Follower {
    /// How far it is, for somebody else to watch.
    pub fn taken(&self) -> Taken {
        self.taken.clone()
    }

    /// The next events, when there are any; none when it is over.
    pub async fn next(&mut self) -> Option<Vec<Event>> {
        while self.stage != Stage::Ended {
            let news = *self.news.borrow_and_update();
            let events = self.take();
            if !events.is_empty() {
                return Some(events);
            }
            // The journal cannot go: this holds it.
            if news.is_closed || self.news.changed().await.is_err() {
                self.stage = Stage::Ended;
            }
        }
        None
    }

    fn take(&mut self) -> Vec<Event> {
        let page = self.journal.ring().after(self.taken.last(), PAGE_EVENTS);
        let Page { lost, missing, mut events } = page;
        let lost = lost.filter(|_| self.stage != Stage::Beginning);
        if let Some(lost) = lost {
            self.journal.lost.fetch_add(missing, Ordering::Relaxed);
            if self.stage == Stage::Following {
                self.stage = Stage::Ended;
                return vec![lost];
            }
            events.insert(0, lost);
        }
        if let Some(last) = events.last() {
            self.stage = Stage::Following;
            self.taken.0.store(last.sequence, Ordering::Relaxed);
        }
        events
    }
}

#[expect(clippy::disallowed_methods, reason = "events say when they happened")]
fn time_of_day() -> SystemTime {
    SystemTime::now()
}

#[cfg(test)]
mod tests;
