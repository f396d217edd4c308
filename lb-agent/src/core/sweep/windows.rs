//! How long flows may be silent, and which slots wait for that time to pass.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lb_common::abi::{BackendIndex, PoolEntry, Scheduler, Slot, TableRef};
use lb_common::config::{self, Desired};
use lb_common::image::Image;

use super::restless::Restless;
use crate::core::ids::Ids;

/// How long a flow may be silent before it counts as ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdleTimeouts {
    /// Of TCP, and of the window after a change, ns.
    pub flow_ns: u64,
    /// Of UDP, ns.
    pub udp_ns: u64,
}

/// The idle time-outs of a configuration's pools, by index.
pub fn idle_timeouts(desired: &Desired, ids: &Ids) -> BTreeMap<u32, IdleTimeouts> {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let timeouts = |(name, pool): (&String, &config::Pool)| {
        let (flow_ns, udp_ns) = (ns(pool.flow_idle_timeout), ns(pool.udp_idle_timeout));
        Some((ids.pool(name)?, IdleTimeouts { flow_ns, udp_ns }))
    };
    desired.pools.iter().filter_map(timeouts).collect()
}

/// The slots of one pool that one change has put in transition.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    pool: u32,
    closes_at_ns: u64,
    slots: Vec<u32>,
    /// The backends that they name as `previous`.
    previous: BTreeSet<BackendIndex>,
}

/// The windows that are open, and the pools with slots in transition. Not stored: after a restart
/// each slot in transition gets a new window, which at worst keeps a `previous` for longer than it
/// need be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Windows {
    open: Vec<Window>,
    restless: BTreeMap<u32, Restless>,
}

impl Windows {
    /// Opens a window for every slot that has a `previous` in `after` and had none in `before`.
    pub fn open(
        &mut self,
        before: &Image,
        after: &Image,
        timeouts: &BTreeMap<u32, IdleTimeouts>,
        now_ns: u64,
    ) {
        // An old window must not close a new transition. A pool that keeps no flows has no slot
        // left in transition, and one whose flows are in other slots now has none of before.
        let keeps = |pool: &u32| timeouts.get(pool).is_some_and(|timeouts| timeouts.flow_ns > 0);
        let keeps = |pool: &u32| {
            let pools = before.pools.get(pool).zip(after.pools.get(pool));
            keeps(pool) && pools.is_some_and(|(before, after)| same_slots(before, after))
        };
        self.open.retain(|window| keeps(&window.pool));
        self.restless.retain(|pool, _| after.pools.contains_key(pool));
        for (pool, entry) in &after.pools {
            let old = before.pools.get(pool);
            if old.is_some_and(|old| old.table == entry.table) {
                continue;
            }
            let old = old.filter(|old| same_slots(old, entry)).map(|old| old.table);
            let restless = Restless::of(after, entry.table);
            if !restless.any() {
                self.restless.remove(pool);
                continue;
            }
            self.restless.insert(*pool, restless);
            let (slots, previous) = newly_in_transition(before, old, after, entry.table);
            if !slots.is_empty() {
                let wait_ns = timeouts.get(pool).map_or(0, |timeouts| timeouts.flow_ns);
                let closes_at_ns = now_ns.saturating_add(wait_ns);
                self.open.push(Window { pool: *pool, closes_at_ns, slots, previous });
            }
        }
    }

    /// What is in transition, by pool.
    pub(super) fn restless(&mut self) -> BTreeMap<u32, &mut Restless> {
        self.restless.iter_mut().map(|(pool, restless)| (*pool, restless)).collect()
    }

    /// Forgets the pools in which nothing is in transition any more.
    pub(super) fn forget_settled(&mut self) {
        self.restless.retain(|_, restless| restless.any());
    }

    /// The backends that the slots of open windows name as `previous`.
    pub(super) fn previous(&self) -> BTreeSet<BackendIndex> {
        self.open.iter().flat_map(|window| &window.previous).copied().collect()
    }

    /// When the last of the windows closes whose slots name a backend as `previous`.
    pub fn closes_ns(&self, backend: BackendIndex) -> Option<u64> {
        let naming = self.open.iter().filter(|window| window.previous.contains(&backend));
        naming.map(|window| window.closes_at_ns).max()
    }

    /// The slots whose window has closed by now, by pool; they are forgotten here.
    pub(super) fn close(&mut self, now_ns: u64) -> BTreeMap<u32, Vec<u32>> {
        let is_closed = |window: &mut Window| window.closes_at_ns <= now_ns;
        let mut closed: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for window in self.open.extract_if(.., is_closed) {
            closed.entry(window.pool).or_default().extend(window.slots);
        }
        closed
    }
}

/// Whether the flows of each slot are the same in both: as many slots, chosen by the same hash.
fn same_slots(before: &PoolEntry, after: &PoolEntry) -> bool {
    let by_client =
        |pool: &PoolEntry| Scheduler::from_code(pool.scheduler) == Scheduler::SourceHash;
    before.table.slots() == after.table.slots() && by_client(before) == by_client(after)
}

/// The numbers of the slots that have a `previous` and had none in the `old` table, and who that is.
fn newly_in_transition(
    before: &Image,
    old: Option<TableRef>,
    after: &Image,
    table: TableRef,
) -> (Vec<u32>, BTreeSet<BackendIndex>) {
    let mut was = old.into_iter().flat_map(|old| before.table(old));
    let mut slots = Vec::new();
    let mut named = vec![false; usize::from(BackendIndex::MAX) + 1];
    for (number, slot) in (0..).zip(after.table(table)) {
        let had = was.next().map(Slot::previous).unwrap_or_default();
        if slot.previous() != BackendIndex::NONE && had == BackendIndex::NONE {
            slots.push(number);
            if let Some(named) = named.get_mut(usize::from(slot.previous().value())) {
                *named = true;
            }
        }
    }
    let named = (0..).zip(named).filter(|(_, named)| *named);
    (slots, named.filter_map(|(index, _)| BackendIndex::new(index)).collect())
}
