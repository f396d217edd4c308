//! The last events, by number.

use std::collections::VecDeque;

use lb_common::api::{Event, EventKind};

use super::Occurrence;

/// As many events as are kept: at rest, those of days; in the worst hour, enough to ask in time.
pub const RING_EVENTS: usize = 1024;

/// The last [`RING_EVENTS`] events of a run.
#[derive(Clone, Debug)]
pub struct Ring {
    events: VecDeque<Event>,
    /// Number of the first event of this run.
    first: u64,
    /// Number of the next one.
    next: u64,
}

/// Events after a number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Says which are missing in front of the others.
    pub lost: Option<Event>,
    /// How many these are.
    pub missing: u64,
    /// In order.
    pub events: Vec<Event>,
}

impl Ring {
    /// An empty ring whose first event has this number. Numbers of an earlier run must be smaller,
    /// so that whoever followed that goes on with this one.
    pub const fn new(first: u64) -> Self {
        Self { events: VecDeque::new(), first, next: first }
    }

    /// Adds an event, and gives its number.
    pub fn push(&mut self, occurrence: Occurrence, at: String, generation: u64) -> u64 {
        let sequence = self.next;
        if self.events.len() == RING_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(occurrence.event(sequence, at, generation));
        self.next += 1;
        sequence
    }

    /// Number of the last event; of the one before the first, if there is none.
    pub const fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Generation that the last event speaks of.
    pub fn generation(&self) -> u64 {
        self.events.back().map_or(0, |event| event.generation)
    }

    /// At most `most` events after the one of number `since`. One that is not given yet is of a run
    /// whose clock was ahead: then all there are.
    pub fn after(&self, since: u64, most: usize) -> Page {
        let since = if since > self.last() { 0 } else { since };
        let oldest = self.events.front().map_or(self.next, |event| event.sequence);
        let wanted = since.saturating_add(1).max(self.first);
        let events = self.events.iter().skip_while(|event| event.sequence < wanted);
        let events: Vec<_> = events.take(most).cloned().collect();
        let missing = oldest.saturating_sub(wanted);
        let lost = (missing > 0).then(|| lost(wanted, missing, events.first())).flatten();
        Page { lost, missing, events }
    }
}

/// The event that stands for those that are gone. Its number is that of the last of them.
fn lost(first: u64, count: u64, next: Option<&Event>) -> Option<Event> {
    let Event { at, generation, .. } = next?;
    let last = first + count - 1;
    let plural = if count == 1 { "" } else { "s" };
    let reason = format!("{count} event{plural} lost: only the last {RING_EVENTS} are kept");
    let occurrence =
        Occurrence::new(EventKind::EventsLost, "events", reason).between(&first, &last);
    Some(occurrence.event(last, at.clone(), *generation))
}
