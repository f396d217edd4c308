//! The pages of the table map: which are free, and who may still be reading which.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{PoolEntry, SLOTS_PER_PAGE, TableRef};
use lb_common::image::Image;
use thiserror::Error;

use super::Op;

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

/// The pages that no pool uses.
pub(super) struct Room {
    pages: u32,
    /// Free runs: first page, pages.
    free: BTreeMap<u32, u32>,
    /// Put out of use by this plan; packets may still be reading them.
    released: BTreeSet<u32>,
}

impl Room {
    /// What `observed` leaves of so many pages. Those that are `resting` are free once readers
    /// have gone by.
    pub(super) fn new(observed: &Image, pages: u32, resting: &BTreeSet<u32>) -> Self {
        let in_use = pages_in_use(observed);
        let mut free = BTreeMap::new();
        let mut first = 0;
        for page in in_use.union(resting).copied().chain([pages]) {
            if page > first {
                free.insert(first, page - first);
            }
            first = page + 1;
        }
        Self { pages, free, released: resting.difference(&in_use).copied().collect() }
    }

    /// All pages.
    pub(super) fn empty(pages: u32) -> Self {
        Self { pages, free: BTreeMap::from([(0, pages)]), released: BTreeSet::new() }
    }

    /// Notes that a pool is about to use these pages no more.
    pub(super) fn release(&mut self, pages: impl Iterator<Item = u32>) {
        self.released.extend(pages);
    }

    /// Frees the pages that this plan has put out of use; false if there are none.
    pub(super) fn reclaim(&mut self) -> bool {
        let released = core::mem::take(&mut self.released);
        for page in &released {
            self.give_back(*page);
        }
        !released.is_empty()
    }

    fn give_back(&mut self, page: u32) {
        let mut first = page;
        let mut length = 1;
        if let Some((before, pages)) = self.free.range(..page).next_back()
            && before + pages == page
        {
            first = *before;
            length += pages;
        }
        if let Some(pages) = self.free.remove(&(page + 1)) {
            length += pages;
        }
        self.free.insert(first, length);
    }

    /// The first page of a free run long enough for `slots`.
    pub(super) fn take(&mut self, slots: usize) -> Result<u32, NoRoom> {
        let needed = u32::try_from(slots.div_ceil(SLOTS_PER_PAGE as usize)).unwrap_or(u32::MAX);
        let run = self.free.iter().find(|(_, pages)| **pages >= needed);
        let Some((first, pages)) = run.map(|(first, pages)| (*first, *pages)) else {
            return Err(NoRoom { slots, pages_free: self.free.values().sum(), pages: self.pages });
        };
        self.free.remove(&first);
        if pages > needed {
            self.free.insert(first + needed, pages - needed);
        }
        Ok(first)
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

/// The pages that pools use.
pub(super) fn pages_in_use(image: &Image) -> BTreeSet<u32> {
    image.pools.values().flat_map(pages_of_pool).collect()
}

/// The pages of a pool's table and of its rotation; some of them twice if they are one.
pub fn pages_of_pool(pool: &PoolEntry) -> impl Iterator<Item = u32> + use<> {
    pages_of(pool.table).chain(pages_of(pool.rotation))
}

/// The pages of a table.
pub(super) fn pages_of(table: TableRef) -> std::ops::Range<u32> {
    table.first_page()..table.first_page() + table.pages()
}
