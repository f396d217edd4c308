//! Who takes new flows, and how many: configuration x commands x what checks know, with a memory.
//!
//! Each decision follows on the one before. A pool goes through the same steps each time, one file
//! each: are its checks believed at all ([`panic`]); may so many be out at once ([`eject`]); which tier
//! takes the traffic ([`tiers`]); who has just come into service ([`ramp`]); and how much of its weight
//! each can take ([`adapt`]). Time comes in with every call, and [`Steering::next_ns`] says when time
//! alone would change something.

mod adapt;
mod eject;
mod panic;
mod ramp;
mod tiers;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::BackendEntry;
use lb_common::config::{Backend, Desired, Pool, Weight};
use lb_common::image::Image;

use super::effective::{Effective, EffectivePool, State, by_command};
use super::health::{Condition, Known};
use super::ids::Ids;
use super::overrides::Overrides;
use adapt::Adapted;
use ramp::Ramps;
use tiers::Tiers;

pub use eject::is_sparing;
pub use panic::is_panic_in_force;

/// The last decision, and what the next one has to remember.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Steering {
    pools: BTreeMap<String, EffectivePool>,
    memories: BTreeMap<String, Memory>,
    next_ns: Option<u64>,
    is_behind: bool,
}

/// What is remembered of a pool.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Memory {
    tiers: Tiers,
    ramps: Ramps,
    adapted: Adapted,
    /// Those that took nothing when the agent started, though it knows no reason: they wanted
    /// nothing, or failed their checks and were only spared, or had not been well for long.
    quiet: BTreeSet<String>,
}

impl Steering {
    /// What the maps of an earlier agent tell: which tier is in use, how much of its weight each
    /// backend has, and who takes nothing though it could. Who is used is what checks believe in the
    /// beginning. So the first decision changes nothing, and the next follow on it.
    pub fn adopt(
        desired: &Desired,
        overrides: &Overrides,
        (ids, observed): (&Ids, &Image),
        now_ns: u64,
    ) -> Self {
        let mut steering = Self::default();
        for (name, pool) in &desired.pools {
            let known = pool.backends.iter().filter_map(|(backend, spec)| {
                let entry = observed.backends.get(&ids.backend(name, backend)?)?;
                Some((backend, spec, entry))
            });
            let (accepting, others): (Vec<_>, Vec<_>) =
                known.partition(|(_, _, entry)| entry.flags & BackendEntry::ACCEPTS_NEW != 0);
            let mut memory = Memory::default();
            for (backend, spec, entry) in accepting {
                memory.tiers.adopt(spec.tier);
                let (_, whole) = by_command(name, backend, spec, overrides);
                if pool.adapt.is_some() {
                    memory.adapted.adopt(backend, entry.weight, whole);
                } else {
                    let slow_start = pool.failover.slow_start;
                    memory.ramps.adopt(backend, (entry.weight, whole), slow_start, now_ns);
                }
            }
            let is_quiet = |backend: &String, spec: &Backend, entry: &BackendEntry| {
                let (state, _) = by_command(name, backend, spec, overrides);
                let is_usable = entry.flags & BackendEntry::USABLE != 0;
                let is_asked = pool.adapt.is_some_and(|adapt| adapt.report_port.is_some());
                is_usable && state == State::Active && memory.tiers.would_use(spec.tier, is_asked)
            };
            // Without checks nobody is ever heard.
            if pool.health.is_some() {
                let quiet = others.into_iter().filter(|(name, spec, it)| is_quiet(name, spec, it));
                memory.quiet = quiet.map(|(name, ..)| name.clone()).collect();
            }
            steering.memories.insert(name.clone(), memory);
        }
        steering
    }

    /// The decision that follows on this one. `known` says what checks know of a pool's backend.
    #[must_use]
    pub fn decide(
        &self,
        desired: &Desired,
        overrides: &Overrides,
        known: impl Fn(&str, &str) -> Known,
        now_ns: u64,
    ) -> Self {
        let mut next = Self::default();
        for (name, pool) in &desired.pools {
            let before = self.pools.get(name);
            let known =
                pool.backends.keys().map(|backend| (backend.as_str(), known(name, backend)));
            let mut step = Step {
                pool,
                before,
                known: known.collect(),
                memory: self.memories.get(name).cloned().unwrap_or_default(),
                now_ns,
                next_ns: None,
            };
            next.is_behind |= step.hold_panic();
            next.is_behind |= step.hear_quiet();
            let decided = step.decide(name, overrides);
            next.next_ns = sooner(next.next_ns, step.next_ns);
            next.pools.insert(name.clone(), decided);
            next.memories.insert(name.clone(), step.memory);
        }
        next
    }

    /// Every pool by name, as decided.
    pub const fn pools(&self) -> &BTreeMap<String, EffectivePool> {
        &self.pools
    }

    /// The same, to keep.
    pub fn into_pools(self) -> BTreeMap<String, EffectivePool> {
        self.pools
    }

    /// The pools whose checks are not believed.
    pub fn in_panic(&self) -> impl Iterator<Item = &str> {
        self.pools.iter().filter(|(_, pool)| is_panic_in_force(pool)).map(|(name, _)| name.as_str())
    }

    /// When to decide again, on the monotonic clock, although nothing else happens until then.
    pub const fn next_ns(&self) -> Option<u64> {
        self.next_ns
    }

    /// Whether checks found more than this acts on, so that their next result has to be looked at even
    /// if it changes no condition.
    pub const fn is_behind(&self) -> bool {
        self.is_behind
    }
}

/// One pool on its way through a decision.
struct Step<'a> {
    pool: &'a Pool,
    before: Option<&'a EffectivePool>,
    known: BTreeMap<&'a str, Known>,
    memory: Memory,
    now_ns: u64,
    next_ns: Option<u64>,
}

impl Step<'_> {
    fn decide(&mut self, name: &str, overrides: &Overrides) -> EffectivePool {
        let mut backends = self.on_their_own(name, overrides);
        if panic::is_panic(self.threshold(), candidates(&backends)) {
            let unknown = |backend: &&mut Effective| backend.condition == Condition::Unknown;
            backends.values_mut().filter(unknown).for_each(Effective::believe);
        } else {
            let spared = eject::spared(&backends, &self.known, self.pool.failover.max_ejected);
            for (name, backend) in &mut backends {
                if spared.contains(name) {
                    backend.spared = true;
                } else {
                    backend.believe();
                }
            }
        }
        let delay = self.pool.failover.failback_delay;
        let (tier, due_ns) =
            self.memory.tiers.choose((&backends, &self.memory.quiet), delay, self.now_ns);
        self.ask_again(due_ns);
        let slow_start = self.pool.failover.slow_start;
        let (ramped, due_ns) =
            self.memory.ramps.step((self.before, &backends), slow_start, self.now_ns);
        self.ask_again(due_ns);
        let due_ns = self.memory.adapted.step(
            self.pool.adapt.as_ref(),
            (&backends, &self.known),
            self.now_ns,
        );
        self.ask_again(due_ns);
        for (name, backend) in &mut backends {
            let percents = [ramped.get(name).copied(), self.memory.adapted.percent(name)];
            backend.weight = percents.into_iter().flatten().fold(backend.weight, share);
            if backend.state == State::Active && Some(backend.tier) != tier {
                backend.state = State::Standby;
            }
        }
        backends
    }

    /// Whoever took nothing when the agent started does so until it has been heard. Whether any is left.
    fn hear_quiet(&mut self) -> bool {
        let Self { memory, known, .. } = self;
        memory.quiet.retain(|name| {
            let known = known.get(name.as_str());
            known.is_some_and(|it| it.condition == Condition::Up && it.answer_ns.is_none())
        });
        !memory.quiet.is_empty()
    }

    /// Each backend by command and by its own report, whatever the others do.
    fn on_their_own(&self, pool: &str, overrides: &Overrides) -> EffectivePool {
        let is_asked = self.pool.adapt.is_some_and(|adapt| adapt.report_port.is_some());
        let on_its_own = |(name, backend): (&String, &Backend)| {
            let known = self.known(name);
            let (mut state, mut weight) = by_command(pool, name, backend, overrides);
            let wants_none = known.load.wants_none() || self.memory.quiet.contains(name);
            if state == State::Active && is_asked && wants_none {
                (state, weight) = (State::Draining, Weight::ZERO);
            }
            let (condition, usable) = (known.condition, state != State::Drained);
            let tier = backend.tier;
            (name.clone(), Effective { state, weight, condition, tier, usable, spared: false })
        };
        self.pool.backends.iter().map(on_its_own).collect()
    }

    fn known(&self, backend: &str) -> Known {
        self.known.get(backend).copied().unwrap_or_default()
    }

    fn threshold(&self) -> u8 {
        self.pool.health.as_ref().map_or(0, |health| health.panic_threshold)
    }

    fn ask_again(&mut self, due_ns: Option<u64>) {
        self.next_ns = sooner(self.next_ns, due_ns);
    }
}

/// Those whose weight and commands let them take new flows.
fn candidates(backends: &EffectivePool) -> impl Iterator<Item = &Effective> {
    backends.values().filter(|backend| backend.state == State::Active)
}

fn sooner(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    [one, other].into_iter().flatten().min()
}

/// A share of a weight, though never nothing of something.
fn share(weight: Weight, percent: u8) -> Weight {
    let value = u64::from(weight.value());
    let share = (value * u64::from(percent.min(100)) + 50) / 100;
    Weight::new(share.max(value.min(1))).unwrap_or(weight)
}

#[cfg(test)]
mod tests;
