//! What must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{BackendEntry, BackendIndex};

use super::world::World;
use crate::core::effective::{Effective, EffectivePool, State};
use crate::core::health::Condition;
use crate::core::plan::Op;
use crate::core::steering::is_panic_in_force;

/// How far a backend's share of the slots may be from its share of the weights.
const SHARE_TOLERANCE: f64 = 0.02;

impl World {
    fn pool(&self) -> &EffectivePool {
        &self.steering.pools()["web"]
    }

    /// After each single write: nothing leads to what is not there. A crash may come now.
    pub(super) fn check_write(&self, op: &Op) {
        for (key, service) in &self.observed.services {
            assert!(
                self.observed.pools.contains_key(&service.pool),
                "{key:?} leads nowhere: {op:?}"
            );
        }
        for slot in self.slots().into_values().flatten() {
            let current = slot.current();
            let is_there =
                current == BackendIndex::NONE || self.observed.backends.contains_key(&current);
            assert!(is_there, "a slot leads to backend {current:?}, which is not there: {op:?}");
        }
    }

    /// After each decision that was carried out.
    pub(super) fn check_decision(&self) {
        self.check_maps();
        self.check_ejected();
        self.check_service();
        self.check_commands();
    }

    /// The maps say what was decided, and the table shares flows as the weights do.
    fn check_maps(&self) {
        let mut weights = BTreeMap::new();
        for (name, backend) in self.pool() {
            let index = self.naming.ids.backend("web", name).unwrap();
            let flags = self.observed.backends[&index].flags;
            let weight = backend.table_weight().value();
            assert_eq!(flags & BackendEntry::USABLE != 0, backend.usable, "{name}");
            assert_eq!(flags & BackendEntry::ACCEPTS_NEW != 0, weight > 0, "{name}");
            weights.insert(index, f64::from(weight));
        }
        let slots: Vec<_> = self.slots().into_values().flatten().collect();
        let mut counts: BTreeMap<BackendIndex, f64> = BTreeMap::new();
        for slot in slots.iter().filter(|slot| slot.current() != BackendIndex::NONE) {
            *counts.entry(slot.current()).or_default() += 1.0;
        }
        let (all, slots): (f64, f64) = (weights.values().sum(), counts.values().sum());
        for (index, weight) in weights {
            let share = counts.remove(&index).unwrap_or(0.0) / slots.max(1.0);
            let wanted = if all > 0.0 { weight / all } else { 0.0 };
            assert!((share - wanted).abs() <= SHARE_TOLERANCE, "{index:?}: {share}, not {wanted}");
        }
        assert!(counts.is_empty(), "slots of backends without a weight: {counts:?}");
    }

    /// Checks take out no more of a tier than may be out, and nobody but those that fail or are
    /// unknown.
    fn check_ejected(&self) {
        let max_percent = usize::from(self.desired.pools["web"].failover.max_ejected);
        let is_forced = |backend: &Effective| backend.state == State::Drained;
        let out = self.pool().values().filter(|backend| !backend.usable && !is_forced(backend));
        let up = out.filter(|backend| backend.condition == Condition::Up).count();
        assert_eq!(up, 0, "who is up is out: {:?}", self.pool());
        for tier in 0..=1 {
            let of_tier = || self.pool().values().filter(move |backend| backend.tier == tier);
            let room = (of_tier().count() * max_percent / 100).max(1);
            let down = of_tier().filter(|backend| backend.state == State::Down).count();
            assert!(down <= room, "{down} of tier {tier} are out, and {room} may be");
            let spared = of_tier().filter(|backend| backend.spared).count();
            assert!(spared == 0 || down == room, "{spared} are spared, {down} of {room} are out");
        }
    }

    /// The agent is never the cause of an outage: if anybody can serve, somebody who can does, unless
    /// the checks are not believed; and all that serve are of one tier.
    fn check_service(&self) {
        let is_up = |backend: &&Effective| backend.condition == Condition::Up;
        let can = |backend: &&Effective| {
            matches!(backend.state, State::Active | State::Standby) && is_up(backend)
        };
        let serving = || self.pool().values().filter(|it| it.table_weight().value() > 0);
        let is_panic = is_panic_in_force(self.pool());
        let does = serving().any(|backend| is_panic || is_up(&backend));
        assert!(does || !self.pool().values().any(|it| can(&it)), "{:?}", self.pool());
        let tiers: BTreeSet<u8> = serving().map(|backend| backend.tier).collect();
        assert!(tiers.len() <= 1, "tiers {tiers:?} at once");
    }

    /// Commands and weights are respected.
    fn check_commands(&self) {
        for (name, backend) in self.pool() {
            let by_command = self.overrides.of("web", name);
            let configured = self.desired.pools["web"].backends[name].weight.value();
            let most = by_command.weight.unwrap_or(configured);
            assert!(backend.weight.value() <= most, "{name} has more than {most}: {backend:?}");
            if by_command.drain.is_some() || most == 0 {
                assert_eq!(backend.table_weight().value(), 0, "{name}");
            }
        }
    }

    /// When all have been well for long, everybody has what the file says.
    pub(super) fn check_calm(&self) {
        let spec = &self.desired.pools["web"];
        let lowest = spec.backends.values().filter(|spec| spec.weight.value() > 0);
        let lowest = lowest.map(|spec| spec.tier).min();
        for (name, backend) in self.pool() {
            let spec = &spec.backends[name];
            let wanted = if Some(spec.tier) == lowest { spec.weight.value() } else { 0 };
            let is = backend.table_weight().value();
            assert_eq!(is, wanted, "{name}: {backend:?}");
            assert!(backend.usable, "{name}: {backend:?}");
        }
    }
}
