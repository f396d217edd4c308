//! What the agent's pinned maps hold, read by their pins and not through the agent.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use aya::maps::{Array, Map, MapData};
use lb_agent::core::ids::NameHash;
use lb_common::abi::{
    BackendEntry, BackendIndex, LAYOUT_VERSION, PINS_PER_BUCKET, Pin, PoolEntry, Slot, TablePage,
    map,
};
use lb_tests::topology::{Agent, Topology};
use zerocopy::{FromBytes, IntoBytes};

type Words<const N: usize> = Array<MapData, [u64; N]>;

/// The maps of a topology with one pool, `web`.
pub(crate) struct Maps {
    pools: Words<{ size_of::<PoolEntry>() / 8 }>,
    pages: Words<{ size_of::<TablePage>() / 8 }>,
    backends: Words<{ size_of::<BackendEntry>() / 8 }>,
    pins: Words<PINS_PER_BUCKET>,
}

impl Maps {
    /// Opens the maps of `agent`.
    pub(crate) fn open(topology: &Topology, agent: &Agent) -> Result<Self> {
        let dir = agent.files.pin_dir.join(format!("v{LAYOUT_VERSION}")).join("maps");
        topology.balancer.enter(|| {
            let open = |name: &str| -> Result<Map> {
                let context = || format!("opening the map {name} in {}", dir.display());
                Ok(Map::Array(MapData::from_pin(dir.join(name)).with_context(context)?))
            };
            Ok(Self {
                pools: open(map::POOLS)?.try_into()?,
                pages: open(map::TABLE_PAGES)?.try_into()?,
                backends: open(map::BACKENDS)?.try_into()?,
                pins: open(map::PINS)?.try_into()?,
            })
        })?
    }

    /// The slots of the pool's table.
    pub(crate) fn slots(&self) -> Result<Vec<Slot>> {
        let wanted = NameHash::of("web").0;
        let pool = find(&self.pools, |pool: &PoolEntry| pool.name_hash == wanted)?;
        let (_, PoolEntry { table, .. }) = pool.context("no pool web in the maps")?;
        let mut slots = Vec::new();
        for page in table.first_page()..table.first_page() + table.pages() {
            let words = self.pages.get(&page, 0).context("reading a page of the table")?;
            let page: Result<Vec<Slot>> =
                words.as_bytes().chunks(size_of::<Slot>()).map(entry).collect();
            slots.extend(page?);
        }
        slots.truncate(table.slots() as usize);
        Ok(slots)
    }

    /// Slots that are not clean.
    pub(crate) fn restless(&self) -> Result<usize> {
        Ok(self.slots()?.iter().filter(|slot| slot.consult()).count())
    }

    /// Slots whose flows may still be those of another backend without a pin to say so.
    pub(crate) fn open_windows(&self) -> Result<usize> {
        let open = |slot: &&Slot| slot.previous() != BackendIndex::NONE;
        Ok(self.slots()?.iter().filter(open).count())
    }

    /// Index of a backend of the pool, if the maps have it.
    pub(crate) fn backend(&self, name: &str) -> Result<Option<BackendIndex>> {
        let wanted = NameHash::of_backend("web", name).0;
        let found = find(&self.backends, |backend: &BackendEntry| backend.name_hash == wanted)?;
        Ok(found.and_then(|(index, _)| BackendIndex::new(u16::try_from(index).ok()?)))
    }

    /// Pins by backend.
    pub(crate) fn pins(&self) -> Result<BTreeMap<BackendIndex, usize>> {
        let mut counts = BTreeMap::new();
        for bucket in self.pins.iter() {
            for pin in bucket.context("reading the pins")?.map(Pin) {
                if !pin.is_empty() {
                    *counts.entry(pin.backend()).or_default() += 1;
                }
            }
        }
        Ok(counts)
    }

    /// Pins to one backend.
    pub(crate) fn pins_to(&self, backend: BackendIndex) -> Result<usize> {
        Ok(self.pins()?.get(&backend).copied().unwrap_or(0))
    }
}

fn entry<T: FromBytes>(bytes: &[u8]) -> Result<T> {
    T::read_from_bytes(bytes).ok().context("an element of another size than its type")
}

/// The first element that is `wanted`, with its index.
fn find<T: FromBytes, const N: usize>(
    map: &Words<N>,
    wanted: impl Fn(&T) -> bool,
) -> Result<Option<(u32, T)>> {
    for (index, words) in (0..).zip(map.iter()) {
        let element = entry(words.context("reading a map")?.as_bytes())?;
        if wanted(&element) {
            return Ok(Some((index, element)));
        }
    }
    Ok(None)
}
