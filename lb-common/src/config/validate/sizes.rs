//! Whether the maps are large enough for what is in the file.

use std::collections::BTreeSet;
use std::format;
use std::net::IpAddr;

use crate::abi::SLOTS_PER_PAGE;
use crate::config::desired::{Limits, Scheduler};
use crate::config::error::Findings;
use crate::config::file::{ConfigFile, PoolFile};
use crate::config::position::Path;

/// Compares what the file needs with what its limits give.
pub(super) fn sizes(file: &ConfigFile, limits: &Limits, findings: &mut Findings) {
    let mut fit = |list: &str, what: &str, wanted: u64, limit: &str, room: u32| {
        if wanted > u64::from(room) {
            let message = format!("{wanted} {what} are more than limits.{limit} = {room}");
            findings.add(&Path::Root.field(list), message);
        }
    };
    let ports: u64 = file.services.iter().map(|service| count(service.ports.len())).sum();
    let vips = file.services.iter().filter_map(|service| service.vip.parse::<IpAddr>().ok());
    let entries = ports + count(vips.collect::<BTreeSet<_>>().len());
    fit("services", "ports and VIPs of services", entries, "services", limits.services);
    fit("pools", "pools", count(file.pools.len()), "pools", limits.pools);
    let backends = file.pools.iter().map(|pool| count(pool.backends.len())).sum();
    fit("pools", "backends", backends, "backends", limits.backends);
    let servers = file.pools.iter().map(quic_servers).sum();
    fit("pools", "QUIC server ids (of each configuration)", servers, "backends", limits.backends);

    let pages = file.pools.iter().filter_map(pages);
    // While a table is replaced, the old one and the new one stand side by side.
    let wanted = pages.clone().sum::<u64>() + pages.max().unwrap_or(0);
    let what = "table slots (all pools, the largest twice, in pages of 1024)";
    fit("pools", what, wanted * u64::from(SLOTS_PER_PAGE), "table_slots", limits.table_slots);
}

/// Pages of a pool's table and, at most, of its rotation.
fn pages(pool: &PoolFile) -> Option<u64> {
    let table = u32::try_from(pool.table_slots).ok()?.div_ceil(SLOTS_PER_PAGE);
    let rotation = match pool.scheduler {
        Scheduler::RoundRobin => count(pool.backends.len()).div_ceil(SLOTS_PER_PAGE.into()),
        // Weights change by command, and a longer one is the table itself.
        Scheduler::WeightedRoundRobin => table.into(),
        Scheduler::Maglev
        | Scheduler::SourceHash
        | Scheduler::LeastConnections
        | Scheduler::Random => 0,
    };
    Some(u64::from(table) + rotation)
}

/// Entries of the map of QUIC servers.
fn quic_servers(pool: &PoolFile) -> u64 {
    let digits = pool.backends.iter().filter_map(|backend| backend.quic_server_id.as_ref());
    let names = digits.map(|text| {
        let same = |bytes: i64| usize::try_from(bytes).is_ok_and(|bytes| bytes * 2 == text.len());
        count(pool.quic.iter().filter(|config| same(config.server_id_bytes)).count())
    });
    names.sum()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
