//! Health of the backends: results of checks in, conditions out. Time comes in with every call.
//!
//! [`Checks`] says which probe is due when, and keeps one [`Machine`] for each backend of a pool
//! that is checked. What a condition means for traffic is [`super::effective`]'s to say.

mod checks;
mod damping;
mod machine;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lb_common::abi::BackendEntry;
use lb_common::config::{AtStart, Backend, Desired};
use lb_common::image::Image;

use super::ids::Ids;
use super::target::outer_destination;

pub use checks::{
    Checked, Checks, Last, Probe, ProbeId, RESULTS_KEPT, Reported, Transition, Tunnel,
};
pub use damping::{Damping, Hold};
pub use machine::Machine;
pub use report::{Load, Report};

/// What is known of a backend.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Condition {
    /// Nothing yet: it takes no new flows.
    Unknown,
    /// It answers its checks.
    Up,
    /// It does not; nothing is sent to it.
    Down,
}

impl Condition {
    /// The name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What a check came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Whether the backend did what was asked.
    pub passed: bool,
    /// What happened, in words.
    pub detail: String,
    /// How long it took.
    pub took_ns: u64,
    /// The last second of the server's certificate, since 1970, if one was seen.
    pub certificate_end_s: Option<i64>,
    /// What the server reported of itself, if it was asked and said something.
    pub report: Option<Report>,
}

/// What decisions need to know of a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// What its checks say.
    pub condition: Condition,
    /// When they began to, on the monotonic clock.
    pub since_ns: u64,
    /// Whether it is down, passed its last check, and nothing keeps it from coming up.
    pub is_rising: bool,
    /// What it reports of itself.
    pub load: Load,
    /// How long its answers take, averaged.
    pub answer_ns: Option<u64>,
}

impl Known {
    /// Nothing but a condition.
    pub fn of(condition: Condition) -> Self {
        Self { condition, ..Self::default() }
    }
}

impl Default for Known {
    /// Somebody who is not checked.
    fn default() -> Self {
        Self {
            condition: Condition::Up,
            since_ns: 0,
            is_rising: false,
            load: Load::default(),
            answer_ns: None,
        }
    }
}

/// Conditions by pool and name. Who is not in it is up, or not checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Conditions(BTreeMap<String, BTreeMap<String, Condition>>);

impl Conditions {
    /// The condition of `pool`/`backend`; who is not in it counts as up.
    pub fn of(&self, pool: &str, backend: &str) -> Condition {
        let known = self.0.get(pool).and_then(|pool| pool.get(backend));
        known.copied().unwrap_or(Condition::Up)
    }

    /// A copy in which `pool`/`backend` has this condition.
    #[must_use]
    pub fn with(mut self, pool: &str, backend: &str, condition: Condition) -> Self {
        self.0.entry(pool.to_owned()).or_default().insert(backend.to_owned(), condition);
        self
    }
}

/// What the maps say of the backends of a configuration: those that are used, at the address that they
/// have there, are up, and so are those of another name at an address that their pool uses, unless the agent starts and their pool says that nobody is before its first
/// result. Of all others nothing is known, so that one result decides, and nothing is
/// sent to them before.
pub fn believed<'a>(
    desired: &'a Desired,
    ids: &Ids,
    observed: &Image,
    is_start: bool,
) -> Conditions {
    let names = desired.pools.iter().flat_map(|(pool, spec)| {
        let of_backend = move |(name, backend): (&'a String, &'a Backend)| {
            (pool.as_str(), name.as_str(), backend.address, spec.failover.at_start)
        };
        spec.backends.iter().map(of_backend)
    });
    let used = observed.backends.values().filter(|it| it.flags & BackendEntry::USABLE != 0);
    let used: BTreeSet<_> =
        used.map(|entry| (u32::from(entry.pool), outer_destination(entry))).collect();
    let condition = |pool, name, address, at_start| {
        let entry = ids.backend(pool, name).and_then(|index| observed.backends.get(&index));
        let is_used = match entry.filter(|entry| outer_destination(entry) == address) {
            Some(entry) => entry.flags & BackendEntry::USABLE != 0,
            None => ids.pool(pool).is_some_and(|pool| used.contains(&(pool, address))),
        };
        let adopts = !is_start || at_start == AtStart::Adopt;
        if adopts && is_used { Condition::Up } else { Condition::Unknown }
    };
    let known =
        |(pool, name, address, at_start)| (pool, name, condition(pool, name, address, at_start));
    names.map(known).collect()
}

/// A length of time on the monotonic clock.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> FromIterator<(&'a str, &'a str, Condition)> for Conditions {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str, Condition)>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), |known, (pool, backend, condition)| {
            known.with(pool, backend, condition)
        })
    }
}

#[cfg(test)]
mod tests;
