//! From a command to the data plane: 100 services, each with a pool of 100 backends of its own.
//!
//! A real agent runs in a namespace; `lb-ctl` is started for each command, as an operator or a
//! script would. A command counts as done when it has returned and the pool's entry in the pinned
//! map names another table.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData};
use lb_common::abi::{LAYOUT_VERSION, PoolEntry, map};

use super::report::Row;
use super::statistics::Series;
use crate::process::{now, wait_until};
use crate::topology::{Agent, BALANCER_V4, COMMAND_LIMIT, Topology, binary};

/// What the rows begin with.
pub const NAME: &str = "command-latency";
/// What they end with: kinds of commands.
pub const ROWS: [&str; 2] = ["weight", "drain"];
const POOLS: usize = 100;
const BACKENDS: usize = 100;

type PoolWords = [u64; size_of::<PoolEntry>() / size_of::<u64>()];
type PoolMap = Array<MapData, PoolWords>;

/// Times `commands` changes of weight, and as many drains.
///
/// # Errors
/// The network or the agent cannot be set up, or a command fails or changes nothing.
pub fn measure(commands: usize) -> Result<Vec<Row>> {
    let topology = Topology::new("bench")?;
    let agent = topology.start_agent(&configuration())?;
    let pools = topology.balancer.enter(|| pool_map(&agent))??;
    let mut series = [Series::default(), Series::default()];
    let [weights, drains] = &mut series;
    for number in 0..commands {
        // Each command changes something: no backend is drained twice, or weighed once drained.
        let (pool, turn) = (number % POOLS, number / POOLS);
        let backend = |place: usize| format!("pool-{pool}/web-{}", place % BACKENDS);
        let (weighed, drained) = (backend(2 * turn), backend(2 * turn + 1));
        weights.push(time(&agent, &pools, &["backend", "weight", &weighed, "150"])?);
        drains.push(time(&agent, &pools, &["backend", "drain", &drained])?);
    }
    let row = |(name, series): (&str, &Series)| {
        let row = Row::alone(format!("{NAME}/{name}"), series)?;
        Some(Row { more: vec![("ns_p99", series.quantile(0.99)?)], ..row })
    };
    let rows: Vec<_> = ROWS.into_iter().zip(&series).filter_map(row).collect();
    ensure!(rows.len() == series.len(), "no commands, no figures");
    Ok(rows)
}

/// Runs one command; nanoseconds until it has returned and the data plane has changed.
fn time(agent: &Agent, pools: &PoolMap, arguments: &[&str]) -> Result<f64> {
    let before = contents(pools)?;
    let mut command = Command::new(binary("lb-ctl")?);
    command.arg("-s").arg(&agent.files.socket).args(arguments);
    let start = now();
    let output = command.output().context("starting lb-ctl")?;
    let mut elapsed = start.elapsed();
    ensure!(
        output.status.success(),
        "lb-ctl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    if contents(pools)? == before {
        wait_until("the pool to get another table", COMMAND_LIMIT, || {
            Ok((contents(pools)? != before).then_some(()))
        })?;
        elapsed = start.elapsed();
    }
    Ok(elapsed.as_secs_f64() * 1e9)
}

fn contents(pools: &PoolMap) -> Result<Vec<PoolWords>> {
    pools.iter().take(POOLS + 1).collect::<Result<_, _>>().context("reading the pools")
}

/// The agent's pinned map of pools.
fn pool_map(agent: &Agent) -> Result<PoolMap> {
    let path = agent.files.pin_dir.join(format!("v{LAYOUT_VERSION}/maps")).join(map::POOLS);
    let data = MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
    let map = Map::from_map_data(data).context("a map of a kind that is unknown")?;
    map.try_into().context("the pools are no array of pool entries")
}

fn configuration() -> String {
    let mut text = format!(
        "node:\n  name: edge-1\n  encap_source: {{ ipv4: {BALANCER_V4} }}\n\
         interfaces:\n  - {{ name: eth0, mode: native }}\npools:\n"
    );
    // Writing to a String cannot fail.
    for pool in 0..POOLS {
        let _ = writeln!(text, "  - name: pool-{pool}\n    backends:");
        for backend in 0..BACKENDS {
            let address = format!("10.3.{pool}.{}", backend + 2);
            let _ = writeln!(text, "      - {{ name: web-{backend}, address: {address} }}");
        }
    }
    text.push_str("services:\n");
    for service in 0..POOLS {
        let _ = writeln!(
            text,
            "  - {{ name: web-{service}, vip: 203.0.113.{service}, protocol: tcp, \
             ports: [80], pool: pool-{service} }}"
        );
    }
    text
}
