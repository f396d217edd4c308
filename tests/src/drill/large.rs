//! A configuration so large that the agent can be killed while it is being applied, and how far it
//! has come, read from the pinned maps and not through the agent.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use aya::maps::{Array, Map, MapData};
use lb_common::abi::{BackendEntry, LAYOUT_VERSION, PoolEntry, map};

use crate::topology::{Agent, Topology};

/// Pools besides `web`, and backends of each.
pub(super) const POOLS: u32 = 60;
const BACKENDS: u32 = 20;
/// Slots of each of their tables.
const TABLE_SLOTS: u32 = 65_521;
/// An index that one of their backends has, when about half of them are written.
const HALF_OF_BACKENDS: u32 = POOLS * BACKENDS / 2;

type Words<const N: usize> = [u64; N];
type PoolMap = Array<MapData, Words<{ size_of::<PoolEntry>() / size_of::<u64>() }>>;
type BackendMap = Array<MapData, Words<{ size_of::<BackendEntry>() / size_of::<u64>() }>>;

/// `text`, which ends in its services, with all these pools, and a service for each.
pub(super) fn with_pools(text: &str) -> String {
    let (head, services) = text.split_once("services:\n").unwrap_or((text, ""));
    let mut text = head.to_owned();
    // Writing to a String cannot fail.
    for pool in 0..POOLS {
        let _ =
            writeln!(text, "  - name: pool-{pool}\n    table_slots: {TABLE_SLOTS}\n    backends:");
        for backend in 0..BACKENDS {
            let address = format!("10.3.{}.{}", pool + 1, backend + 2);
            let _ = writeln!(text, "      - {{ name: web-{backend}, address: {address} }}");
        }
    }
    let _ = write!(text, "services:\n{services}");
    for service in 0..POOLS {
        let _ = writeln!(
            text,
            "  - {{ name: service-{service}, vip: 203.0.113.{}, protocol: tcp, ports: [80], \
             pool: pool-{service} }}",
            service + 100
        );
    }
    text
}

/// The agent's maps of pools and backends.
pub(super) struct Maps {
    pools: PoolMap,
    backends: BackendMap,
}

impl Maps {
    /// Opens those of `agent`.
    pub(super) fn open(topology: &Topology, agent: &Agent) -> Result<Self> {
        let dir = agent.files.pin_dir.join(format!("v{LAYOUT_VERSION}/maps"));
        topology.balancer.enter(|| {
            let open = |name: &str| {
                let path = dir.join(name);
                let map = MapData::from_pin(&path).map(Map::Array);
                map.with_context(|| format!("opening {}", path.display()))
            };
            let (pools, backends) = (open(map::POOLS)?, open(map::BACKENDS)?);
            let pools = pools.try_into().context("the pools are no array of pool entries")?;
            let backends = backends.try_into().context("the backends are no array of them")?;
            Ok(Self { pools, backends })
        })?
    }

    /// Whether about half of the backends have been written.
    pub(super) fn has_backends(&self) -> Result<bool> {
        let entry = self.backends.get(&HALF_OF_BACKENDS, 0).context("reading a backend")?;
        Ok(entry.iter().any(|word| *word != 0))
    }

    /// Pools that are in use.
    pub(super) fn pools(&self) -> Result<u32> {
        let mut count = 0;
        for entry in self.pools.iter().take(2 * POOLS as usize) {
            let is_used = entry.context("reading the pools")?.iter().any(|word| *word != 0);
            count += u32::from(is_used);
        }
        Ok(count)
    }
}
