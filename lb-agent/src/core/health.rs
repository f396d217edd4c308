//! Health of the backends: results of checks in, conditions out. Time comes in with every call.
//!
//! [`Checks`] says which probe is due when, and keeps one [`Machine`] for each backend of a pool
//! that is checked. What a condition means for traffic is [`super::effective`]'s to say.

mod checks;
mod machine;

use std::collections::BTreeMap;

use lb_common::abi::BackendEntry;
use lb_common::config::{Backend, Desired};
use lb_common::image::Image;

use super::ids::Ids;
use super::target::outer_destination;

pub use checks::{Checked, Checks, Last, Probe, ProbeId, RESULTS_KEPT, Transition, Tunnel};
pub use machine::Machine;

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
/// have there, are up. Of all others nothing is known, so that one result decides, and nothing is
/// sent to them before.
pub fn believed<'a>(desired: &'a Desired, ids: &Ids, observed: &Image) -> Conditions {
    let names = desired.pools.iter().flat_map(|(pool, spec)| {
        let of_backend = move |(name, backend): (&'a String, &'a Backend)| {
            (pool.as_str(), name.as_str(), backend.address)
        };
        spec.backends.iter().map(of_backend)
    });
    let condition = |pool, name, address| {
        let entry = ids.backend(pool, name).and_then(|index| observed.backends.get(&index));
        let is_used = |entry: &BackendEntry| {
            entry.flags & BackendEntry::USABLE != 0 && outer_destination(entry) == address
        };
        if entry.is_some_and(is_used) { Condition::Up } else { Condition::Unknown }
    };
    names.map(|(pool, name, address)| (pool, name, condition(pool, name, address))).collect()
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
