//! The Maglev tables and the rotations of all pools, rebuilt only when something they depend on has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use lb_common::abi::{BackendIndex, Slot};
use lb_common::config::{Desired, Scheduler};
use lb_common::maglev::{self, BuildError, Entry, TableInput};
use thiserror::Error;

use super::effective::EffectivePool;
use super::ids::Ids;
use super::rotation::Rotation;

/// A pool's table could not be built.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("cannot build the table of pool {pool}")]
pub struct TableError {
    /// The pool.
    pub pool: String,
    /// Why.
    #[source]
    pub source: BuildError,
}

/// Everything a table depends on.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Inputs {
    slots: u32,
    seed: [u64; 2],
    scheduler: Scheduler,
    entries: Vec<(String, u16, BackendIndex)>,
}

impl Inputs {
    /// Whether they are these. Most pools' are the same in most changes, so nothing is copied.
    fn are<'a>(
        &self,
        how: (u32, [u64; 2], Scheduler),
        mut entries: impl Iterator<Item = (&'a str, u16, BackendIndex)>,
    ) -> bool {
        let mut own = self.entries.iter();
        let is_next = |(name, weight, index): (&str, u16, BackendIndex)| {
            own.next().is_some_and(|own| (own.0.as_str(), own.1, own.2) == (name, weight, index))
        };
        (self.slots, self.seed, self.scheduler) == how
            && entries.all(is_next)
            && own.next().is_none()
    }

    /// Whether the tables are the same, whatever the rotations.
    fn build_alike(&self, other: &Self) -> bool {
        let Self { slots, seed, scheduler: _, entries } = self;
        (slots, seed, entries) == (&other.slots, &other.seed, &other.entries)
    }
}

/// A table with what it was built from.
#[derive(Clone, Debug)]
struct Built {
    inputs: Arc<Inputs>,
    slots: Arc<[Slot]>,
    rotation: Rotation,
}

/// The tables of all pools. A copy shares them.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    by_pool: BTreeMap<String, Built>,
}

impl Tables {
    /// Brings every pool's table up to date and forgets those of other pools.
    ///
    /// # Errors
    /// A pool has more backends than slots.
    pub fn update(
        &mut self,
        desired: &Desired,
        effective: &BTreeMap<String, EffectivePool>,
        ids: &Ids,
    ) -> Result<(), TableError> {
        let mut next = BTreeMap::new();
        for (name, pool) in &desired.pools {
            let how = (pool.table_slots, desired.hash_seed, pool.scheduler);
            let entries = || entries(name, effective.get(name), ids);
            let built = match self.by_pool.get(name) {
                Some(before) if before.inputs.are(how, entries()) => before.clone(),
                before => {
                    let (slots, seed, scheduler) = how;
                    let entries =
                        entries().map(|(name, weight, index)| (name.to_owned(), weight, index));
                    let inputs = Inputs { slots, seed, scheduler, entries: entries.collect() };
                    let like = before.filter(|before| before.inputs.build_alike(&inputs));
                    let slots = match like {
                        Some(before) => Arc::clone(&before.slots),
                        None => build(name, &inputs)
                            .map_err(|source| TableError { pool: name.clone(), source })?,
                    };
                    let weights = inputs.entries.iter().map(|(_, weight, index)| (*index, *weight));
                    let rotation = Rotation::of(inputs.scheduler, weights, inputs.slots);
                    Built { inputs: Arc::new(inputs), slots, rotation }
                }
            };
            next.insert(name.clone(), built);
        }
        self.by_pool = next;
        Ok(())
    }

    /// The slots of every pool, by name.
    pub fn all_slots(&self) -> impl Iterator<Item = (&str, &Arc<[Slot]>)> {
        self.by_pool.iter().map(|(name, built)| (name.as_str(), &built.slots))
    }

    /// The slots of a pool, empty ones if no backend takes new flows; none of an unknown pool.
    pub fn slots(&self, pool: &str) -> Arc<[Slot]> {
        self.by_pool.get(pool).map(|built| Arc::clone(&built.slots)).unwrap_or_default()
    }

    /// The backends of a pool with their names.
    pub fn indices(&self, pool: &str) -> impl Iterator<Item = (&str, BackendIndex)> {
        let built = self.by_pool.get(pool).into_iter();
        let entries = built.flat_map(|built| &built.inputs.entries);
        entries.map(|(name, _, index)| (name.as_str(), *index))
    }

    /// A pool's rotation; none of an unknown pool.
    pub fn rotation(&self, pool: &str) -> Rotation {
        self.by_pool.get(pool).map(|built| built.rotation.clone()).unwrap_or_default()
    }

    /// The backends that a pool's table sends new flows to, with their weights.
    pub fn weights(&self, pool: &str) -> BTreeMap<BackendIndex, u16> {
        let built = self.by_pool.get(pool);
        let weighed = built.into_iter().flat_map(|built| &built.inputs.entries);
        let accepting = weighed.filter(|(_, weight, _)| *weight > 0);
        accepting.map(|(_, weight, index)| (*index, *weight)).collect()
    }

    /// Share of a pool's slots that each of its backends has, 0..=1.
    pub fn shares(&self, pool: &str) -> BTreeMap<BackendIndex, f64> {
        let slots = self.slots(pool);
        let mut counts = vec![0_u32; usize::from(BackendIndex::MAX) + 1];
        for slot in slots.iter() {
            if let Some(count) = counts.get_mut(usize::from(slot.current().value())) {
                *count += 1;
            }
        }
        let total = f64::from(u32::try_from(slots.len().max(1)).unwrap_or(u32::MAX));
        let share = |index: BackendIndex| {
            let count = counts.get(usize::from(index.value())).copied().unwrap_or(0);
            (count > 0).then(|| (index, f64::from(count) / total))
        };
        self.weights(pool).into_keys().filter_map(share).collect()
    }
}

fn entries<'a>(
    pool: &'a str,
    effective: Option<&'a EffectivePool>,
    ids: &'a Ids,
) -> impl Iterator<Item = (&'a str, u16, BackendIndex)> {
    effective.into_iter().flatten().filter_map(move |(name, backend)| {
        let index = ids.backend(pool, name)?;
        Some((name.as_str(), backend.table_weight().value(), index))
    })
}

fn build(pool: &str, inputs: &Inputs) -> Result<Arc<[Slot]>, BuildError> {
    let entries: Vec<_> =
        inputs.entries.iter().map(|(name, weight, _)| Entry { name, weight: *weight }).collect();
    let input = TableInput { pool, slots: inputs.slots, seed: inputs.seed, entries: &entries };
    let mut positions = maglev::build(&input)?;
    // Nobody takes new flows: a table of empty slots, so that old ones keep their place in it.
    positions.resize(inputs.slots as usize, u32::MAX);
    let slot_of = |position: u32| {
        let entry = inputs.entries.get(position as usize);
        entry.map_or(Slot::default(), |(_, _, index)| Slot::clean(*index))
    };
    Ok(positions.into_iter().map(slot_of).collect())
}

#[cfg(test)]
mod tests;
