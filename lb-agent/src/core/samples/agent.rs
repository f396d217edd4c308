//! The agent's loop over an image: a configuration after another, each planned and carried out.

use std::collections::BTreeSet;

use lb_common::abi::{BackendIndex, Slot};
use lb_common::config::{Desired, Limits};
use lb_common::datapath::slot_place;
use lb_common::image::Image;

use super::Sample;
use crate::core::effective::effective;
use crate::core::health::Conditions;
use crate::core::ids::{Exhausted, Ids};
use crate::core::overrides::Overrides;
use crate::core::plan::{Op, carry_out, plan, resting_after};
use crate::core::tables::Tables;
use crate::core::target::{Target, Ways, keep_leaving, target};

/// What the agent's loop keeps from one change to the next, the maps being an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agent {
    pub(crate) ids: Ids,
    tables: Tables,
    pub(crate) observed: Image,
    resting: BTreeSet<u32>,
}

/// A change, planned but not carried out.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What the ends of transitions have written before it.
    pub(crate) settling: Vec<Op>,
    pub(crate) observed: Image,
    /// What the configuration alone wants.
    wanted: Target,
    ways: Ways,
    /// The same with the backends that flows still belong to.
    pub(crate) target: Target,
    /// Backends that flows are pinned to.
    pinned: BTreeSet<BackendIndex>,
    pub(crate) ops: Vec<Op>,
    pub(crate) limits: Limits,
    pub(crate) resting: BTreeSet<u32>,
}

impl Step {
    /// The target for an agent that finds these contents.
    pub(crate) fn target_from(&self, observed: &Image) -> Target {
        let mut target = self.wanted.clone();
        keep_leaving(&mut target, observed, &self.pinned, &self.ways, &self.limits);
        target
    }
}

impl Agent {
    /// Changes to a configuration, or refuses it as a whole.
    pub(crate) fn change_to(
        &mut self,
        sample: &Sample,
        limits: &Limits,
    ) -> Result<Step, Exhausted> {
        let before = self.clone();
        let settling = if sample.settled { self.settle() } else { Vec::new() };
        let links = sample.links();
        let step = self.change_on(&sample.desired(limits), &sample.ways(), &links);
        if step.is_err() {
            *self = before;
        }
        Ok(Step { settling, ..step? })
    }

    /// The same for any configuration. A plan must always be found.
    pub(crate) fn change(&mut self, desired: &Desired, ways: &Ways) -> Result<Step, Exhausted> {
        self.change_on(desired, ways, &BTreeSet::new())
    }

    fn change_on(
        &mut self,
        desired: &Desired,
        ways: &Ways,
        links: &BTreeSet<u32>,
    ) -> Result<Step, Exhausted> {
        let ids = Ids::adopt(&self.observed).assign(desired)?;
        let mut tables = self.tables.clone();
        tables
            .update(
                desired,
                &effective(desired, &Overrides::default(), &Conditions::default()),
                &ids,
            )
            .unwrap();
        let mut step = Step {
            settling: Vec::new(),
            observed: self.observed.clone(),
            wanted: target(desired, &ids, &tables, ways, links),
            ways: ways.clone(),
            target: Target::default(),
            pinned: self.restless(),
            ops: Vec::new(),
            limits: desired.limits,
            resting: self.resting.clone(),
        };
        step.target = step.target_from(&self.observed);
        step.ops = plan(&self.observed, &step.target, &step.limits, &self.resting).unwrap();
        for op in &step.ops {
            carry_out(&mut self.observed, op);
        }
        self.resting = resting_after(&self.resting, &step.observed, &self.observed, &step.ops);
        (self.ids, self.tables) = (ids, tables);
        Ok(step)
    }

    /// As long as anything is in transition, flows may be pinned to any backend.
    fn restless(&self) -> BTreeSet<BackendIndex> {
        let tables = self.observed.pools.values().map(|pool| pool.table);
        let mut slots = tables.flat_map(|table| self.observed.table(table));
        let restless = slots.any(Slot::consult);
        self.observed.backends.keys().copied().filter(|_| restless).collect()
    }

    /// Ends all transitions, as a sweep does when their time has come.
    pub(crate) fn settle(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        for entry in self.observed.pools.values() {
            let restless = (0..).zip(self.observed.table(entry.table));
            for (number, slot) in restless.filter(|(_, slot)| slot.consult()) {
                let (page, offset) = slot_place(entry.table, number);
                ops.push(Op::PutSlot { page, offset, slot: Slot::clean(slot.current()) });
            }
        }
        for op in &ops {
            carry_out(&mut self.observed, op);
        }
        ops
    }

    /// The changes that a history makes; those that find no free index are left out.
    pub(crate) fn steps(limits: &Limits, samples: &[Sample]) -> Vec<Step> {
        let mut agent = Self::default();
        samples.iter().filter_map(|sample| agent.change_to(sample, limits).ok()).collect()
    }
}
