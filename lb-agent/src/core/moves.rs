//! How much of the hash space a change of configuration moves.
//!
//! Flows of before stay where they are if the pool keeps them; but the load of new ones moves, and a
//! file that lost half of its backends is more often a mistake than a wish.

use std::collections::BTreeSet;
use std::sync::Arc;

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Pool, Scheduler};

use super::tables::Tables;

/// What moves in one pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Moved {
    /// The pool; of a service, the one that it leaves.
    pub pool: String,
    /// The service that goes to another pool as a whole.
    pub service: Option<String>,
    /// Slots whose new flows another backend takes, or none any more.
    pub slots: u32,
    /// Slots in all.
    pub of_slots: u32,
    /// Whether the flows of before stay where they are.
    pub keeps_flows: bool,
}

impl Moved {
    /// Share of the pool's hash space, 0..=1.
    pub fn share(&self) -> f64 {
        f64::from(self.slots) / f64::from(self.of_slots.max(1))
    }

    /// The same in percent, rounded up: one slot is not nothing.
    pub fn percent(&self) -> u8 {
        let percent = (u64::from(self.slots) * 100).div_ceil(u64::from(self.of_slots.max(1)));
        u8::try_from(percent).unwrap_or(100)
    }
}

/// What moves from one configuration to another: in pools that are in both and of which anything does,
/// and with services that are in both and have another pool.
pub fn moved(before: (&Desired, &Tables), after: (&Desired, &Tables)) -> Vec<Moved> {
    let both = before.0.pools.iter().filter_map(|(name, old)| {
        let new = after.0.pools.get(name)?;
        Some((name, old, new))
    });
    let in_pool = |(name, old, new): (&String, &Pool, &Pool)| {
        let tables = (before.1.slots(name), after.1.slots(name));
        let of_slots = u32::try_from(tables.1.len()).unwrap_or(u32::MAX);
        let same_slots = tables.0.len() == tables.1.len() && by_client(old) == by_client(new);
        let elsewhere = elsewhere(name, old, new, after.1);
        let slots = if Arc::ptr_eq(&tables.0, &tables.1) && elsewhere.is_empty() {
            // Most pools, in most changes.
            0
        } else if same_slots {
            let pairs = tables.0.iter().zip(tables.1.iter());
            let moves = pairs.filter(|(old, new)| {
                old.current() != BackendIndex::NONE
                    && (old.current() != new.current() || elsewhere.contains(&new.current()))
            });
            u32::try_from(moves.count()).unwrap_or(u32::MAX)
        } else {
            of_slots
        };
        let keeps_flows = same_slots && !new.flow_idle_timeout.is_zero();
        Moved { pool: name.clone(), service: None, slots, of_slots, keeps_flows }
    };
    let in_pools = both.map(in_pool).filter(|moved| moved.slots > 0);
    in_pools.chain(services(before.0, after.0)).collect()
}

/// The services that go to other pools: those share no slots, and no pin of the one is the other's.
fn services(before: &Desired, after: &Desired) -> impl Iterator<Item = Moved> {
    let both = before.services.iter().filter_map(|(name, old)| {
        let new = after.services.get(name)?;
        (new.pool != old.pool).then_some((name, &old.pool))
    });
    both.map(|(name, pool)| {
        let (service, pool) = (Some(name.clone()), pool.clone());
        Moved { pool, service, slots: 1, of_slots: 1, keeps_flows: false }
    })
}

fn by_client(pool: &Pool) -> bool {
    pool.scheduler == Scheduler::SourceHash
}

/// The backends of a pool that keep their names and are other servers.
fn elsewhere(name: &str, old: &Pool, new: &Pool, tables: &Tables) -> BTreeSet<BackendIndex> {
    let is_elsewhere = |backend: &str| {
        let addresses = old.backends.get(backend).zip(new.backends.get(backend));
        addresses.is_some_and(|(old, new)| old.address != new.address)
    };
    tables
        .indices(name)
        .filter(|(backend, _)| is_elsewhere(backend))
        .map(|(_, index)| index)
        .collect()
}

#[cfg(test)]
mod tests;
