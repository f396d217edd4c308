//! Configuration x overrides: which backends take new flows, and with what weight.

use std::collections::BTreeMap;

use lb_common::config::{Backend, Desired, Pool, Weight};

use super::overrides::Overrides;

/// What a backend does, as `lb-ctl` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Takes new flows.
    Active,
    /// Ready, but a lower tier takes all traffic.
    Standby,
    /// Drained by command.
    Draining,
    /// Weight 0.
    Disabled,
}

impl State {
    /// The name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Disabled => "disabled",
        }
    }
}

/// One backend with everything taken into account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    /// What it does.
    pub state: State,
    /// The weight in force: 0 unless it could take new flows.
    pub weight: Weight,
}

impl Effective {
    /// The weight that goes into the table: a standby has none there.
    pub const fn table_weight(self) -> Weight {
        match self.state {
            State::Active => self.weight,
            State::Standby | State::Draining | State::Disabled => Weight::ZERO,
        }
    }
}

/// The backends of one pool by name.
pub type EffectivePool = BTreeMap<String, Effective>;

/// Every pool by name.
pub fn effective(desired: &Desired, overrides: &Overrides) -> BTreeMap<String, EffectivePool> {
    desired
        .pools
        .iter()
        .map(|(name, pool)| (name.clone(), effective_pool(name, pool, overrides)))
        .collect()
}

fn effective_pool(pool_name: &str, pool: &Pool, overrides: &Overrides) -> EffectivePool {
    let ready = |name: &str, backend: &Backend| {
        let (state, weight) = on_its_own(pool_name, name, backend, overrides);
        state == State::Active && weight > Weight::ZERO
    };
    // The lowest tier with anyone to take traffic takes it all.
    let tier_in_use = pool
        .backends
        .iter()
        .filter(|(name, backend)| ready(name, backend))
        .map(|(_, backend)| backend.tier)
        .min();
    pool.backends
        .iter()
        .map(|(name, backend)| {
            let (state, weight) = on_its_own(pool_name, name, backend, overrides);
            let waits = state == State::Active && Some(backend.tier) != tier_in_use;
            let state = if waits { State::Standby } else { state };
            (name.clone(), Effective { state, weight })
        })
        .collect()
}

/// State and weight before tiers are looked at.
fn on_its_own(pool: &str, name: &str, backend: &Backend, overrides: &Overrides) -> (State, Weight) {
    let by_command = overrides.of(pool, name);
    let weight = by_command
        .weight
        .and_then(|weight| Weight::new(u64::from(weight)))
        .unwrap_or(backend.weight);
    if by_command.drain {
        (State::Draining, Weight::ZERO)
    } else if weight == Weight::ZERO {
        (State::Disabled, Weight::ZERO)
    } else {
        (State::Active, weight)
    }
}

#[cfg(test)]
mod tests;
