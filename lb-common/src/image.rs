//! The contents of the maps as plain values, and the pipeline's two traits on the host.
//!
//! An [`Image`] is what the maps hold: the agent plans from one to another, tests fill the kernel
//! from one, and [`Recorder`] lets the pipeline run over one while it notes what was looked up.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use crate::abi::{
    AddressKey, BackendEntry, BackendIndex, Counter, PoolEntry, ServiceEntry, ServiceKey, Slot,
    TableRef,
};
use crate::datapath::slot_place;
use crate::frame::{Frame, Header};
use crate::tables::{OriginTables, Tables};

/// The balancer's maps, counters aside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    /// Services by key.
    pub services: BTreeMap<ServiceKey, ServiceEntry>,
    /// Pools by index; free entries are absent.
    pub pools: BTreeMap<u32, PoolEntry>,
    /// Pages in use, by number.
    pub pages: BTreeMap<u32, Vec<Slot>>,
    /// Backends by index; free entries are absent.
    pub backends: BTreeMap<BackendIndex, BackendEntry>,
}

impl Image {
    /// The slots of a table, in order; slots of absent pages are empty.
    pub fn table(&self, table: TableRef) -> impl Iterator<Item = Slot> + '_ {
        (0..table.slots()).map(move |slot| {
            let (page, offset) = slot_place(table, slot);
            self.slot_at(page, offset).unwrap_or_default()
        })
    }

    /// Whether a table consists of exactly these slots.
    pub fn holds(&self, table: TableRef, slots: &[Slot]) -> bool {
        let pages = slots.chunks(crate::abi::SLOTS_PER_PAGE as usize);
        table.slots() as usize == slots.len()
            && (table.first_page()..).zip(pages).all(|(number, wanted)| {
                self.pages.get(&number).is_some_and(|page| page.starts_with(wanted))
            })
    }

    /// Writes `slots` as the table that starts at page `first_page`.
    pub fn put_table(&mut self, first_page: u32, slots: &[Slot]) {
        let pages = slots.chunks(crate::abi::SLOTS_PER_PAGE as usize);
        for (number, chunk) in (first_page..).zip(pages) {
            self.pages.insert(number, chunk.to_vec());
        }
    }

    fn slot_at(&self, page: u32, offset: u32) -> Option<Slot> {
        self.pages.get(&page)?.get(offset as usize).copied()
    }
}

/// What the pipeline looked up for one packet, in the order of its steps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lookups {
    /// The service it found and by which key.
    pub service: Option<(ServiceKey, ServiceEntry)>,
    /// The pool it read.
    pub pool: Option<(u32, PoolEntry)>,
    /// The slot it read: page, offset, content.
    pub slot: Option<(u32, u32, Slot)>,
    /// The backend it read.
    pub backend: Option<(BackendIndex, BackendEntry)>,
}

/// An [`Image`] as the pipeline's tables: counts, and remembers the last packet's look-ups.
#[derive(Debug)]
pub struct Recorder<'i> {
    image: &'i Image,
    notes: RefCell<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    lookups: Lookups,
    services: BTreeMap<u32, Counter>,
    backends: BTreeMap<BackendIndex, Counter>,
}

impl<'i> Recorder<'i> {
    /// Tables over `image`, with nothing counted.
    pub fn new(image: &'i Image) -> Self {
        Self { image, notes: RefCell::default() }
    }

    /// What was looked up since the last call.
    pub fn take_lookups(&self) -> Lookups {
        core::mem::take(&mut self.notes.borrow_mut().lookups)
    }

    /// Counters by service index.
    pub fn service_counters(&self) -> BTreeMap<u32, Counter> {
        self.notes.borrow().services.clone()
    }

    /// Counters by backend index.
    pub fn backend_counters(&self) -> BTreeMap<BackendIndex, Counter> {
        self.notes.borrow().backends.clone()
    }
}

impl Tables for Recorder<'_> {
    fn service(&self, key: &ServiceKey) -> Option<&ServiceEntry> {
        let entry = self.image.services.get(key)?;
        self.notes.borrow_mut().lookups.service = Some((*key, *entry));
        Some(entry)
    }

    fn pool(&self, index: u32) -> Option<&PoolEntry> {
        let entry = self.image.pools.get(&index)?;
        self.notes.borrow_mut().lookups.pool = Some((index, *entry));
        Some(entry)
    }

    fn slot(&self, page: u32, offset: u32) -> Option<Slot> {
        let slot = self.image.slot_at(page, offset).unwrap_or_default();
        self.notes.borrow_mut().lookups.slot = Some((page, offset, slot));
        Some(slot)
    }

    fn backend(&self, index: BackendIndex) -> Option<&BackendEntry> {
        let entry = self.image.backends.get(&index)?;
        self.notes.borrow_mut().lookups.backend = Some((index, *entry));
        Some(entry)
    }

    fn count_service(&self, service: u32, bytes: usize) {
        count(self.notes.borrow_mut().services.entry(service).or_default(), bytes);
    }

    fn count_backend(&self, backend: BackendIndex, bytes: usize) {
        count(self.notes.borrow_mut().backends.entry(backend).or_default(), bytes);
    }
}

fn count(counter: &mut Counter, bytes: usize) {
    counter.packets += 1;
    counter.bytes += bytes as u64;
}

/// The tables of lb-origin as plain sets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OriginImage {
    /// Balancers, as single addresses.
    pub sources: BTreeSet<AddressKey>,
    /// VIPs.
    pub vips: BTreeSet<AddressKey>,
}

impl OriginTables for OriginImage {
    fn accepts_source(&self, source: &AddressKey) -> bool {
        self.sources.contains(source)
    }

    fn serves(&self, vip: &AddressKey) -> bool {
        self.vips.contains(vip)
    }
}

/// A frame in memory with room in front, as a driver would hand it over.
#[derive(Clone, Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    front: usize,
}

impl Buffer {
    /// What room gained at the front is filled with: whatever the pipeline does not overwrite
    /// shows in a test.
    const POISON: u8 = 0xa5;

    /// A copy of `frame` with `headroom` bytes before it.
    pub fn new(frame: &[u8], headroom: usize) -> Self {
        let mut bytes = vec![Self::POISON; headroom];
        bytes.extend_from_slice(frame);
        Self { bytes, front: headroom }
    }

    /// The frame as it stands.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.front..).unwrap_or_default()
    }
}

impl Frame for Buffer {
    fn len(&self) -> usize {
        self.bytes.len() - self.front
    }

    fn header<T: Header>(&self, at: usize) -> Option<&T> {
        let bytes = self.bytes.get(self.front.checked_add(at)?..)?;
        T::ref_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    fn header_mut<T: Header>(&mut self, at: usize) -> Option<&mut T> {
        let bytes = self.bytes.get_mut(self.front.checked_add(at)?..)?;
        T::mut_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    fn push_front(&mut self, bytes: usize) -> Option<()> {
        self.front = self.front.checked_sub(bytes)?;
        Some(())
    }

    fn pull_front(&mut self, bytes: usize) -> Option<()> {
        if bytes > self.len() {
            return None;
        }
        self.front += bytes;
        Some(())
    }
}

#[cfg(test)]
mod tests;
