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
            let inputs = Inputs {
                slots: pool.table_slots,
                seed: desired.hash_seed,
                scheduler: pool.scheduler,
                entries: entries(name, effective.get(name), ids),
            };
            let built = match self.by_pool.get(name) {
                Some(before) if *before.inputs == inputs => before.clone(),
                before => {
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

fn entries(
    pool: &str,
    effective: Option<&EffectivePool>,
    ids: &Ids,
) -> Vec<(String, u16, BackendIndex)> {
    effective
        .into_iter()
        .flatten()
        .filter_map(|(name, backend)| {
            let index = ids.backend(pool, name)?;
            Some((name.clone(), backend.table_weight().value(), index))
        })
        .collect()
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
