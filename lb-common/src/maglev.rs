//! The Maglev table of a pool: which backend each slot belongs to.
//!
//! Weighted Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load
//! Balancer", NSDI 2016, §3.4). Each entry walks its own permutation of the slots, given by two
//! hashes of its name, and takes the next free slot whenever it is its turn. In the paper the
//! entries take turns one after another; here entry `i` takes its turn number `k` at the virtual
//! time `k / weight`, ties in the order of names. Equal weights therefore give exactly the
//! paper's table, and an entry's share is its weight's, rounded up.
//!
//! Invariants:
//! - The table is a pure function of pool name, number of slots, seed and the *set* of (name,
//!   weight): every balancer of a cluster builds the same one, whatever the order of its file.
//! - Only integers are compared, and fractions exactly: no rounding that could differ.
//! - An entry with a weight has at least one slot; an entry of weight 0 has none.
//!
//! Callers: the agent's planner, the trace command, benchmarks. Pure: no clock, no global state.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{fmt, vec};

use crate::name_hash::stable_hash;

/// One backend as the builder sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Name, unique in the pool.
    pub name: &'a str,
    /// Relative share of the slots; 0 takes none.
    pub weight: u16,
}

/// Everything a table depends on.
#[derive(Clone, Copy, Debug)]
pub struct TableInput<'a> {
    /// Name of the pool: two pools with the same backends spread their flows differently.
    pub pool: &'a str,
    /// Number of slots, a prime; 100 per entry keep shares and disruption within about 1 %.
    pub slots: u32,
    /// The cluster's hash seed.
    pub seed: [u64; 2],
    /// The backends, in any order.
    pub entries: &'a [Entry<'a>],
}

/// Why there can be no table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildError {
    /// The number of slots is not a prime, so skips would not reach every slot.
    NotPrime {
        /// The number asked for.
        slots: u32,
    },
    /// More entries with a weight than slots.
    TooFewSlots {
        /// The number of slots.
        slots: u32,
        /// Entries that want one.
        entries: usize,
    },
    /// Two entries have the same name.
    DuplicateName {
        /// The name.
        name: String,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPrime { slots } => write!(f, "{slots} slots: not a prime number"),
            Self::TooFewSlots { slots, entries } => {
                write!(f, "{slots} slots are too few for {entries} backends")
            }
            Self::DuplicateName { name } => write!(f, "two backends are called {name:?}"),
        }
    }
}

impl std::error::Error for BuildError {}

/// Builds the table: for each slot the position of its backend in `input.entries`.
///
/// The table is empty if no entry has a weight.
///
/// # Errors
/// The number of slots is no prime or less than the number of entries, or a name occurs twice.
pub fn build(input: &TableInput<'_>) -> Result<Vec<u32>, BuildError> {
    if !is_prime(input.slots) {
        return Err(BuildError::NotPrime { slots: input.slots });
    }
    let mut turns = BinaryHeap::from(first_turns(input)?);
    if turns.len() > input.slots as usize {
        return Err(BuildError::TooFewSlots { slots: input.slots, entries: turns.len() });
    }
    if turns.is_empty() {
        return Ok(Vec::new());
    }
    let mut table = vec![FREE; input.slots as usize];
    for _ in 0..input.slots {
        // Changed in place: the heap moves the turn to its later time when `first` is dropped.
        let Some(mut first) = turns.peek_mut() else {
            break;
        };
        let position = first.position;
        first.walk.take_free_slot(&mut table, position);
        first.taken += 1;
    }
    Ok(table)
}

/// Whether `number` is a prime.
#[must_use]
pub const fn is_prime(number: u32) -> bool {
    if number < 2 || number.is_multiple_of(2) {
        return number == 2;
    }
    let mut divisor = 3;
    while divisor <= number / divisor {
        if number.is_multiple_of(divisor) {
            return false;
        }
        divisor += 2;
    }
    true
}

/// Mark of a slot that nobody has taken yet.
const FREE: u32 = u32::MAX;

/// Every entry with a weight, at its first turn.
fn first_turns(input: &TableInput<'_>) -> Result<Vec<Turn>, BuildError> {
    let mut sorted: Vec<_> = (0..).zip(input.entries).collect();
    sorted.sort_unstable_by_key(|(_, entry)| entry.name);
    if let Some(name) = first_duplicate(&sorted) {
        return Err(BuildError::DuplicateName { name: name.to_string() });
    }
    let walks = Walks::new(input);
    Ok((0..)
        .zip(sorted)
        .filter(|(_, (_, entry))| entry.weight > 0)
        .map(|(rank, (position, entry))| Turn {
            taken: 0,
            weight: u64::from(entry.weight),
            rank,
            position,
            walk: walks.of(entry.name),
        })
        .collect())
}

fn first_duplicate<'a>(sorted: &[(u32, &Entry<'a>)]) -> Option<&'a str> {
    let mut pairs = sorted.iter().zip(sorted.iter().skip(1));
    pairs.find(|((_, a), (_, b))| a.name == b.name).map(|((_, entry), _)| entry.name)
}

/// The next turn of one entry. The greatest one in the heap is the earliest in virtual time.
struct Turn {
    /// Slots taken so far: the number of this turn.
    taken: u64,
    weight: u64,
    /// Place of the entry in the order of names: no two are equal, so the order is total.
    rank: u32,
    /// Place of the entry in the input.
    position: u32,
    walk: Walk,
}

impl Ord for Turn {
    /// Compares `taken / weight` by cross multiplication: exact, and below 2^48.
    fn cmp(&self, other: &Self) -> Ordering {
        let (own, others) = (self.taken * other.weight, other.taken * self.weight);
        others.cmp(&own).then(other.rank.cmp(&self.rank))
    }
}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

/// Makes the walks of one pool.
struct Walks {
    slots: u32,
    offset_seed: [u64; 2],
    skip_seed: [u64; 2],
}

impl Walks {
    fn new(input: &TableInput<'_>) -> Self {
        let [a, b] = input.seed;
        // Distinct constants keep the four derived words apart; never change them.
        let word = |salt: u64| stable_hash([a ^ salt, b], input.pool.as_bytes());
        Self { slots: input.slots, offset_seed: [word(1), word(2)], skip_seed: [word(3), word(4)] }
    }

    fn of(&self, name: &str) -> Walk {
        let slots = u64::from(self.slots);
        let offset = stable_hash(self.offset_seed, name.as_bytes()) % slots;
        // Slots is a prime, at least 2: any skip from 1 to slots - 1 reaches every slot.
        let skip = stable_hash(self.skip_seed, name.as_bytes()) % (slots - 1) + 1;
        let narrow = |value: u64| u32::try_from(value).unwrap_or(0);
        Walk { slots: self.slots, next: narrow(offset), skip: narrow(skip) }
    }
}

/// One entry's permutation of the slots, and how far it has walked along it.
struct Walk {
    slots: u32,
    next: u32,
    skip: u32,
}

impl Walk {
    /// Gives the first free slot on the way to `position`. One must be left.
    fn take_free_slot(&mut self, table: &mut [u32], position: u32) {
        for _ in 0..self.slots {
            let slot = self.next;
            // `next + skip` modulo slots, without overflow for any number of slots.
            let room = self.slots - self.skip;
            self.next = if slot >= room { slot - room } else { slot + self.skip };
            if let Some(owner) = table.get_mut(slot as usize)
                && *owner == FREE
            {
                *owner = position;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
