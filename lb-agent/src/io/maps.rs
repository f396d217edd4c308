//! The balancer's maps: what is in them, and one write at a time.
//!
//! Arrays are memory-mapped and written by whole words, so a packet never sees half of one; the
//! service map goes through the kernel's hash-map calls. Counters are per CPU and summed here.

mod arrays;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aya::Ebpf;
use aya::maps::{HashMap, MapData, MapError, MapType, PerCpuArray, PerCpuValues};
use lb_common::abi::{
    BackendEntry, BackendIndex, Counter, PINS_PER_BUCKET, Pin, PinBucket, PoolEntry,
    SLOTS_PER_PAGE, ServiceEntry, ServiceKey, Slot, TablePage, map,
};
use lb_common::config::Limits;
use lb_common::image::Image;
use lb_common::verdict::{PinEvent, Reason};
use thiserror::Error;

use super::pins::MapShape;
use super::sys::{self, MappedWords};
use crate::core::plan::Op;
use arrays::{MappedArray, from_words, mapped, to_words, typed};

/// `BPF_F_MMAPABLE`.
const MMAPABLE: u32 = 1 << 10;
type KeyWords = [u64; words_of::<ServiceKey>()];
type ServiceWords = [u64; words_of::<ServiceEntry>()];
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

/// How many elements each map has under `limits`, and everything else that must be as expected.
pub fn shapes(limits: &Limits) -> [MapShape; 9] {
    let array = |name, value_bytes, max_entries, flags| MapShape {
        name,
        map_type: MapType::Array,
        key_bytes: 4,
        value_bytes,
        max_entries,
        flags,
    };
    let counters = |name, max_entries| MapShape {
        map_type: MapType::PerCpuArray,
        ..array(name, size_of::<Counter>(), max_entries, 0)
    };
    // Index 0 of a backend means "none".
    let backends = limits.backends.saturating_add(1);
    [
        MapShape {
            name: map::SERVICES,
            map_type: MapType::Hash,
            key_bytes: size_of::<ServiceKey>(),
            value_bytes: size_of::<ServiceEntry>(),
            max_entries: limits.services,
            flags: 0,
        },
        array(map::POOLS, size_of::<PoolEntry>(), limits.pools, MMAPABLE),
        array(map::TABLE_PAGES, size_of::<TablePage>(), table_pages(limits), MMAPABLE),
        array(map::BACKENDS, size_of::<BackendEntry>(), backends, MMAPABLE),
        array(map::PINS, size_of::<PinBucket>(), pin_buckets(limits), MMAPABLE),
        counters(map::REASON_COUNTERS, Reason::COUNT),
        counters(map::PIN_COUNTERS, PinEvent::COUNT),
        counters(map::SERVICE_COUNTERS, limits.services),
        counters(map::BACKEND_COUNTERS, backends),
    ]
}

/// Buckets of the pin table under `limits`.
#[expect(clippy::cast_possible_truncation, reason = "8")]
pub const fn pin_buckets(limits: &Limits) -> u32 {
    limits.pins / PINS_PER_BUCKET as u32
}

/// Pages of the table map under `limits`.
pub const fn table_pages(limits: &Limits) -> u32 {
    limits.table_slots.div_ceil(SLOTS_PER_PAGE)
}

/// Bytes the maps of `limits` take on a machine with `cpus` possible CPUs: keys, values and, for
/// hash entries, 64 bytes for the kernel's links and buckets each (`struct htab_elem` and bucket).
pub fn memory_bytes(limits: &Limits, cpus: u64) -> u64 {
    let bytes = |shape: &MapShape| {
        let entries = u64::from(shape.max_entries);
        let value = shape.value_bytes.next_multiple_of(8) as u64;
        match shape.map_type {
            MapType::Hash => entries * (value + shape.key_bytes as u64 + 64),
            MapType::PerCpuArray => entries * (value * cpus + 8),
            _ => entries * value,
        }
    };
    shapes(limits).iter().map(bytes).sum()
}

/// The maps of a loaded balancer.
pub struct Maps {
    services: HashMap<MapData, KeyWords, ServiceWords>,
    pools: MappedArray<PoolEntry, { words_of::<PoolEntry>() }>,
    pages: MappedWords,
    backends: MappedArray<BackendEntry, { words_of::<BackendEntry>() }>,
    pins: MappedWords,
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
        Ok(Self {
            services: typed(ebpf, map::SERVICES)?,
            pools: MappedArray::take(ebpf, map::POOLS, limits.pools as usize)?,
            pages: mapped(ebpf, map::TABLE_PAGES, pages)?,
            backends: MappedArray::take(ebpf, map::BACKENDS, limits.backends as usize + 1)?,
            pins: mapped(ebpf, map::PINS, pin_buckets(limits) as usize * PINS_PER_BUCKET)?,
            reason_counters: typed(ebpf, map::REASON_COUNTERS)?,
            pin_counters: typed(ebpf, map::PIN_COUNTERS)?,
            service_counters: typed(ebpf, map::SERVICE_COUNTERS)?,
            backend_counters: typed(ebpf, map::BACKEND_COUNTERS)?,
        })
    }

    /// Everything the maps hold. Pages that no pool refers to are left out.
    ///
    /// # Errors
    /// The service map cannot be read.
    pub fn observe(&self) -> Result<Image, MapsError> {
        let mut image = Image::default();
        for entry in &self.services {
            let (key, value) = entry.map_err(kernel("read", map::SERVICES))?;
            image.services.insert(from_words(key), from_words(value));
        }
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
        let tables: Vec<_> = image.pools.values().map(|pool| pool.table).collect();
        for table in tables {
            for page in table.first_page()..table.first_page() + table.pages() {
                image.pages.insert(page, Arc::new(self.page(page)));
            }
        }
        Ok(image)
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
                self.backends.put(usize::from(index.value()), entry);
                Ok(())
            }
            Op::PutTable { first_page, slots } => {
                self.put_table(*first_page, slots);
                Ok(())
            }
            Op::PutPool { index, entry } => {
                self.pools.put(*index as usize, entry);
                Ok(())
            }
            Op::PutService { key, entry } => self
                .services
                .insert(to_words(key), to_words(entry), 0)
                .map_err(kernel("write", map::SERVICES)),
            Op::RemoveService { key } => self.remove_service(key),
            Op::RemovePool { index } => {
                self.pools.put(*index as usize, &PoolEntry::default());
                Ok(())
            }
            Op::RemoveBackend { index } => {
                self.backends.put(usize::from(index.value()), &BackendEntry::default());
                Ok(())
            }
            Op::AwaitReaders => {
                sys::await_readers().map_err(|source| MapsError::AwaitReaders { source })
            }
            Op::PutSlot { page, offset, slot } => {
                self.put_slot(*page, *offset, *slot);
                Ok(())
            }
        }
    }

    /// Packets and bytes by reason.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn reason_counters(&self) -> Result<BTreeMap<Reason, Counter>, MapsError> {
        let count = |reason: &Reason| {
            let counter = sum(&self.reason_counters, reason.index(), map::REASON_COUNTERS)?;
            Ok((*reason, counter))
        };
        Reason::ALL.iter().map(count).collect()
    }

    /// How often there was trouble with a pin.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn pin_events(&self, event: PinEvent) -> Result<u64, MapsError> {
        Ok(sum(&self.pin_counters, event.index(), map::PIN_COUNTERS)?.packets)
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

    /// Packets and bytes of a service.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn service_counter(&self, service: u32) -> Result<Counter, MapsError> {
        sum(&self.service_counters, service, map::SERVICE_COUNTERS)
    }

    /// Packets and bytes of a backend.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn backend_counter(&self, index: BackendIndex) -> Result<Counter, MapsError> {
        sum(&self.backend_counters, u32::from(index.value()), map::BACKEND_COUNTERS)
    }

    fn remove_service(&mut self, key: &ServiceKey) -> Result<(), MapsError> {
        match self.services.remove(&to_words(key)) {
            // Gone already: a plan may be carried out twice.
            Err(MapError::SyscallError(error))
                if error.io_error.kind() == io::ErrorKind::NotFound =>
            {
                Ok(())
            }
            other => other.map_err(kernel("write", map::SERVICES)),
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

fn kernel(operation: &'static str, name: &'static str) -> impl Fn(MapError) -> MapsError {
    move |source| MapsError::Kernel { operation, name, source }
}

fn sum(
    counters: &PerCpuArray<MapData, CounterWords>,
    index: u32,
    name: &'static str,
) -> Result<Counter, MapsError> {
    let per_cpu = counters.get(&index, 0).map_err(kernel("read", name))?;
    Ok(per_cpu.iter().fold(Counter::default(), |sum, words| {
        let counter: Counter = from_words(*words);
        Counter { packets: sum.packets + counter.packets, bytes: sum.bytes + counter.bytes }
    }))
}

fn reset(
    counters: &mut PerCpuArray<MapData, CounterWords>,
    index: u32,
    name: &'static str,
) -> Result<(), MapsError> {
    let cpus = aya::util::nr_cpus().map_err(|(_, source)| MapsError::Mmap { name, source })?;
    let zeroes = PerCpuValues::try_from(vec![[0; words_of::<Counter>()]; cpus])
        .map_err(|source| MapsError::Mmap { name, source })?;
    counters.set(index, zeroes, 0).map_err(kernel("write", name))
}

#[cfg(test)]
mod tests;
