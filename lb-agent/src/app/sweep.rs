//! The tick that ends transitions: sweeps the pin table, settles slots, lets go of backends.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{BackendIndex, Pin};
use lb_common::datapath::slot_place;
use lb_common::image::Image;
use tracing::{debug, error};

use super::AgentError;
use super::agent::Agent;
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
        let pins = self.datapath.maps.pins().filter(|pin| !pin.is_empty());
        pins.map(Pin::backend).collect()
    }

    /// Opens the windows of the slots that have come into transition since `before`.
    pub(super) fn open_windows(&mut self, before: &Image) {
        let timeouts = &self.derived.timeouts;
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
            &self.derived.timeouts,
            clock::monotonic_ns(),
        );
        self.settle(&swept)?;
        let Swept { flows, restless, expired, slots } = swept;
        if !(expired.is_empty() && slots.is_empty()) {
            debug!(expired = expired.len(), settled = slots.len(), restless, "swept");
        }
        // A pin that a packet confirmed meanwhile shows in the next sweep.
        let at_rest = restless == 0 && flows.is_empty() && expired.is_empty();
        self.transitions.flows = flows;
        self.transitions.restless = restless;
        self.transitions.awake = !at_rest;
        self.let_go()
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
        if self.leaving().next().is_none() {
            return Ok(());
        }
        let prepared = self.prepare(&self.desired, &self.state.overrides, &self.ways)?;
        self.commit(prepared)
    }

    /// Backends in the maps that the configuration does not have.
    pub(super) fn leaving(&self) -> impl Iterator<Item = BackendIndex> + '_ {
        let configured: BTreeSet<_> = self
            .desired
            .pools
            .iter()
            .flat_map(|(pool, spec)| spec.backends.keys().map(move |name| (pool, name)))
            .filter_map(|(pool, name)| self.derived.ids.backend(pool, name))
            .collect();
        self.observed.backends.keys().copied().filter(move |index| !configured.contains(index))
    }
}
