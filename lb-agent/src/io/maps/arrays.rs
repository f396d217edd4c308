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
    pub(super) fn take(
        ebpf: &mut Ebpf,
        name: &'static str,
        entries: usize,
    ) -> Result<Self, MapsError> {
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

    /// One element; empty behind the last.
    pub(super) fn read(&self, index: usize) -> T {
        let cells = self.words.words().get(index * N..).unwrap_or_default();
        let mut words = [0; N];
        for (word, cell) in words.iter_mut().zip(cells) {
            *word = cell.load(Ordering::Acquire);
        }
        from_words(words)
    }

    /// Writes those words of an element that change, the last first, each by one store.
    pub(super) fn put(&self, index: usize, value: &T) {
        let words: [u64; N] = to_words(value);
        // As many as there are words: to go backwards over more, they would be counted first.
        let cells = self.words.words().get(index * N..(index + 1) * N).unwrap_or_default();
        for (cell, word) in cells.iter().zip(words).rev() {
            if cell.load(Ordering::Relaxed) != word {
                cell.store(word, Ordering::Release);
            }
        }
    }
}

pub(super) fn to_words<T: IntoBytes + Immutable, const N: usize>(value: &T) -> [u64; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(value.as_bytes().as_chunks::<8>().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

pub(super) fn from_words<T: FromBytes, const N: usize>(words: [u64; N]) -> T {
    // Sizes are equal wherever this is called: N is `words_of::<T>()`.
    T::read_from_prefix(words.as_bytes()).map_or_else(|_| T::new_zeroed(), |(value, _)| value)
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, MapsError> {
    ebpf.take_map(name).ok_or(MapsError::Absent { name })
}

pub(in crate::io) fn typed<T: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, MapsError> {
    T::try_from(take(ebpf, name)?).map_err(kernel("open", name))
}

pub(super) fn mapped(
    ebpf: &mut Ebpf,
    name: &'static str,
    words: usize,
) -> Result<MappedWords, MapsError> {
    let (Map::Array(map) | Map::PerCpuArray(map)) = take(ebpf, name)? else {
        return Err(MapsError::Absent { name });
    };
    MappedWords::new(map.fd(), words).map_err(|source| MapsError::Mmap { name, source })
}
