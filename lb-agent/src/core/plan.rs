//! From what the maps hold to what they should hold: an ordered list of operations.
//!
//! The order keeps every moment in between valid for packets: what is referred to is written
//! before what refers to it, and removed after. backend -> table -> pool -> service on the way in;
//! service -> pool -> backend on the way out. A table is never edited in place: the new one goes to
//! unused pages, then one word of the pool switches to it. Planning from the result of a plan, or
//! from any point where it was cut off, leads to the same target; from the target itself the plan
//! is empty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::abi::{
    BackendEntry, BackendIndex, PoolEntry, SLOTS_PER_PAGE, ServiceEntry, ServiceKey, Slot, TableRef,
};
use lb_common::config::Limits;
use lb_common::image::Image;
use thiserror::Error;

use super::target::{Target, TargetPool};

/// One write to the maps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Sets the counters of a new service to zero.
    ResetService {
        /// Index of its counters.
        service: u32,
    },
    /// Sets the counters of a new backend to zero.
    ResetBackend {
        /// Its index.
        index: BackendIndex,
    },
    /// Writes a backend.
    PutBackend {
        /// Its index.
        index: BackendIndex,
        /// Its entry.
        entry: BackendEntry,
    },
    /// Writes a table to pages that no pool uses.
    PutTable {
        /// The first page.
        first_page: u32,
        /// The slots.
        slots: Arc<[Slot]>,
    },
    /// Writes a pool: the switch to another table.
    PutPool {
        /// Its index.
        index: u32,
        /// Its entry.
        entry: PoolEntry,
    },
    /// Writes one VIP, protocol and port.
    PutService {
        /// Its key.
        key: ServiceKey,
        /// Its entry.
        entry: ServiceEntry,
    },
    /// Removes one VIP, protocol and port.
    RemoveService {
        /// Its key.
        key: ServiceKey,
    },
    /// Changes one slot of a table in place. Only what a packet may read in either order: a
    /// `previous` or a `consult` that goes.
    PutSlot {
        /// The page.
        page: u32,
        /// The slot in it.
        offset: u32,
        /// The slot.
        slot: Slot,
    },
    /// Frees a pool; its pages are free with it.
    RemovePool {
        /// Its index.
        index: u32,
    },
    /// Frees a backend.
    RemoveBackend {
        /// Its index.
        index: BackendIndex,
    },
    /// Waits until no packet can still be reading what earlier operations put out of use.
    AwaitReaders,
}

/// The new tables do not fit beside the old ones.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error(
    "no room for a table of {slots} slots: {pages_free} of {pages} pages are free, in runs that are too short (raise limits.table_slots)"
)]
pub struct NoRoom {
    /// Slots of the table.
    pub slots: usize,
    /// Free pages.
    pub pages_free: u32,
    /// Pages in all.
    pub pages: u32,
}

/// Plans the way from `observed` to `target` in maps of these sizes. Pages that are `resting` were
/// in use a moment ago, and packets may still be reading them.
///
/// # Errors
/// The new tables do not fit, not even laid out afresh.
pub fn plan(
    observed: &Image,
    target: &Target,
    limits: &Limits,
    resting: &BTreeSet<u32>,
) -> Result<Vec<Op>, NoRoom> {
    let pages = limits.table_slots.div_ceil(SLOTS_PER_PAGE);
    let mut ops = Vec::new();
    put_backends(observed, target, &mut ops);
    let before_tables = ops.len();
    let room = Room::new(observed, pages, resting);
    if put_pools(observed, target, Place::Beside(room), &mut ops).is_err() {
        ops.truncate(before_tables);
        put_pools(observed, target, Place::Afresh(Room::empty(pages)), &mut ops)?;
    }
    change_services(observed, target, limits.services, &mut ops);
    let pools = gone(&observed.pools, &target.pools).map(|index| Op::RemovePool { index: *index });
    let backends =
        gone(&observed.backends, &target.backends).map(|index| Op::RemoveBackend { index: *index });
    let mut unused = pools.chain(backends).peekable();
    if unused.peek().is_some() {
        // A packet may have read the service or the slot that led here a moment ago.
        ops.push(Op::AwaitReaders);
    }
    ops.extend(unused);
    Ok(ops)
}

/// The keys of `before` that `after` has not.
fn gone<'a, K: Ord, A, B>(
    before: &'a BTreeMap<K, A>,
    after: &'a BTreeMap<K, B>,
) -> impl Iterator<Item = &'a K> {
    before.keys().filter(|key| !after.contains_key(*key))
}

fn put_backends(observed: &Image, target: &Target, ops: &mut Vec<Op>) {
    for (index, entry) in &target.backends {
        let before = observed.backends.get(index);
        if before.is_none_or(|before| before.name_hash != entry.name_hash) {
            ops.push(Op::ResetBackend { index: *index });
        }
        if before != Some(entry) {
            ops.push(Op::PutBackend { index: *index, entry: *entry });
        }
    }
}

/// New services before old ones go, as far as the map has room for both.
fn change_services(observed: &Image, target: &Target, room: u32, ops: &mut Vec<Op>) {
    let known: BTreeSet<_> =
        observed.services.values().map(|entry| (entry.service, entry.name_hash)).collect();
    let new: BTreeSet<u32> = target
        .services
        .values()
        .filter(|entry| !known.contains(&(entry.service, entry.name_hash)))
        .map(|entry| entry.service)
        .collect();
    ops.extend(new.into_iter().map(|service| Op::ResetService { service }));
    let mut old: Vec<_> = gone(&observed.services, &target.services).collect();
    // What serves any port goes last: until then it covers the ports that are still to come.
    old.sort_by_key(|key| **key == key.any_port());
    let mut removals = old.into_iter().map(|key| Op::RemoveService { key: *key });
    let mut free = (room as usize).saturating_sub(observed.services.len());
    for (key, entry) in &target.services {
        let before = observed.services.get(key);
        if before == Some(entry) {
            continue;
        }
        if before.is_none() && free > 0 {
            free -= 1;
        } else if before.is_none() {
            ops.extend(removals.next());
        }
        ops.push(Op::PutService { key: *key, entry: *entry });
    }
    ops.extend(removals);
}

fn put_pools(
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
    for (index, pool) in &target.pools {
        let before = observed.pools.get(index).copied();
        if !afresh && before.is_some_and(|before| holds(observed, before, pool)) {
            continue;
        }
        let slots = transition(observed, before, pool);
        let entry = put_table(pool.name_hash, slots, &mut room, ops)?;
        ops.push(Op::PutPool { index: *index, entry });
        if let Some(before) = before.filter(|_| !afresh) {
            room.release(before.table);
        }
    }
    Ok(())
}

/// Where new tables go.
enum Place {
    /// Beside the old ones.
    Beside(Room),
    /// All to new places, since what is free lies in runs that are too short: until each pool has
    /// its table again, some milliseconds, its packets are dropped.
    Afresh(Room),
}

/// Takes every pool's table out of use.
fn clear_tables(observed: &Image, ops: &mut Vec<Op>) {
    for (index, pool) in &observed.pools {
        let entry = PoolEntry { table: TableRef::default(), name_hash: pool.name_hash };
        ops.push(Op::PutPool { index: *index, entry });
    }
    ops.push(Op::AwaitReaders);
}

/// Whether a pool's entry and table are already as wanted.
fn holds(observed: &Image, before: PoolEntry, wanted: &TargetPool) -> bool {
    // A pool that keeps no flows any more has no use for what is left of its transitions.
    let settled = || wanted.keeps_flows || observed.table(before.table).all(|slot| !slot.consult());
    before.name_hash == wanted.name_hash
        && observed.steers_like(before.table, &wanted.slots)
        && settled()
}

/// The wanted table, in which each slot that moves remembers where its flows are now.
///
/// A table of another size shares no slots with the old one: its flows follow it at once.
fn transition(observed: &Image, before: Option<PoolEntry>, wanted: &TargetPool) -> Arc<[Slot]> {
    let same_pool = before.filter(|before| {
        before.name_hash == wanted.name_hash
            && before.table.slots() as usize == wanted.slots.len()
            && wanted.keeps_flows
    });
    match same_pool {
        Some(before) => observed
            .table(before.table)
            .zip(wanted.slots.iter())
            .map(|(old, new)| old.moved_to(new.current()))
            .collect(),
        None => Arc::clone(&wanted.slots),
    }
}

/// Finds room for a pool's table and plans its writing.
fn put_table(
    name_hash: u64,
    slots: Arc<[Slot]>,
    room: &mut Room,
    ops: &mut Vec<Op>,
) -> Result<PoolEntry, NoRoom> {
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
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Ok(PoolEntry { table: TableRef::new(first_page, count), name_hash })
}

/// The pages that no pool uses.
struct Room {
    pages: u32,
    used: BTreeSet<u32>,
    /// Put out of use by this plan; packets may still be reading them.
    released: BTreeSet<u32>,
}

impl Room {
    fn new(observed: &Image, pages: u32, resting: &BTreeSet<u32>) -> Self {
        let in_use = pages_in_use(observed);
        let released = resting.difference(&in_use).copied().collect();
        Self { pages, used: in_use.union(resting).copied().collect(), released }
    }

    const fn empty(pages: u32) -> Self {
        Self { pages, used: BTreeSet::new(), released: BTreeSet::new() }
    }

    fn release(&mut self, table: TableRef) {
        self.released.extend(pages_of(table));
    }

    /// Frees the pages that this plan has put out of use; false if there are none.
    fn reclaim(&mut self) -> bool {
        let released = core::mem::take(&mut self.released);
        self.used.retain(|page| !released.contains(page));
        !released.is_empty()
    }

    /// The first page of a free run long enough for `slots`.
    fn take(&mut self, slots: usize) -> Result<u32, NoRoom> {
        let needed = u32::try_from(slots.div_ceil(SLOTS_PER_PAGE as usize)).unwrap_or(u32::MAX);
        let first = self.find(needed);
        let used = u32::try_from(self.used.len()).unwrap_or(u32::MAX);
        let first = first.ok_or(NoRoom {
            slots,
            pages_free: self.pages.saturating_sub(used),
            pages: self.pages,
        })?;
        self.used.extend(first..first + needed);
        Ok(first)
    }

    fn find(&self, needed: u32) -> Option<u32> {
        let mut first = 0;
        for page in &self.used {
            if page.saturating_sub(first) >= needed {
                return Some(first);
            }
            first = page + 1;
        }
        (self.pages.saturating_sub(first) >= needed).then_some(first)
    }
}

/// The pages that packets may be reading once `ops` have brought `before` to `after`, though no
/// pool uses them any more; `resting` are those of earlier plans.
pub fn resting_after(
    resting: &BTreeSet<u32>,
    before: &Image,
    after: &Image,
    ops: &[Op],
) -> BTreeSet<u32> {
    let mut next = if ops.contains(&Op::AwaitReaders) { BTreeSet::new() } else { resting.clone() };
    let in_use = pages_in_use(after);
    next.extend(pages_in_use(before).difference(&in_use));
    next.retain(|page| !in_use.contains(page));
    next
}

fn pages_in_use(image: &Image) -> BTreeSet<u32> {
    image.pools.values().flat_map(|pool| pages_of(pool.table)).collect()
}

fn pages_of(table: TableRef) -> std::ops::Range<u32> {
    table.first_page()..table.first_page() + table.pages()
}

/// Carries out one operation on an image: what the maps do, for planning ahead and for tests.
pub fn carry_out(image: &mut Image, op: &Op) {
    match op {
        Op::ResetService { .. } | Op::ResetBackend { .. } | Op::AwaitReaders => {}
        Op::PutBackend { index, entry } => {
            image.backends.insert(*index, *entry);
        }
        Op::PutTable { first_page, slots } => image.put_table(*first_page, slots),
        Op::PutPool { index, entry } => {
            image.pools.insert(*index, *entry);
        }
        Op::PutSlot { page, offset, slot } => image.put_slot(*page, *offset, *slot),
        Op::PutService { key, entry } => {
            image.services.insert(*key, *entry);
        }
        Op::RemoveService { key } => {
            image.services.remove(key);
        }
        Op::RemovePool { index } => {
            image.pools.remove(index);
        }
        Op::RemoveBackend { index } => {
            image.backends.remove(index);
        }
    }
}

#[cfg(test)]
mod tests;
