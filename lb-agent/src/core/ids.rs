//! Which index each service, pool and backend has in the maps.
//!
//! Names are not in the maps, but a stable hash of each is: a restarted agent reads its indices
//! back from the entries themselves, so no file can ever disagree with the maps. Index 0 of a
//! backend means "none". An index is free only once its entry has gone from the maps, and the search
//! for one goes on behind the last that was given away.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Limits, NAME_MAX_BYTES};
use lb_common::image::Image;
use lb_common::name_hash::{NAME_SEED, stable_hash};
use thiserror::Error;

/// Hash of a name, as the maps hold it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NameHash(pub u64);

impl NameHash {
    /// Of a service or a pool.
    pub fn of(name: &str) -> Self {
        Self(stable_hash(NAME_SEED, name.as_bytes()))
    }

    /// Of a backend: names cannot contain a slash, so no two pairs meet.
    pub fn of_backend(pool: &str, backend: &str) -> Self {
        // Ten thousand a command: without an allocation each, if both are names.
        let mut joined = [0; 2 * NAME_MAX_BYTES + 1];
        let parts = [pool.as_bytes(), b"/", backend.as_bytes()];
        let mut length = 0;
        for part in parts {
            let Some(place) = joined.get_mut(length..length + part.len()) else {
                return Self::of(&parts.map(String::from_utf8_lossy).concat());
            };
            place.copy_from_slice(part);
            length += part.len();
        }
        Self(stable_hash(NAME_SEED, joined.get(..length).unwrap_or_default()))
    }
}

/// More things than the maps have room for.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("no free index for {what}: limits.{limit} is {size}")]
pub struct Exhausted {
    /// What was to be placed.
    pub what: String,
    /// The limit that is too small.
    pub limit: &'static str,
    /// Its value.
    pub size: u32,
}

/// The indices in use.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ids {
    services: Space,
    pools: Space,
    backends: Space,
}

impl Ids {
    /// The indices that the maps' entries claim.
    pub fn adopt(image: &Image) -> Self {
        let mut ids = Self::default();
        for entry in image.services.values() {
            ids.services.claim(NameHash(entry.name_hash), entry.service);
        }
        for (index, entry) in &image.pools {
            ids.pools.claim(NameHash(entry.name_hash), *index);
        }
        for (index, entry) in &image.backends {
            ids.backends.claim(NameHash(entry.name_hash), u32::from(index.value()));
        }
        ids
    }

    /// The indices for `desired`: what stays keeps its own, what is new gets a free one.
    ///
    /// # Errors
    /// There are more services, pools or backends than the limits allow.
    pub fn assign(&self, desired: &Desired) -> Result<Self, Exhausted> {
        let Limits { services, pools, backends, .. } = desired.limits;
        let mut next = self.clone();
        next.services.assign(
            desired.services.keys().map(|name| (NameHash::of(name), format!("service {name}"))),
            &Range { first: 0, size: services, limit: "services" },
        )?;
        next.pools.assign(
            desired.pools.keys().map(|name| (NameHash::of(name), format!("pool {name}"))),
            &Range { first: 0, size: pools, limit: "pools" },
        )?;
        let names = desired.pools.iter().flat_map(|(pool, spec)| {
            spec.backends.keys().map(move |name| {
                (NameHash::of_backend(pool, name), format!("backend {pool}/{name}"))
            })
        });
        next.backends.assign(names, &Range { first: 1, size: backends, limit: "backends" })?;
        Ok(next)
    }

    /// Index of a service's counters.
    pub fn service(&self, name: &str) -> Option<u32> {
        self.services.index(NameHash::of(name))
    }

    /// Index of a pool.
    pub fn pool(&self, name: &str) -> Option<u32> {
        self.pools.index(NameHash::of(name))
    }

    /// Index of a backend.
    pub fn backend(&self, pool: &str, name: &str) -> Option<BackendIndex> {
        let index = self.backends.index(NameHash::of_backend(pool, name))?;
        BackendIndex::new(u16::try_from(index).ok()?)
    }
}

/// Where indices come from: `size` of them from `first` on.
struct Range {
    first: u32,
    size: u32,
    limit: &'static str,
}

/// The indices of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Space {
    by_name: BTreeMap<NameHash, u32>,
    /// Where the search for a free index goes on.
    cursor: u32,
}

impl Space {
    fn claim(&mut self, name: NameHash, index: u32) {
        self.by_name.insert(name, index);
        self.cursor = self.cursor.max(index + 1);
    }

    fn index(&self, name: NameHash) -> Option<u32> {
        self.by_name.get(&name).copied()
    }

    fn assign(
        &mut self,
        names: impl Iterator<Item = (NameHash, String)>,
        range: &Range,
    ) -> Result<(), Exhausted> {
        let names: Vec<_> = names.collect();
        let wanted: BTreeSet<_> = names.iter().map(|(hash, _)| *hash).collect();
        let resting: BTreeSet<u32> = self.by_name.values().copied().collect();
        self.by_name.retain(|hash, _| wanted.contains(hash));
        let mut taken: BTreeSet<u32> = self.by_name.values().copied().collect();
        for (hash, what) in names {
            if self.by_name.contains_key(&hash) {
                continue;
            }
            let full = Exhausted { what, limit: range.limit, size: range.size };
            // What leaves in this very step is still in use by packets, and flows may belong to it
            // for long: its index is free once its entry has gone from the maps.
            let index = self
                .search(range, |index| !resting.contains(&index) && !taken.contains(&index))
                .ok_or(full)?;
            taken.insert(index);
            self.by_name.insert(hash, index);
            self.cursor = index + 1;
        }
        Ok(())
    }

    /// The first index that is `free`, from the cursor on and around.
    fn search(&self, range: &Range, free: impl Fn(u32) -> bool) -> Option<u32> {
        let end = range.first.saturating_add(range.size);
        let cursor = self.cursor.clamp(range.first, end);
        (cursor..end).chain(range.first..cursor).find(|index| free(*index))
    }
}

#[cfg(test)]
mod tests;
