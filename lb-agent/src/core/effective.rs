//! What a backend is to do: the result of each decision of [`super::steering`].

use std::collections::BTreeMap;

use lb_common::config::{Backend, Desired, Weight};

use super::health::{Condition, Conditions, Known};
use super::overrides::Overrides;
use super::steering::Steering;

/// What a backend does, as `lb-ctl` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Takes new flows.
    Active,
    /// Ready, but a lower tier takes all traffic.
    Standby,
    /// Drained by command, or by its own report.
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
    /// The weight in force where it takes new flows, after slow start and what servers report; 0 while
    /// it is drained.
    pub weight: Weight,
    /// What its checks say.
    pub condition: Condition,
    /// Its place in the order of failover.
    pub tier: u8,
    /// Whether anything is sent to it, flows that it has included: unless its checks speak against
    /// it, and are believed, or its flows were ended by command.
    pub usable: bool,
    /// Whether it fails its checks and is used all the same, because as many as may be are out already.
    pub spared: bool,
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

/// Every pool by name, if nothing is remembered of earlier decisions and this is all that checks know.
pub fn effective(
    desired: &Desired,
    overrides: &Overrides,
    conditions: &Conditions,
) -> BTreeMap<String, EffectivePool> {
    let known = |pool: &str, backend: &str| Known::of(conditions.of(pool, backend));
    Steering::default().decide(desired, overrides, known, 0).into_pools()
}

impl Effective {
    /// Takes its condition for true.
    pub(super) fn believe(&mut self) {
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
pub(super) fn by_command(
    pool: &str,
    name: &str,
    backend: &Backend,
    overrides: &Overrides,
) -> (State, Weight) {
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
