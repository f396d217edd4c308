//! What operators changed by command, kept apart from the configuration file.
//!
//! Overrides win over the file until they are taken back. They are stored as JSON beside the
//! agent's state, so a restart keeps them, and they go when their backend leaves the file.

use std::collections::BTreeMap;

use lb_common::config::{Desired, Weight};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::drain::Drain;

/// All overrides, by pool, then backend.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    pools: BTreeMap<String, BTreeMap<String, Override>>,
}

/// The override of one backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Weight instead of the configured one, 0..=1000.
    #[serde(default, deserialize_with = "weight", skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    /// No new flows, whatever the weight.
    #[serde(default, deserialize_with = "drain", skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,
}

impl Overrides {
    /// The override of `pool`/`backend`; the empty one if there is none.
    pub fn of(&self, pool: &str, backend: &str) -> Override {
        self.pools.get(pool).and_then(|pool| pool.get(backend)).copied().unwrap_or_default()
    }

    /// A copy in which `pool`/`backend` is changed by `change`.
    #[must_use]
    pub fn with(&self, pool: &str, backend: &str, change: Change) -> Self {
        let mut next = self.clone();
        let backends = next.pools.entry(pool.to_owned()).or_default();
        let entry = backends.entry(backend.to_owned()).or_default();
        match change {
            Change::Weight(weight) => entry.weight = weight.map(Weight::value),
            Change::Drain(drain) => entry.drain = drain,
        }
        if *entry == Override::default() {
            backends.remove(backend);
        }
        next.pools.retain(|_, backends| !backends.is_empty());
        next
    }

    /// The drains, with pool and backend.
    pub fn drains(&self) -> impl Iterator<Item = (&str, &str, Drain)> {
        self.pools.iter().flat_map(|(pool, backends)| {
            backends
                .iter()
                .filter_map(move |(name, entry)| Some((pool.as_str(), name.as_str(), entry.drain?)))
        })
    }

    /// A copy without the overrides of backends that `desired` does not have.
    #[must_use]
    pub fn kept_for(&self, desired: &Desired) -> Self {
        let mut next = self.clone();
        for (pool, backends) in &mut next.pools {
            let known = desired.pools.get(pool).map(|pool| &pool.backends);
            backends.retain(|name, _| known.is_some_and(|known| known.contains_key(name)));
        }
        next.pools.retain(|_, backends| !backends.is_empty());
        next
    }
}

/// Reads a stored weight. One out of range was not written by an agent: ignoring it would give a
/// backend the configured weight, which an operator had reason to change.
fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let weight = Option::<u64>::deserialize(deserializer)?;
    let checked = weight.map(|weight| {
        let refused = || D::Error::custom(format!("weight {weight} is not in 0..={}", Weight::MAX));
        Weight::new(weight).map(Weight::value).ok_or_else(refused)
    });
    checked.transpose()
}

/// Reads a stored drain. An agent before this one wrote only whether there was one.
fn drain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Drain>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Stored {
        Whether(bool),
        Whole(Drain),
    }
    let stored = Option::<Stored>::deserialize(deserializer)?;
    Ok(stored.and_then(|stored| match stored {
        Stored::Whether(drained) => drained.then(Drain::default),
        Stored::Whole(drain) => Some(drain),
    }))
}

/// One operator command on a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// This weight, or the configured one again.
    Weight(Option<Weight>),
    /// Drain, or stop draining.
    Drain(Option<Drain>),
}

#[cfg(test)]
mod tests;
