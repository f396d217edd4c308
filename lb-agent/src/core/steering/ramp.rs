//! Slow start: who comes into service takes little at first.
//!
//! Each step is a change of the pool's table, so there are few. The first backend of a pool to come up
//! takes what there is: only who comes to others can take less than they.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lb_common::config::Weight;

use super::{EffectivePool, share};
use crate::core::effective::{Effective, State};
use crate::core::health::{Condition, nanoseconds};

/// Steps to the whole weight.
const STEPS: u64 = 10;

/// Who is on the way to its whole weight.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Ramps {
    /// Those that are not in service, and were out while others were.
    cold: BTreeSet<String>,
    /// When the others came into service.
    since_ns: BTreeMap<String, u64>,
}

impl Ramps {
    /// A backend had this of its whole weight: it goes on from there.
    pub(super) fn adopt(
        &mut self,
        backend: &str,
        (weight, whole): (u16, Weight),
        slow_start: Duration,
        now_ns: u64,
    ) {
        let had = |done: &u64| share(whole, percent(*done)).value() <= weight;
        if let Some(done) = (0..=STEPS).rev().find(had).filter(|done| *done < STEPS) {
            let since_ns = now_ns.saturating_sub(done * nanoseconds(slow_start) / STEPS);
            self.since_ns.insert(backend.to_owned(), since_ns);
        }
    }

    /// Percent of its weight for each backend that has not the whole of it yet, and when the next of
    /// them gets more. `before` is the decision before this one, if there was any.
    pub(super) fn step(
        &mut self,
        (before, backends): (Option<&EffectivePool>, &EffectivePool),
        slow_start: Duration,
        now_ns: u64,
    ) -> (BTreeMap<String, u8>, Option<u64>) {
        self.follow((before, backends), now_ns);
        let step_ns = nanoseconds(slow_start) / STEPS;
        let steps = |since_ns: u64| now_ns.saturating_sub(since_ns).checked_div(step_ns);
        self.since_ns.retain(|_, since_ns| steps(*since_ns).is_some_and(|steps| steps < STEPS));
        let mut percents = BTreeMap::new();
        let mut next_ns = None;
        for (name, since_ns) in &self.since_ns {
            let done = steps(*since_ns).unwrap_or(STEPS);
            percents.insert(name.clone(), percent(done));
            next_ns = super::sooner(next_ns, Some(since_ns + (done + 1) * step_ns));
        }
        (percents, next_ns)
    }

    fn follow(
        &mut self,
        (before, backends): (Option<&EffectivePool>, &EffectivePool),
        now_ns: u64,
    ) {
        let others_serve = backends.values().copied().any(is_ready);
        let served_before = before.is_some_and(|before| before.values().copied().any(is_ready));
        self.cold.retain(|name| backends.contains_key(name));
        for (name, backend) in backends {
            let is_new = before.is_none_or(|before| !before.contains_key(name));
            if is_ready(*backend) && backend.condition == Condition::Down {
                // In a panic it is used as it was before.
                self.cold.remove(name);
                continue;
            }
            if is_ready(*backend) {
                if self.cold.remove(name) || (is_new && served_before) {
                    self.since_ns.insert(name.clone(), now_ns);
                }
                continue;
            }
            self.since_ns.remove(name);
            // At a first start all wait: none of them comes to others.
            let was = before.and_then(|before| before.get(name)).copied();
            let comes_to_others = others_serve && was.is_none_or(is_ready);
            if backend.state != State::Waiting || comes_to_others {
                self.cold.insert(name.clone());
            }
        }
        self.since_ns.retain(|name, _| backends.contains_key(name));
    }
}

/// Percent of its weight that a backend has after so many steps.
fn percent(done: u64) -> u8 {
    u8::try_from((done + 1) * 100 / (STEPS + 1)).unwrap_or(100)
}

/// Whether it takes new flows, or would if its tier were in use.
const fn is_ready(backend: Effective) -> bool {
    matches!(backend.state, State::Active | State::Standby)
}
