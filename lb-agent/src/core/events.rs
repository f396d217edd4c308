//! What is worth an event: changes of state, told by comparing what was with what is.
//!
//! Each function takes the two states that it compares and gives [`Occurrence`]s: events without a
//! number and a time, which the edge adds. There is one function for each kind of change.

mod pools;
mod ring;
mod ways;

use lb_common::api::{Event, EventKind};
use lb_common::config::{Backend, Desired};

use super::health::{Condition, Reported, Transition};
use super::overrides::{Override, Overrides};

pub use pools::of_pools;
pub use ring::{Page, RING_EVENTS, Ring};
pub use ways::of_ways;

/// Something that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Occurrence {
    /// What.
    pub kind: EventKind,
    /// To what.
    pub object: String,
    /// What was before.
    pub from: Option<String>,
    /// What is now.
    pub to: Option<String>,
    /// Why.
    pub reason: String,
}

impl Occurrence {
    /// Something that happened to `object`, for a reason.
    pub fn new(kind: EventKind, object: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { kind, object: object.into(), from: None, to: None, reason: reason.into() }
    }

    /// The same, with what was before and what is now.
    #[must_use]
    pub fn between(mut self, from: &impl ToString, to: &impl ToString) -> Self {
        self.from = Some(from.to_string());
        self.to = Some(to.to_string());
        self
    }

    /// The same, with what is now.
    #[must_use]
    pub fn now(mut self, to: &impl ToString) -> Self {
        self.to = Some(to.to_string());
        self
    }

    /// As an event.
    pub fn event(self, sequence: u64, at: String, generation: u64) -> Event {
        let Self { kind, object, from, to, reason } = self;
        Event { sequence, at, generation, kind, object, from, to, reason }
    }
}

/// A backend that is up or down by its checks.
pub fn of_health(transition: &Transition) -> Occurrence {
    let Transition { pool, backend, from, to, reason } = transition;
    let kind = match to {
        Condition::Up => EventKind::BackendUp,
        Condition::Down | Condition::Unknown => EventKind::BackendDown,
    };
    Occurrence::new(kind, object_of(pool, backend), reason).between(&from.name(), &to.name())
}

/// A check that cannot be made.
pub fn of_not_made(pool: &str, backend: &str, reason: &str) -> Occurrence {
    Occurrence::new(EventKind::CheckNotMade, object_of(pool, backend), reason)
}

/// Checks of a backend that are made again.
pub fn of_made_again(pool: &str, backend: &str) -> Occurrence {
    let reason = "somebody could be asked";
    Occurrence::new(EventKind::CheckMadeAgain, object_of(pool, backend), reason)
}

/// A server that has changed its mind on new flows.
pub fn of_reported(reported: &Reported) -> Occurrence {
    let Reported { pool, backend, wants_none } = reported;
    let (kind, reason) = if *wants_none {
        (EventKind::DrainReported, "it reports that it wants no new flows")
    } else {
        (EventKind::DrainReportEnded, "it reports that it takes new flows again")
    };
    Occurrence::new(kind, object_of(pool, backend), reason)
}

/// A command on a backend. `configured` is the weight in the file; `forced` tells that the agent
/// itself ended the flows of a drain.
pub fn of_override(
    (pool, backend): (&str, &str),
    configured: u16,
    before: &Override,
    after: &Override,
) -> Vec<Occurrence> {
    let mut seen = Vec::new();
    if before.weight != after.weight {
        let (from, to) = (before.weight.unwrap_or(configured), after.weight.unwrap_or(configured));
        let reason =
            if after.weight.is_some() { "by command" } else { "by command: as configured" };
        let changed = Occurrence::new(EventKind::WeightChanged, object_of(pool, backend), reason);
        seen.push(changed.between(&from, &to));
    }
    let drain = match (before.drain, after.drain) {
        (None, Some(_)) => Some((EventKind::DrainBegun, "by command")),
        (Some(_), None) => Some((EventKind::DrainTakenBack, "by command")),
        (Some(was), Some(is)) if is.forced && !was.forced => {
            Some((EventKind::DrainForced, "the deadline has passed"))
        }
        (Some(was), Some(is)) if was != is => Some((EventKind::DrainChanged, "by command")),
        (Some(_), Some(_)) | (None, None) => None,
    };
    seen.extend(
        drain.map(|(kind, reason)| Occurrence::new(kind, object_of(pool, backend), reason)),
    );
    seen
}

/// Commands that came or went with a configuration, on the backends that it has.
pub fn of_overrides(desired: &Desired, before: &Overrides, after: &Overrides) -> Vec<Occurrence> {
    let backends = desired.pools.iter().flat_map(|(pool, spec)| {
        spec.backends.iter().map(move |(name, spec)| (pool.as_str(), name.as_str(), spec))
    });
    let of_backend = |(pool, name, spec): (&str, &str, &Backend)| {
        let (before, after) = (before.of(pool, name), after.of(pool, name));
        of_override((pool, name), spec.weight.value(), &before, &after)
    };
    backends.flat_map(of_backend).collect()
}

/// A drain that has come to its end.
pub fn of_drained(pool: &str, backend: &str) -> Occurrence {
    let reason = "no flow is pinned to it, and no slot leads there";
    Occurrence::new(EventKind::DrainDone, object_of(pool, backend), reason)
}

/// Slots in transition: `before` were, `after` are.
pub fn of_slots(before: usize, after: usize) -> Option<Occurrence> {
    let (kind, reason) = match (before, after) {
        (0, 1..) => (EventKind::TransitionBegun, "their backends have changed"),
        (1.., 0) => {
            (EventKind::TransitionEnded, "the flows of before have ended or are as the table says")
        }
        (0, 0) | (1.., 1..) => return None,
    };
    Some(Occurrence::new(kind, "slots", reason).between(&before, &after))
}

/// `backend web/web-1`
pub fn object_of(pool: &str, backend: &str) -> String {
    format!("backend {pool}/{backend}")
}

#[cfg(test)]
mod tests;
