//! Configuration x overrides x health: which backends take new flows, and with what weight.

mod recovery;

use std::collections::BTreeMap;

use lb_common::config::{Backend, Desired, Pool, Weight};

use super::health::{Condition, Conditions};
use super::overrides::Overrides;

pub use recovery::{Acted, is_panic_in_force};

/// What a backend does, as `lb-ctl` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Takes new flows.
    Active,
    /// Ready, but a lower tier takes all traffic.
    Standby,
    /// Drained by command.
    Draining,
    /// Drained by command, and the flows that were left at the deadline ended: nothing is sent to it.
    Drained,
    /// Weight 0.
    Disabled,
    /// No result of its checks yet.
    Waiting,
    /// Fails its checks: nothing is sent to it.
    Down,
}

impl State {
    /// The name in tables and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
            Self::Waiting => "waiting",
            Self::Down => "down",
        }
    }
}

/// One backend with everything taken into account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    /// What it does.
    pub state: State,
    /// The weight in force where it takes new flows; 0 while it is drained.
    pub weight: Weight,
    /// What its checks say.
    pub condition: Condition,
    /// Its place in the order of failover.
    pub tier: u8,
    /// Whether anything is sent to it, flows that it has included: unless its checks speak against
    /// it, and are believed, or its flows were ended by command.
    pub usable: bool,
}

impl Effective {
    /// The weight that goes into the table: a standby has none there.
    pub const fn table_weight(self) -> Weight {
        match self.state {
            State::Active => self.weight,
            State::Standby
            | State::Draining
            | State::Drained
            | State::Disabled
            | State::Waiting
            | State::Down => Weight::ZERO,
        }
    }
}

/// The backends of one pool by name.
pub type EffectivePool = BTreeMap<String, Effective>;

/// Every pool by name.
pub fn effective(
    desired: &Desired,
    overrides: &Overrides,
    conditions: &Conditions,
) -> BTreeMap<String, EffectivePool> {
    desired
        .pools
        .iter()
        .map(|(name, pool)| (name.clone(), effective_pool(name, pool, overrides, conditions)))
        .collect()
}

fn effective_pool(
    pool_name: &str,
    pool: &Pool,
    overrides: &Overrides,
    conditions: &Conditions,
) -> EffectivePool {
    let on_its_own = |(name, backend): (&String, &Backend)| {
        let (state, weight) = by_command(pool_name, name, backend, overrides);
        let condition = conditions.of(pool_name, name);
        let (tier, usable) = (backend.tier, state != State::Drained);
        (name.clone(), Effective { state, weight, condition, tier, usable })
    };
    let mut backends: EffectivePool = pool.backends.iter().map(on_its_own).collect();
    let threshold = pool.health.as_ref().map_or(0, |health| health.panic_threshold);
    let candidates = backends.values().filter(|backend| backend.state == State::Active);
    let is_panic = is_panic(threshold, candidates.map(|backend| backend.condition));
    for backend in backends.values_mut() {
        if !is_panic || backend.condition == Condition::Unknown {
            backend.believe();
        }
    }
    // The lowest tier with anyone to take traffic takes it all.
    let active = backends.values().filter(|backend| backend.state == State::Active);
    let tier_in_use = active.map(|backend| backend.tier).min();
    for backend in backends.values_mut() {
        if backend.state == State::Active && Some(backend.tier) != tier_in_use {
            backend.state = State::Standby;
        }
    }
    backends
}

/// Whether so few of those that have been asked are up that it is rather the check that fails. Not
/// before most have been asked: at the start nobody is up.
fn is_panic(threshold_percent: u8, conditions: impl Iterator<Item = Condition>) -> bool {
    let (mut up, mut down, mut unknown) = (0, 0, 0);
    for condition in conditions {
        match condition {
            Condition::Up => up += 1,
            Condition::Down => down += 1,
            Condition::Unknown => unknown += 1,
        }
    }
    let asked = up + down;
    down > 0 && unknown < asked && up * 100 < usize::from(threshold_percent) * asked
}

impl Effective {
    /// Takes its condition for true.
    fn believe(&mut self) {
        self.usable &= self.condition == Condition::Up;
        if self.state != State::Active {
            return;
        }
        match self.condition {
            Condition::Up => {}
            Condition::Unknown => self.state = State::Waiting,
            Condition::Down => self.state = State::Down,
        }
    }
}

/// State and weight as the configuration and commands say.
fn by_command(pool: &str, name: &str, backend: &Backend, overrides: &Overrides) -> (State, Weight) {
    let by_command = overrides.of(pool, name);
    let weight = by_command
        .weight
        .and_then(|weight| Weight::new(u64::from(weight)))
        .unwrap_or(backend.weight);
    if let Some(drain) = by_command.drain {
        (if drain.forced { State::Drained } else { State::Draining }, Weight::ZERO)
    } else if weight == Weight::ZERO {
        (State::Disabled, Weight::ZERO)
    } else {
        (State::Active, weight)
    }
}

#[cfg(test)]
mod tests;
