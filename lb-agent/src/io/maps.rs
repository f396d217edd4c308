//! The balancer's maps: what is in them, and one write at a time.
//!
//! Arrays are memory-mapped and written by whole words, so a packet never sees half of one; QUIC
//! server ids and interfaces go through the kernel's calls. Counters are per CPU and summed here.

mod arrays;
mod counters;
mod services;
mod shapes;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::Ebpf;
use aya::maps::xdp::{DevMapHash, XdpMapError};
use aya::maps::{HashMap, MapData, MapError, PerCpuArray};
use lb_common::abi::{
    BackendEntry, BackendIndex, Counter, PINS_PER_BUCKET, Pin, PoolEntry, QuicKey, Slot, TablePage,
    TableRef, map,
};
use lb_common::config::Limits;
use lb_common::image::Image;
use nix::errno::Errno;
use thiserror::Error;

use super::sys::{self, MappedWords};
use crate::core::plan::{Op, pages_of_pool};
use arrays::{MappedArray, from_words, mapped, to_words};
use counters::reset;
use services::Services;

pub(super) use arrays::typed;
pub use shapes::{backend_places, fragment_buckets, pin_buckets, shapes, table_pages};

type QuicWords = [u64; words_of::<QuicKey>()];
type CounterWords = [u64; words_of::<Counter>()];

const fn words_of<T>() -> usize {
    size_of::<T>() / size_of::<u64>()
}

/// Why a map could not be read or written.
#[derive(Debug, Error)]
pub enum MapsError {
    /// The object file has no such map.
    #[error("the program has no map {name}")]
    Absent {
        /// Its name.
        name: &'static str,
    },
    /// The kernel refused.
    #[error("cannot {operation} map {name}")]
    Kernel {
        /// What was to be done.
        operation: &'static str,
        /// Name of the map.
        name: &'static str,
        /// Why not.
        #[source]
        source: MapError,
    },
    /// The kernel cannot say when packets have gone by.
    #[error("cannot wait for packets in flight")]
    AwaitReaders {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// More services than the maps were made for.
    #[error("{services} services do not fit in map {}", map::SERVICES)]
    TooManyServices {
        /// How many there are.
        services: usize,
    },
    /// An array cannot be mapped into memory.
    #[error("cannot map {name} into memory")]
    Mmap {
        /// Name of the map.
        name: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The maps of a loaded balancer.
pub struct Maps {
    services: Services,
    pools: MappedArray<PoolEntry, { words_of::<PoolEntry>() }>,
    pages: MappedWords,
    backends: MappedArray<BackendEntry, { words_of::<BackendEntry>() }>,
    pins: MappedWords,
    loads: MappedWords,
    turns: MappedWords,
    quic_servers: HashMap<MapData, QuicWords, u64>,
    egress: DevMapHash<MapData>,
    reason_counters: PerCpuArray<MapData, CounterWords>,
    pin_counters: PerCpuArray<MapData, CounterWords>,
    service_counters: PerCpuArray<MapData, CounterWords>,
    backend_counters: PerCpuArray<MapData, CounterWords>,
}

impl Maps {
    /// Takes the maps out of a loaded object whose sizes were set from `limits`.
    ///
    /// # Errors
    /// A map is missing, of another type, or cannot be mapped.
    pub fn take(ebpf: &mut Ebpf, limits: &Limits) -> Result<Self, MapsError> {
        let pages = table_pages(limits) as usize * words_of::<TablePage>();
        let backends = backend_places(limits) as usize;
        Ok(Self {
            services: Services::take(ebpf, limits)?,
            pools: MappedArray::take(ebpf, map::POOLS, limits.pools as usize)?,
            pages: mapped(ebpf, map::TABLE_PAGES, pages)?,
            backends: MappedArray::take(ebpf, map::BACKENDS, backends)?,
            pins: mapped(ebpf, map::PINS, pin_buckets(limits) as usize * PINS_PER_BUCKET)?,
            loads: mapped(ebpf, map::LOADS, backends)?,
            turns: mapped(ebpf, map::TURNS, limits.pools as usize)?,
            quic_servers: typed(ebpf, map::QUIC_SERVERS)?,
            egress: typed(ebpf, map::EGRESS)?,
            reason_counters: typed(ebpf, map::REASON_COUNTERS)?,
            pin_counters: typed(ebpf, map::PIN_COUNTERS)?,
            service_counters: typed(ebpf, map::SERVICE_COUNTERS)?,
            backend_counters: typed(ebpf, map::BACKEND_COUNTERS)?,
        })
    }

    /// Everything the maps hold. Pages that no pool refers to are left out.
    ///
    /// # Errors
    /// A hash map cannot be read.
    pub fn observe(&self) -> Result<Image, MapsError> {
        let mut image = Image { services: self.services.read(), ..Image::default() };
        for (index, entry) in self.pools.iter().enumerate() {
            if entry.name_hash != 0 {
                image.pools.insert(u32::try_from(index).unwrap_or(u32::MAX), entry);
            }
        }
        for (index, entry) in self.backends.iter().enumerate() {
            let index = u16::try_from(index).ok().and_then(BackendIndex::new);
            if let Some(index) = index.filter(|_| entry.name_hash != 0) {
                image.backends.insert(index, entry);
            }
        }
        let pages: Vec<_> = image.pools.values().flat_map(pages_of_pool).collect();
        for page in pages {
            image.pages.insert(page, Arc::new(self.page(page)));
        }
        for entry in &self.quic_servers {
            let (key, value) = entry.map_err(kernel("read", map::QUIC_SERVERS))?;
            if let Some(backend) = u16::try_from(value).ok().and_then(BackendIndex::new) {
                image.quic_servers.insert(from_words(key), backend);
            }
        }
        image.egress = self.egress()?;
        Ok(image)
    }

    /// The interfaces that packets may leave by. The kernel takes one out when it goes.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn egress(&self) -> Result<BTreeSet<u32>, MapsError> {
        let keys: Result<_, _> = self.egress.keys().collect();
        keys.map_err(kernel("read", map::EGRESS))
    }

    /// Carries out one operation of a plan.
    ///
    /// # Errors
    /// The kernel refuses a write; what was written before stays.
    pub fn execute(&mut self, op: &Op) -> Result<(), MapsError> {
        match op {
            Op::ResetService { service } => {
                reset(&mut self.service_counters, *service, map::SERVICE_COUNTERS)
            }
            Op::ResetBackend { index } => {
                reset(&mut self.backend_counters, u32::from(index.value()), map::BACKEND_COUNTERS)
            }
            Op::PutBackend { index, entry } => {
                self.put_backend(*index, entry);
                Ok(())
            }
            Op::PutTable { first_page, slots } => {
                self.put_table(*first_page, slots);
                Ok(())
            }
            Op::PutPool { index, entry } => {
                self.put_pool(*index, entry);
                Ok(())
            }
            Op::PutQuicServer { key, backend } => self
                .quic_servers
                .insert(to_words(key), u64::from(backend.value()), 0)
                .map_err(kernel("write", map::QUIC_SERVERS)),
            Op::RemoveQuicServer { key } => {
                absent_is_gone(self.quic_servers.remove(&to_words(key)), map::QUIC_SERVERS)
            }
            Op::PutEgress { ifindex } => self.put_egress(*ifindex),
            Op::RemoveEgress { ifindex } => {
                absent_is_gone(self.egress.remove(*ifindex), map::EGRESS)
            }
            Op::PutServices { table } => self.services.replace(table),
            Op::RemovePool { index } => {
                self.put_pool(*index, &PoolEntry::default());
                Ok(())
            }
            Op::RemoveBackend { index } => {
                self.put_backend(*index, &BackendEntry::default());
                Ok(())
            }
            Op::AwaitReaders => await_readers(),
            Op::PutSlot { page, offset, slot } => {
                self.put_slot(*page, *offset, *slot);
                Ok(())
            }
        }
    }

    /// Every place of the pin table, bucket after bucket, free ones included.
    pub fn pins(&self) -> impl Iterator<Item = Pin> + '_ {
        self.pins.words().iter().map(|word| Pin(word.load(Ordering::Relaxed)))
    }

    /// Empties the place at a position of [`Self::pins`], if it still holds `expected`: a flow
    /// that has been seen meanwhile keeps its pin.
    pub fn remove_pin(&self, position: usize, expected: Pin) -> bool {
        self.replace_pin(position, expected, Pin::EMPTY)
    }

    /// Puts `new` in the place at a position of [`Self::pins`], if it still holds `expected`.
    pub fn replace_pin(&self, position: usize, expected: Pin, new: Pin) -> bool {
        let (Pin(expected), Pin(new)) = (expected, new);
        self.pins.words().get(position).is_some_and(|word| {
            word.compare_exchange(expected, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    /// Flows that a backend is known to have.
    pub fn load(&self, backend: BackendIndex) -> u64 {
        let cell = self.loads.words().get(usize::from(backend.value()));
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// Says how many flows a backend has. Those that come in meanwhile are counted the next time.
    pub fn put_load(&self, backend: BackendIndex, flows: u64) {
        if let Some(cell) = self.loads.words().get(usize::from(backend.value())) {
            cell.store(flows, Ordering::Relaxed);
        }
    }

    /// New flows that a pool's scheduler has placed.
    pub fn turn(&self, pool: u32) -> u64 {
        let cell = self.turns.words().get(pool as usize);
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// A change of what is said of a backend itself is valid in any order of its words; one of the
    /// way to it is not.
    fn put_backend(&self, index: BackendIndex, entry: &BackendEntry) {
        let index = usize::from(index.value());
        let before: BackendEntry = self.backends.read(index);
        let BackendEntry { flags, weight, .. } = *entry;
        if before.name_hash == 0 || *entry == (BackendEntry { flags, weight, ..before }) {
            self.backends.put(index, entry);
            return;
        }
        // Packets that want it now are dropped: without a next hop none goes half one way, half
        // the other.
        let flags = before.flags & !BackendEntry::NEXT_HOP_KNOWN;
        self.backends.put(index, &BackendEntry { flags, ..before });
        let flags = entry.flags & !BackendEntry::NEXT_HOP_KNOWN;
        self.backends.put(index, &BackendEntry { flags, ..*entry });
        self.backends.put(index, entry);
    }

    /// What an entry refers to is there before the write and after it: any order of its words is
    /// valid, except where a pool takes another's place.
    fn put_pool(&self, index: u32, entry: &PoolEntry) {
        let index = index as usize;
        let before: PoolEntry = self.pools.read(index);
        if before.name_hash != 0 && before.name_hash != entry.name_hash {
            self.pools.put(index, &PoolEntry { table: TableRef::default(), ..before });
            self.pools.put(index, &PoolEntry { table: TableRef::default(), ..*entry });
        }
        self.pools.put(index, entry);
    }

    fn put_egress(&mut self, ifindex: u32) -> Result<(), MapsError> {
        match self.egress.insert(ifindex, ifindex, None, 0) {
            // None of ours is chained to a program.
            Ok(()) | Err(XdpMapError::ChainedProgramNotSupported) => Ok(()),
            // It has gone since somebody saw it, and took its entry along. Who looks again sees so.
            Err(XdpMapError::MapError(MapError::SyscallError(error)))
                if error.io_error.raw_os_error() == Some(Errno::EINVAL as i32) =>
            {
                Ok(())
            }
            Err(XdpMapError::MapError(source)) => Err(kernel("write", map::EGRESS)(source)),
        }
    }

    fn put_slot(&self, page: u32, offset: u32, slot: Slot) {
        let index = page as usize * words_of::<TablePage>() + offset as usize / 2;
        let Some(cell) = self.pages.words().get(index) else { return };
        // Nobody else writes to tables, so the other half of the word cannot change meanwhile.
        let mut pair: [Slot; 2] = zerocopy::transmute!(cell.load(Ordering::Relaxed));
        if let Some(half) = pair.get_mut(offset as usize % 2) {
            *half = slot;
        }
        cell.store(zerocopy::transmute!(pair), Ordering::Release);
    }

    fn put_table(&self, first_page: u32, slots: &[Slot]) {
        let start = first_page as usize * words_of::<TablePage>();
        let cells = self.pages.words().get(start..).unwrap_or_default();
        for (cell, pair) in cells.iter().zip(slots.chunks(2)) {
            let mut word = [Slot::default(); 2];
            for (half, slot) in word.iter_mut().zip(pair) {
                *half = *slot;
            }
            cell.store(zerocopy::transmute!(word), Ordering::Relaxed);
        }
        // The switch to this table must not be seen before the table itself.
        std::sync::atomic::fence(Ordering::Release);
    }

    fn page(&self, number: u32) -> Vec<Slot> {
        let start = number as usize * words_of::<TablePage>();
        let cells = self.pages.words().get(start..start + words_of::<TablePage>());
        let slots =
            |cell: &AtomicU64| -> [Slot; 2] { zerocopy::transmute!(cell.load(Ordering::Relaxed)) };
        cells.unwrap_or_default().iter().flat_map(slots).collect()
    }
}

/// The outcome of a removal: a plan may be carried out twice.
fn absent_is_gone(removed: Result<(), MapError>, name: &'static str) -> Result<(), MapsError> {
    match removed {
        Err(MapError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => {
            Ok(())
        }
        other => other.map_err(kernel("write", name)),
    }
}

fn await_readers() -> Result<(), MapsError> {
    sys::await_readers().map_err(|source| MapsError::AwaitReaders { source })
}

pub(super) fn kernel(
    operation: &'static str,
    name: &'static str,
) -> impl Fn(MapError) -> MapsError {
    move |source| MapsError::Kernel { operation, name, source }
}

#[cfg(test)]
mod tests;
