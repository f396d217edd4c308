//! The service table: a place for every key such that each is found at the first look.
//!
//! Callers: the agent, which writes what this builds to the maps. Pure, and the same for the same
//! services. [`crate::abi::ServiceHalf`] says how it is read.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use crate::abi::{ServiceEntry, ServiceHalf, ServiceKey, ServicePlace};
use crate::hash::by_chance;

/// Multipliers that are tried for a bucket. Its keys have free places with about one in five, one in
/// twenty-five for two, and large buckets come first, when nearly all places are free.
const TRIALS: u32 = 1 << 16;

/// Attempts with other numbers to multiply by. One is enough, but for keys made to collide.
const ATTEMPTS: u64 = 16;

/// Buckets for so many services: two keys in each.
pub const fn buckets(services: u32) -> u32 {
    services / 2 + 1
}

/// Places for so many services: four in five are taken.
pub const fn places(services: u32) -> u32 {
    services.saturating_add(services / 4 + 1)
}

/// What one half of the maps is to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceTable {
    /// How it is read, as if it began at bucket and place 0.
    pub half: ServiceHalf,
    /// The buckets' multipliers.
    pub buckets: Vec<u64>,
    /// The places.
    pub places: Vec<ServicePlace>,
}

impl ServiceTable {
    /// Finds a place for each service; `None` if there is none, which no keys are known to do.
    pub fn build(services: &BTreeMap<ServiceKey, ServiceEntry>) -> Option<Self> {
        // Chance makes a poor number of 0.
        (1..=ATTEMPTS).find_map(|attempt| Self::attempt(services, attempt))
    }

    /// The services that it has places for.
    pub fn services(&self) -> BTreeMap<ServiceKey, ServiceEntry> {
        let taken = self.places.iter().filter(|place| **place != ServicePlace::default());
        taken.map(|place| (place.key, place.entry)).collect()
    }

    fn attempt(services: &BTreeMap<ServiceKey, ServiceEntry>, attempt: u64) -> Option<Self> {
        let count = u32::try_from(services.len()).ok()?;
        let half = ServiceHalf {
            multipliers: [0, 1, 2, 3].map(|number| by_chance(attempt, number) | 1),
            buckets: buckets(count),
            places: places(count),
            ..ServiceHalf::default()
        };
        let mut members = vec![Vec::new(); half.buckets as usize];
        for (key, entry) in services {
            let hash = half.hash(key);
            let place = ServicePlace { key: *key, entry: *entry };
            members.get_mut(half.bucket(hash) as usize)?.push((hash, place));
        }
        let mut order: Vec<_> = members.iter().zip(0_usize..).collect();
        order.sort_by_key(|(members, bucket)| (Reverse(members.len()), *bucket));
        let mut table = Self {
            half,
            buckets: vec![0; half.buckets as usize],
            places: vec![ServicePlace::default(); half.places as usize],
        };
        for (members, bucket) in order {
            let mut multipliers = (0..TRIALS).map(|trial| by_chance(!attempt, trial) | 1);
            let multiplier = multipliers.find(|multiplier| table.put(members, *multiplier))?;
            *table.buckets.get_mut(bucket)? = multiplier;
        }
        Some(table)
    }

    /// Puts the keys of a bucket where the multiplier leads, if those places are free; else none.
    fn put(&mut self, members: &[(u64, ServicePlace)], multiplier: u64) -> bool {
        for (done, (hash, member)) in members.iter().enumerate() {
            let place = self.half.place(*hash, multiplier) as usize;
            match self.places.get_mut(place) {
                Some(free) if *free == ServicePlace::default() => *free = *member,
                _ => {
                    for (hash, _) in members.iter().take(done) {
                        let place = self.half.place(*hash, multiplier) as usize;
                        if let Some(taken) = self.places.get_mut(place) {
                            *taken = ServicePlace::default();
                        }
                    }
                    return false;
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
