//! The tick that ends transitions: sweeps the pin table, settles slots, lets go of backends.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{BackendIndex, PoolEntry, Scheduler};
use lb_common::datapath::slot_place;
use lb_common::image::Image;
use tracing::{debug, error};

use super::AgentError;
use super::agent::Agent;
use crate::core::events::of_slots;
use crate::core::plan::{Op, carry_out};
use crate::core::sweep::{Swept, Windows, sweep};
use crate::core::target::Target;
use crate::io::clock;

/// What the last sweep left.
#[derive(Clone, Debug, Default)]
pub(super) struct Transitions {
    /// Open windows.
    pub(super) windows: Windows,
    /// Live pins by backend.
    pub(super) flows: BTreeMap<BackendIndex, u64>,
    /// Slots in transition.
    pub(super) restless: usize,
    /// Whether there may be pins: after a start, and after any change.
    pub(super) awake: bool,
}

impl Agent {
    /// The backends that flows are pinned to now; needed only if a backend of the maps is to go.
    /// The last sweep may know nothing of them: they may be younger than it, or than this agent.
    pub(super) fn pinned(&self, target: &Target) -> BTreeSet<BackendIndex> {
        if self.observed.backends.keys().all(|index| target.backends.contains_key(index)) {
            return BTreeSet::new();
        }
        // The table may hold a million pins: they are marked, not searched for.
        let mut pinned = vec![false; usize::from(BackendIndex::MAX) + 1];
        for pin in self.datapath.maps.pins().filter(|pin| !pin.is_empty()) {
            if let Some(mark) = pinned.get_mut(usize::from(pin.backend().value())) {
                *mark = true;
            }
        }
        let is_pinned =
            |index: &BackendIndex| pinned.get(usize::from(index.value())) == Some(&true);
        self.observed.backends.keys().copied().filter(is_pinned).collect()
    }

    /// Opens the windows of the slots that have come into transition since `before`.
    pub(super) fn open_windows(&mut self, before: &Image) {
        let timeouts = &self.derived.naming.timeouts;
        self.transitions.windows.open(before, &self.observed, timeouts, clock::monotonic_ns());
        self.transitions.awake = true;
    }

    /// Sweeps, if anything may be in transition.
    pub(super) fn sweep(&mut self) {
        if !self.transitions.awake {
            return;
        }
        if let Err(error) = self.sweep_now() {
            error!(error = &error as &dyn std::error::Error, "cannot sweep the pins");
        }
    }

    fn sweep_now(&mut self) -> Result<(), AgentError> {
        let swept = sweep(
            &self.observed,
            &mut self.transitions.windows,
            self.datapath.maps.pins(),
            &self.derived.naming.timeouts,
            clock::monotonic_ns(),
        );
        self.settle(&swept)?;
        self.write_loads(&swept.loads);
        let Swept { flows, restless, expired, slots, previous, pins_for_good, .. } = swept;
        if !(expired.is_empty() && slots.is_empty()) {
            debug!(expired = expired.len(), settled = slots.len(), restless, "swept");
        }
        // A pin that a packet confirmed meanwhile shows in the next sweep.
        let at_rest = restless == 0 && flows.is_empty() && expired.is_empty() && !pins_for_good;
        let done = |index: &BackendIndex| !flows.contains_key(index) && !previous.contains(index);
        let may_go = self.leaving().any(|index| done(&index));
        self.raise_all(of_slots(self.transitions.restless, restless));
        self.transitions.flows = flows;
        self.transitions.restless = restless;
        self.transitions.awake = !at_rest;
        if may_go { self.let_go() } else { Ok(()) }
    }

    /// Says how many flows each backend has where that decides who takes the next.
    fn write_loads(&self, loads: &BTreeMap<BackendIndex, u64>) {
        let by_load =
            |pool: &PoolEntry| Scheduler::from_code(pool.scheduler) == Scheduler::LeastConnections;
        let pools = self.observed.pools.iter().filter(|(_, pool)| by_load(pool));
        let pools: BTreeSet<u32> = pools.map(|(index, _)| *index).collect();
        if pools.is_empty() {
            return;
        }
        for (index, entry) in &self.observed.backends {
            if pools.contains(&entry.pool.into()) {
                self.datapath.maps.put_load(*index, loads.get(index).copied().unwrap_or(0));
            }
        }
    }

    /// Writes what a sweep found: slots first. A packet that has read the old slot must still find
    /// its pin, so pins go only when those packets have gone by.
    fn settle(&mut self, swept: &Swept) -> Result<(), AgentError> {
        for (pool, number, slot) in &swept.slots {
            let Some(entry) = self.observed.pools.get(pool) else { continue };
            let (page, offset) = slot_place(entry.table, *number);
            self.write(&Op::PutSlot { page, offset, slot: *slot })?;
        }
        if !swept.slots.is_empty() && !swept.expired.is_empty() {
            self.write(&Op::AwaitReaders)?;
        }
        for (position, pin) in &swept.expired {
            self.datapath.maps.remove_pin(*position, *pin);
        }
        Ok(())
    }

    fn write(&mut self, op: &Op) -> Result<(), AgentError> {
        self.datapath.maps.execute(op)?;
        carry_out(&mut self.observed, op);
        Ok(())
    }

    /// Removes backends that have left the configuration, once no flow belongs to them.
    fn let_go(&mut self) -> Result<(), AgentError> {
        let (overrides, links) = (&self.state.overrides, self.interfaces.indices());
        let prepared = self.prepare_anew(overrides, &self.ways, &links)?;
        self.commit(prepared)
    }

    /// Backends in the maps that the configuration does not have.
    pub(super) fn leaving(&self) -> impl Iterator<Item = BackendIndex> + '_ {
        let configured = &self.derived.naming.backends;
        self.observed.backends.keys().copied().filter(|index| !configured.contains_key(index))
    }
}
