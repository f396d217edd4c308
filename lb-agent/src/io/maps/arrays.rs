//! Arrays in memory, and the conversion of entries to words and back.

use std::sync::atomic::Ordering;

use aya::Ebpf;
use aya::maps::{Map, MapError};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{MapsError, kernel};
use crate::io::sys::MappedWords;

/// An array map in memory, each element `N` words.
#[derive(Debug)]
pub(super) struct MappedArray<T, const N: usize> {
    words: MappedWords,
    element: std::marker::PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Immutable, const N: usize> MappedArray<T, N> {
    pub(super) fn take(ebpf: &mut Ebpf, name: &'static str, entries: usize) -> Result<Self, MapsError> {
        let words = mapped(ebpf, name, entries * N)?;
        Ok(Self { words, element: std::marker::PhantomData })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.words.words().chunks_exact(N).map(|cells| {
            let mut words = [0; N];
            for (word, cell) in words.iter_mut().zip(cells) {
                *word = cell.load(Ordering::Acquire);
            }
            from_words(words)
        })
    }

    /// Writes an element, its first word last: that is the one by which packets enter it.
    pub(super) fn put(&self, index: usize, value: &T) {
        let words: [u64; N] = to_words(value);
        let cells = self.words.words().get(index * N..).unwrap_or_default();
        let pairs: Vec<_> = cells.iter().zip(words).collect();
        for (cell, word) in pairs.into_iter().rev() {
            cell.store(word, Ordering::Release);
        }
    }
}

fn take(ebpf: &mut Ebpf, limits: &Limits) -> Result<Self, MapsError> {
        let pages = table_pages(limits) as usize * words_of::<TablePage>();
        Ok(Self {
            services: typed(ebpf, map::SERVICES)?,
            pools: MappedArray::take(ebpf, map::POOLS, limits.pools as usize)?,
            pages: mapped(ebpf, map::TABLE_PAGES, pages)?,
            backends: MappedArray::take(ebpf, map::BACKENDS, limits.backends as usize + 1)?,
            reason_counters: typed(ebpf, map::REASON_COUNTERS)?,
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
                image.pages.insert(page, self.page(page));
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
                await_readers();
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
            Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
            Err(source) => Err(kernel("write", map::SERVICES)(source)),
        }
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

/// An array map in memory, each element `N` words.
#[derive(Debug)]
struct MappedArray<T, const N: usize> {
    words: MappedWords,
    element: std::marker::PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Immutable, const N: usize> MappedArray<T, N> {
    fn take(ebpf: &mut Ebpf, name: &'static str, entries: usize) -> Result<Self, MapsError> {
        let words = mapped(ebpf, name, entries * N)?;
        Ok(Self { words, element: std::marker::PhantomData })
    }

    fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.words.words().chunks_exact(N).map(|cells| {
            let mut words = [0; N];
            for (word, cell) in words.iter_mut().zip(cells) {
                *word = cell.load(Ordering::Acquire);
            }
            from_words(words)
        })
    }

    /// Writes an element, its first word last: that is the one by which packets enter it.
    fn put(&self, index: usize, value: &T) {
        let words: [u64; N] = to_words(value);
        let cells = self.words.words().get(index * N..).unwrap_or_default();
        let pairs: Vec<_> = cells.iter().zip(words).collect();
        for (cell, word) in pairs.into_iter().rev() {
            cell.store(word, Ordering::Release);
        }
    }
}

fn to_words<T: IntoBytes + Immutable, const N: usize>(value: &T) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(value.as_bytes().as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

fn from_words<T: FromBytes, const N: usize>(words: [u64; N]) -> T {
    // Sizes are equal wherever this is called: N is `words_of::<T>()`.
    T::read_from_prefix(words.as_bytes()).map_or_else(|_| T::new_zeroed(), |(value, _)| value)
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, MapsError> {
    ebpf.take_map(name).ok_or(MapsError::Absent { name })
}

pub(super) fn typed<T: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, MapsError> {
    T::try_from(take(ebpf, name)?).map_err(kernel("open", name))
}

pub(super) fn mapped(ebpf: &mut Ebpf, name: &'static str, words: usize) -> Result<MappedWords, MapsError> {
    let (Map::Array(map) | Map::PerCpuArray(map)) = take(ebpf, name)? else {
        return Err(MapsError::Absent { name });
    };
    MappedWords::new(map.fd(), words).map_err(|source| MapsError::Mmap { name, source })
}

