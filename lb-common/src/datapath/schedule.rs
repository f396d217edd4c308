//! Step 3a: who takes a new flow in a pool whose flows are all pinned.
//!
//! All of it is a function of the flow's hash and of how many flows came before it, so that the
//! host can foretell the kernel.

use super::slot_place;
use crate::abi::{BackendIndex, PoolEntry, Scheduler, TableRef};
use crate::hash;
use crate::tables::Tables;

/// The backend of a new flow; [`BackendIndex::NONE`] if the pool has nothing to choose by.
#[inline]
pub(super) fn pick<T: Tables>(tables: &T, index: u32, hash: u64) -> BackendIndex {
    let Some(pool) = tables.pool(index) else { return BackendIndex::NONE };
    let turn = tables.next_turn(index);
    match Scheduler::from_code(pool.scheduler) {
        Scheduler::Rotation => in_turn(tables, pool, turn),
        Scheduler::Random => by_chance(tables, pool.table, hash::by_chance(hash, turn)),
        Scheduler::LeastConnections => {
            let chance = hash::by_chance(hash, turn);
            let one = by_chance(tables, pool.table, chance);
            let other = by_chance(tables, pool.table, chance << 32);
            less_loaded(tables, one, other)
        }
        Scheduler::Maglev | Scheduler::SourceHash => BackendIndex::NONE,
    }
}

/// The next of the pool's rotation.
#[inline]
fn in_turn<T: Tables>(tables: &T, pool: &PoolEntry, turn: u32) -> BackendIndex {
    match turn.checked_rem(pool.rotation.slots()) {
        Some(place) => backend_at(tables, pool.rotation, place),
        None => BackendIndex::NONE,
    }
}

/// The backend of a slot that chance chooses: each has as many as its weight says.
#[inline]
fn by_chance<T: Tables>(tables: &T, table: TableRef, chance: u64) -> BackendIndex {
    backend_at(tables, table, hash::scaled(chance, table.slots()))
}

#[inline]
fn backend_at<T: Tables>(tables: &T, table: TableRef, number: u32) -> BackendIndex {
    let (page, offset) = slot_place(table, number);
    match tables.slot(page, offset) {
        Some(slot) => slot.current(),
        None => BackendIndex::NONE,
    }
}

/// Of two backends the one with fewer flows for its weight.
#[inline]
fn less_loaded<T: Tables>(tables: &T, one: BackendIndex, other: BackendIndex) -> BackendIndex {
    let weight = |index| match tables.backend(index) {
        Some(entry) if entry.weight > 0 => u64::from(entry.weight),
        _ => 1,
    };
    // flows / weight, without a division.
    let one_load = tables.load(one).wrapping_mul(weight(other));
    let other_load = tables.load(other).wrapping_mul(weight(one));
    if other_load < one_load { other } else { one }
}

#[cfg(test)]
mod tests;
