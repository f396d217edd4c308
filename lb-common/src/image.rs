//! The contents of the maps as plain values, and the pipeline's two traits on the host.
//!
//! An [`Image`] is what the maps hold: the agent plans from one to another, tests fill the kernel
//! from one, and [`Recorder`] lets the pipeline run over one while it notes what was looked up.

mod buffer;
mod pins;
mod state;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::vec::Vec;

use crate::abi::{
    AddressKey, BackendEntry, BackendIndex, Counter, PoolEntry, QuicKey, ServiceEntry, ServiceKey,
    Slot, TableRef,
};
use crate::datapath::{slot_place, take_from_budget};
use crate::tables::{OriginTables, OuterHeaders, Tables};
use crate::verdict::{PinEvent, Reply};

pub use buffer::Buffer;
pub use pins::{HostBucket, PinTable};
pub use state::State;

/// The balancer's maps, counters aside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Image {
    /// Services by key.
    pub services: BTreeMap<ServiceKey, ServiceEntry>,
    /// Pools by index; free entries are absent.
    pub pools: BTreeMap<u32, PoolEntry>,
    /// Pages in use, by number. A copy of the image shares them.
    pub pages: BTreeMap<u32, Arc<Vec<Slot>>>,
    /// Backends by index; free entries are absent.
    pub backends: BTreeMap<BackendIndex, BackendEntry>,
    /// Backends by the server id in a QUIC connection id.
    pub quic_servers: BTreeMap<QuicKey, BackendIndex>,
    /// Interfaces that packets may leave by.
    pub egress: BTreeSet<u32>,
}

impl Image {
    /// The slots of a table, in order; slots of absent pages are empty.
    pub fn table(&self, table: TableRef) -> impl Iterator<Item = Slot> + '_ {
        let numbers = table.first_page()..table.first_page().saturating_add(table.pages());
        let page = |number| self.pages.get(&number).map(|page| page.as_slice()).unwrap_or_default();
        let length = crate::abi::SLOTS_PER_PAGE as usize;
        let whole = move |number| {
            let there = page(number).iter().copied();
            there.chain(core::iter::repeat(Slot::default())).take(length)
        };
        numbers.flat_map(whole).take(table.slots() as usize)
    }

    /// Slot number `slot` of a table; empty if its page is absent.
    pub fn slot(&self, table: TableRef, slot: u32) -> Slot {
        let (page, offset) = slot_place(table, slot);
        self.slot_at(page, offset).unwrap_or_default()
    }

    /// Whether a table sends new flows where the table of `slots` would.
    pub fn steers_like(&self, table: TableRef, slots: &[Slot]) -> bool {
        let pages = slots.chunks(crate::abi::SLOTS_PER_PAGE as usize);
        table.slots() as usize == slots.len()
            && (table.first_page()..).zip(pages).all(|(number, wanted)| {
                let page = self.pages.get(&number).map(|page| page.as_slice()).unwrap_or_default();
                let same = |(have, want): (&Slot, &Slot)| have.current() == want.current();
                page.len() >= wanted.len() && page.iter().zip(wanted).all(same)
            })
    }

    /// Writes `slots` as the table that starts at page `first_page`.
    pub fn put_table(&mut self, first_page: u32, slots: &[Slot]) {
        let pages = slots.chunks(crate::abi::SLOTS_PER_PAGE as usize);
        for (number, chunk) in (first_page..).zip(pages) {
            self.pages.insert(number, Arc::new(chunk.to_vec()));
        }
    }

    /// Writes one slot of a page that is there.
    pub fn put_slot(&mut self, page: u32, offset: u32, slot: Slot) {
        let page = self.pages.get_mut(&page).map(Arc::make_mut);
        let place = page.and_then(|page| page.get_mut(offset as usize));
        if let Some(place) = place {
            *place = slot;
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
    state: &'i State,
    now_ns: u64,
    notes: RefCell<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    lookups: Lookups,
    services: BTreeMap<u32, Counter>,
    backends: BTreeMap<BackendIndex, Counter>,
    pin_events: BTreeMap<u32, u64>,
}

impl<'i> Recorder<'i> {
    /// Tables over `image` and `state` at a time of the monotonic clock, with nothing counted.
    pub fn new(image: &'i Image, state: &'i State, now_ns: u64) -> Self {
        Self { image, state, now_ns, notes: RefCell::default() }
    }

    /// What was looked up since the last call.
    pub fn take_lookups(&self) -> Lookups {
        core::mem::take(&mut self.notes.borrow_mut().lookups)
    }

    /// Counters by service index.
    pub fn service_counters(&self) -> BTreeMap<u32, Counter> {
        self.notes.borrow().services.clone()
    }

    /// How often an event came up.
    pub fn pin_events(&self, event: PinEvent) -> u64 {
        self.notes.borrow().pin_events.get(&event.index()).copied().unwrap_or(0)
    }

    /// Counters by backend index.
    pub fn backend_counters(&self) -> BTreeMap<BackendIndex, Counter> {
        self.notes.borrow().backends.clone()
    }
}

impl OuterHeaders for Recorder<'_> {
    fn gue_port(&self) -> u16 {
        self.state.gue_port
    }

    fn source_spread_v4(&self) -> u32 {
        self.state.source_spread_v4
    }

    fn source_spread_v6(&self) -> [u32; 4] {
        self.state.source_spread_v6
    }
}

impl Tables for Recorder<'_> {
    type Pins = HostBucket;

    fn pins(&self, hash: u64) -> Option<&HostBucket> {
        self.state.pins.bucket(hash)
    }

    fn fragments(&self, hash: u64) -> Option<&HostBucket> {
        self.state.fragments.bucket(hash)
    }

    fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn next_turn(&self, pool: u32) -> u32 {
        let mut turns = self.state.turns.borrow_mut();
        let turn = turns.entry(pool).or_default();
        let now = *turn;
        *turn = now.wrapping_add(1);
        now
    }

    fn load(&self, backend: BackendIndex) -> u64 {
        self.state.loads.borrow().get(&backend).copied().unwrap_or(0)
    }

    fn count_flow(&self, backend: BackendIndex) {
        *self.state.loads.borrow_mut().entry(backend).or_default() += 1;
    }

    fn quic_server(&self, key: &QuicKey) -> Option<BackendIndex> {
        self.image.quic_servers.get(key).copied()
    }

    fn leaves_by(&self, ifindex: u32) -> bool {
        self.image.egress.contains(&ifindex)
    }

    fn may_reply(&self, reply: Reply) -> bool {
        let place = reply.index() as usize;
        let mut due = self.state.replies_due_ns.borrow_mut();
        let Some(due_ns) = due.get_mut(place) else { return false };
        let interval_ns = self.state.reply_intervals_ns.get(place).copied().unwrap_or(0);
        let next = take_from_budget(*due_ns, self.now_ns, interval_ns);
        *due_ns = next.unwrap_or(*due_ns);
        next.is_some()
    }

    fn count_pin(&self, event: PinEvent) {
        *self.notes.borrow_mut().pin_events.entry(event.index()).or_default() += 1;
    }

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

#[cfg(test)]
mod tests;
