//! The pin table on the host: the same buckets as the kernel's, for one thread.

use std::cell::Cell;
use std::vec::Vec;

use crate::abi::{PINS_PER_BUCKET, Pin, pin_bucket};
use crate::tables::Pins;

/// One bucket.
#[derive(Clone, Debug, Default)]
pub struct HostBucket([Cell<Pin>; PINS_PER_BUCKET]);

impl Pins for HostBucket {
    fn load(&self, place: usize) -> Pin {
        self.0.get(place).map(Cell::get).unwrap_or_default()
    }

    fn replace(&self, place: usize, expected: Pin, new: Pin) -> bool {
        let Some(cell) = self.0.get(place).filter(|cell| cell.get() == expected) else {
            return false;
        };
        cell.set(new);
        true
    }
}

/// A whole table.
#[derive(Clone, Debug)]
pub struct PinTable(Vec<HostBucket>);

impl PinTable {
    /// An empty table.
    pub fn new(buckets: u32) -> Self {
        Self((0..buckets).map(|_| HostBucket::default()).collect())
    }

    /// A table with these pins, bucket after bucket.
    pub fn from_pins(pins: impl IntoIterator<Item = Pin>) -> Self {
        let pins: Vec<_> = pins.into_iter().map(Cell::new).collect();
        Self(pins.as_chunks::<PINS_PER_BUCKET>().0.iter().cloned().map(HostBucket).collect())
    }

    /// The bucket of a flow.
    pub fn bucket(&self, hash: u64) -> Option<&HostBucket> {
        let buckets = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.get(pin_bucket(hash, buckets) as usize)
    }

    /// All places, bucket after bucket, free ones included.
    pub fn iter(&self) -> impl Iterator<Item = Pin> + '_ {
        self.0.iter().flat_map(|bucket| bucket.0.iter().map(Cell::get))
    }

    /// Empties the place at a position of [`Self::iter`], if it still holds `expected`.
    pub fn remove(&self, position: usize, expected: Pin) -> bool {
        let bucket = self.0.get(position / PINS_PER_BUCKET);
        let place = position % PINS_PER_BUCKET;
        bucket.is_some_and(|bucket| bucket.replace(place, expected, Pin::EMPTY))
    }
}
