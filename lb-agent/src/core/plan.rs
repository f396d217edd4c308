//! From what the maps hold to what they should hold: an ordered list of operations.
//!
//! The order keeps every moment in between valid for packets: what is referred to is written
//! before what refers to it, and removed after. interface -> backend -> table -> pool -> QUIC server
//! id -> services on the way in; server id and services -> pool -> backend -> interface on the way
//! out. Services change all at once. A table is never edited in place: the new one goes to unused
//! pages, then one word of the pool switches to it. Planning from the result of a plan, or from any
//! point where it was cut off, leads to the same target; from the target itself the plan is empty.

mod room;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::abi::{BackendEntry, BackendIndex, PoolEntry, QuicKey, SLOTS_PER_PAGE, Slot};
use lb_common::config::Limits;
use lb_common::image::Image;
use lb_common::services::ServiceTable;
use thiserror::Error;

use super::target::Target;
use room::Room;
use tables::{Place, put_pools};

pub use room::{NoRoom, pages_of_pool, resting_after};

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
    /// Writes a table, or a rotation, to pages that no pool uses.
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
    /// Writes what connection ids call a backend.
    PutQuicServer {
        /// Its key.
        key: QuicKey,
        /// The backend.
        backend: BackendIndex,
    },
    /// Removes what connection ids called a backend.
    RemoveQuicServer {
        /// Its key.
        key: QuicKey,
    },
    /// Lets packets leave by an interface.
    PutEgress {
        /// Its number.
        ifindex: u32,
    },
    /// Lets packets leave by an interface no more.
    RemoveEgress {
        /// Its number.
        ifindex: u32,
    },
    /// Puts all services in the place of those that were, at once.
    PutServices {
        /// A place for each.
        table: Arc<ServiceTable>,
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

/// Why there is no plan.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum Unplanned {
    /// The pools' tables.
    #[error(transparent)]
    Tables(#[from] NoRoom),
    /// The service table.
    #[error("no places for these VIPs and ports: their hashes collide")]
    Services,
}

/// Plans the way from `observed` to `target` in maps of these sizes. Pages that are `resting` were
/// in use a moment ago, and packets may still be reading them.
///
/// # Errors
/// The new tables do not fit, not even laid out afresh, or the services have no table.
pub fn plan(
    observed: &Image,
    target: &Target,
    limits: &Limits,
    resting: &BTreeSet<u32>,
) -> Result<Vec<Op>, Unplanned> {
    let pages = limits.table_slots.div_ceil(SLOTS_PER_PAGE);
    let mut ops = Vec::new();
    let new_ways_out = target.egress.difference(&observed.egress);
    ops.extend(new_ways_out.map(|ifindex| Op::PutEgress { ifindex: *ifindex }));
    put_backends(observed, target, &mut ops);
    let before_tables = ops.len();
    let room = Room::new(observed, pages, resting);
    if put_pools(observed, target, Place::Beside(room), &mut ops).is_err() {
        ops.truncate(before_tables);
        put_pools(observed, target, Place::Afresh(Room::empty(pages)), &mut ops)?;
    }
    change_quic_servers(observed, target, &mut ops);
    change_services(observed, target, &mut ops)?;
    let pools = gone(&observed.pools, &target.pools).map(|index| Op::RemovePool { index: *index });
    let backends =
        gone(&observed.backends, &target.backends).map(|index| Op::RemoveBackend { index: *index });
    let mut unused = pools.chain(backends).peekable();
    if unused.peek().is_some() {
        // A packet may have read the service or the slot that led here a moment ago.
        ops.push(Op::AwaitReaders);
    }
    ops.extend(unused);
    let old_ways_out = observed.egress.difference(&target.egress);
    ops.extend(old_ways_out.map(|ifindex| Op::RemoveEgress { ifindex: *ifindex }));
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

/// What is no longer anybody's goes first: the map has room for what is wanted, not for both.
fn change_quic_servers(observed: &Image, target: &Target, ops: &mut Vec<Op>) {
    let old = gone(&observed.quic_servers, &target.quic_servers);
    ops.extend(old.map(|key| Op::RemoveQuicServer { key: *key }));
    for (key, backend) in &target.quic_servers {
        if observed.quic_servers.get(key) != Some(backend) {
            ops.push(Op::PutQuicServer { key: *key, backend: *backend });
        }
    }
}

fn change_services(observed: &Image, target: &Target, ops: &mut Vec<Op>) -> Result<(), Unplanned> {
    if observed.services == target.services {
        return Ok(());
    }
    let known: BTreeSet<_> =
        observed.services.values().map(|entry| (entry.service, entry.name_hash)).collect();
    let new: BTreeSet<u32> = target
        .services
        .values()
        .filter(|entry| !known.contains(&(entry.service, entry.name_hash)))
        .map(|entry| entry.service)
        .collect();
    ops.extend(new.into_iter().map(|service| Op::ResetService { service }));
    let table = ServiceTable::build(&target.services).ok_or(Unplanned::Services)?;
    ops.push(Op::PutServices { table: Arc::new(table) });
    Ok(())
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
            let before = image.pools.insert(*index, *entry);
            forget_pages(image, before, entry);
        }
        Op::PutQuicServer { key, backend } => {
            image.quic_servers.insert(*key, *backend);
        }
        Op::RemoveQuicServer { key } => {
            image.quic_servers.remove(key);
        }
        Op::PutEgress { ifindex } => {
            image.egress.insert(*ifindex);
        }
        Op::RemoveEgress { ifindex } => {
            image.egress.remove(ifindex);
        }
        Op::PutSlot { page, offset, slot } => image.put_slot(*page, *offset, *slot),
        Op::PutServices { table } => image.services = table.services(),
        Op::RemovePool { index } => {
            let before = image.pools.remove(index);
            forget_pages(image, before, &PoolEntry::default());
        }
        Op::RemoveBackend { index } => {
            image.backends.remove(index);
        }
    }
}

/// Leaves out what the maps still hold and no pool refers to, as a reading of the maps does.
fn forget_pages(image: &mut Image, before: Option<PoolEntry>, after: &PoolEntry) {
    let before =
        before.filter(|before| before.table != after.table || before.rotation != after.rotation);
    let kept: BTreeSet<u32> = before.iter().flat_map(|_| pages_of_pool(after)).collect();
    for page in before.iter().flat_map(pages_of_pool).filter(|page| !kept.contains(page)) {
        image.pages.remove(&page);
    }
}

#[cfg(test)]
mod tests;
