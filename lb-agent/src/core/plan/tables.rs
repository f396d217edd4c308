//! Pools: their tables and rotations go to unused pages, then one write switches to them.

use std::sync::Arc;

use lb_common::abi::{BackendIndex, PoolEntry, Scheduler, Slot, TableRef};
use lb_common::image::Image;

use super::room::{NoRoom, Room, pages_of, pages_of_pool};
use super::{Op, Target};
use crate::core::rotation::Rotation;
use crate::core::target::TargetPool;

/// Where new tables go.
pub(super) enum Place {
    /// Beside the old ones.
    Beside(Room),
    /// All to new places, since what is free lies in runs that are too short: until each pool has
    /// its table again, some milliseconds, its packets are dropped.
    Afresh(Room),
}

/// Plans the writing of every pool that is not as wanted.
pub(super) fn put_pools(
    observed: &Image,
    target: &Target,
    place: Place,
    ops: &mut Vec<Op>,
) -> Result<(), NoRoom> {
    let (mut room, afresh) = match place {
        Place::Beside(room) => (room, false),
        Place::Afresh(room) => (room, true),
    };
    if afresh {
        clear_tables(observed, ops);
    }
    for (index, wanted) in &target.pools {
        let before = observed.pools.get(index).copied();
        let same = before.filter(|before| before.name_hash == wanted.name_hash);
        let stays = same.filter(|_| !afresh);
        let table = match stays.filter(|before| table_stays(observed, before, wanted)) {
            Some(before) => before.table,
            None => put_table(transition(observed, same, wanted), &mut room, ops)?,
        };
        let rotation = match &wanted.rotation {
            Rotation::None => TableRef::default(),
            Rotation::Table => table,
            Rotation::Own(slots) => match stays.filter(|it| rotation_stays(observed, it, slots)) {
                Some(before) => before.rotation,
                None => put_table(Arc::clone(slots), &mut room, ops)?,
            },
        };
        let entry = PoolEntry {
            table,
            rotation,
            scheduler: wanted.scheduler.code(),
            quic_server_id_bytes: wanted.quic_server_id_bytes,
            name_hash: wanted.name_hash,
        };
        if stays == Some(entry) {
            continue;
        }
        ops.push(Op::PutPool { index: *index, entry });
        if let Some(before) = before.filter(|_| !afresh) {
            let kept = [pages_of(entry.table), pages_of(entry.rotation)];
            let is_kept = |page: &u32| kept.iter().any(|pages| pages.contains(page));
            room.release(pages_of_pool(&before).filter(|page| !is_kept(page)));
        }
    }
    Ok(())
}

/// Takes every pool's table out of use.
fn clear_tables(observed: &Image, ops: &mut Vec<Op>) {
    for (index, pool) in &observed.pools {
        let none = TableRef::default();
        let entry = PoolEntry { table: none, rotation: none, ..*pool };
        ops.push(Op::PutPool { index: *index, entry });
    }
    ops.push(Op::AwaitReaders);
}

/// Whether a pool's table is already as wanted.
fn table_stays(observed: &Image, before: &PoolEntry, wanted: &TargetPool) -> bool {
    let is_in_place = wanted.is_in_place && before.name_hash == wanted.name_hash;
    debug_assert!(!is_in_place || observed.steers_like(before.table, &wanted.slots));
    if !is_in_place && !observed.steers_like(before.table, &wanted.slots) {
        return false;
    }
    if keeps_its_flows(before, wanted) {
        return pins_every_flow(before) == wanted.scheduler.pins_every_flow();
    }
    // Nobody has a use for what is left of its transitions.
    observed.table(before.table).all(|slot| !slot.consult())
}

fn rotation_stays(observed: &Image, before: &PoolEntry, wanted: &[Slot]) -> bool {
    let rotation = before.rotation;
    rotation != before.table
        && rotation.slots() as usize == wanted.len()
        && observed.table(rotation).eq(wanted.iter().copied())
}

/// Whether the flows of a slot are the same before and after. A table of another size shares no
/// slots with the old one, nor does one whose slots another hash chooses: then flows follow the new
/// table at once.
fn keeps_its_flows(before: &PoolEntry, wanted: &TargetPool) -> bool {
    let by_client = |scheduler| scheduler == Scheduler::SourceHash;
    before.table.slots() as usize == wanted.slots.len()
        && wanted.keeps_flows
        && by_client(Scheduler::from_code(before.scheduler)) == by_client(wanted.scheduler)
}

fn pins_every_flow(pool: &PoolEntry) -> bool {
    Scheduler::from_code(pool.scheduler).pins_every_flow()
}

/// The wanted table, in which each slot that moves remembers where its flows are now.
fn transition(observed: &Image, before: Option<PoolEntry>, wanted: &TargetPool) -> Arc<[Slot]> {
    let Some(before) = before.filter(|before| keeps_its_flows(before, wanted)) else {
        return Arc::clone(&wanted.slots);
    };
    let pinned = (pins_every_flow(&before), wanted.scheduler.pins_every_flow());
    observed
        .table(before.table)
        .zip(wanted.slots.iter())
        .map(|(old, new)| handed_over(old.moved_to(new.current()), pinned))
        .collect()
}

/// A slot of a pool whose scheduler (did, does) pin every flow, so that none moves with a change of
/// the scheduler.
const fn handed_over(slot: Slot, pinned: (bool, bool)) -> Slot {
    let (current, previous) = (slot.current(), slot.previous());
    match pinned {
        // Flows may be anywhere: their pins count until the last of them has gone.
        (true, false) => Slot::in_transition(current, previous),
        // Flows without a pin are old ones, and get theirs; UDP's would count as new.
        (false, true) if previous.value() == BackendIndex::NONE.value() => {
            Slot::in_transition(current, current)
        }
        (true, true) | (false, _) => slot,
    }
}

/// Finds room for a table and plans its writing.
fn put_table(slots: Arc<[Slot]>, room: &mut Room, ops: &mut Vec<Op>) -> Result<TableRef, NoRoom> {
    let count = slots.len();
    let first_page = match room.take(count) {
        Ok(first_page) => first_page,
        Err(_) if room.reclaim() => {
            ops.push(Op::AwaitReaders);
            room.take(count)?
        }
        Err(no_room) => return Err(no_room),
    };
    ops.push(Op::PutTable { first_page, slots });
    Ok(TableRef::new(first_page, u32::try_from(count).unwrap_or(u32::MAX)))
}
