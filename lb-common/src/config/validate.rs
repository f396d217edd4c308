//! From [`ConfigFile`] to [`Desired`]: everything that the shape alone cannot say.
//!
//! Every check runs, whatever the others found, so that one run reports every problem. A part
//! that is wrong is left out of the result, and a result that lacks a part is never returned.
//!
//! Callers: the agent, at start and for each new configuration; `lb-ctl config validate`.

mod pools;
mod services;
mod values;

use core::ops::RangeInclusive;
use std::format;
use std::vec::Vec;

use super::desired::{Desired, Interface, Limits, Node};
use super::error::{ConfigError, Findings};
use super::file::{ClusterFile, ConfigFile, InterfaceFile, LimitsFile, NodeFile, default, limit};
use super::position::Path;
use super::read::read;
use crate::abi::SLOTS_PER_PAGE;
use crate::name_hash::{NAME_SEED, stable_hash};

/// Reads a whole configuration. `origin` names the text in messages, usually its file.
///
/// # Errors
/// Whatever is wrong with it: of the syntax the first problem, else of the fields and their types
/// all of them, else of their values all of them.
pub fn parse(origin: &str, text: &str) -> Result<Desired, ConfigError> {
    let file = read(origin, text)?;
    let mut findings = Findings::default();
    match desired(&file, &mut findings) {
        Some(desired) if findings.is_empty() => Ok(desired),
        Some(_) | None => Err(findings.into_error(origin, text)),
    }
}

fn desired(file: &ConfigFile, findings: &mut Findings) -> Option<Desired> {
    let node = node(&file.node, findings);
    let interfaces = interfaces(&file.interfaces, findings);
    let hash_seed = hash_seed(&file.cluster, findings);
    let limits = limits(&file.limits, findings);
    if let Some(limits) = &limits {
        sizes(file, limits, findings);
    }
    let pools = pools::pools(file, findings);
    let services = services::services(file, findings);
    Some(Desired {
        node: node?,
        interfaces: interfaces?,
        hash_seed: hash_seed?,
        limits: limits?,
        pools: pools?,
        services: services?,
    })
}

fn node(file: &NodeFile, findings: &mut Findings) -> Option<Node> {
    let node = Path::Root.field("node");
    let name = values::name(&file.name, &node.field("name"), findings);
    let source = node.field("encap_source");
    let ipv4 = file.encap_source.ipv4.as_deref();
    let ipv4 = ipv4.map(|text| values::ipv4(text, &source.field("ipv4"), findings));
    let ipv6 = file.encap_source.ipv6.as_deref();
    let ipv6 = ipv6.map(|text| values::ipv6(text, &source.field("ipv6"), findings));
    Some(Node { name: name?, encap_source_ipv4: ipv4.flatten(), encap_source_ipv6: ipv6.flatten() })
}

fn interfaces(files: &[InterfaceFile], findings: &mut Findings) -> Option<Vec<Interface>> {
    let list = Path::Root.field("interfaces");
    if files.is_empty() {
        findings.add(&list, "at least one interface is needed");
    }
    values::unique_names(files.iter().map(|file| file.name.as_str()), &list, findings);
    let mut interfaces = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let interface = list.item(index);
        interfaces.push(
            values::interface_name(&file.name, &interface.field("name"), findings)
                .map(|name| Interface { name, mode: file.mode }),
        );
    }
    interfaces.into_iter().collect()
}

/// Two words from the seed's text, so that operators may use any text.
fn hash_seed(file: &ClusterFile, findings: &mut Findings) -> Option<[u64; 2]> {
    let text = file.hash_seed.as_deref().unwrap_or(default::HASH_SEED);
    if !limit::HASH_SEED_CHARS.contains(&text.chars().count()) {
        let message = format!("must be {} characters long", values::span(&limit::HASH_SEED_CHARS));
        findings.add(&Path::Root.field("cluster").field("hash_seed"), message);
        return None;
    }
    let [a, b] = NAME_SEED;
    Some([stable_hash([a, b], text.as_bytes()), stable_hash([b, a], text.as_bytes())])
}

fn limits(file: &LimitsFile, findings: &mut Findings) -> Option<Limits> {
    let limits = Path::Root.field("limits");
    let mut checked = |name: &str, value: i64, range: &RangeInclusive<u32>| {
        values::in_range(value, range, &limits.field(name), findings)
    };
    let services = checked("services", file.services, &limit::SERVICES);
    let pools = checked("pools", file.pools, &limit::POOLS);
    let backends = checked("backends", file.backends, &limit::BACKENDS);
    let table_slots = checked("table_slots", file.table_slots, &limit::ALL_TABLE_SLOTS);
    let pins = checked("pins", file.pins, &limit::PINS);
    Some(Limits {
        services: services?,
        pools: pools?,
        backends: backends?,
        table_slots: table_slots?.next_multiple_of(SLOTS_PER_PAGE),
        pins: pins?.next_multiple_of(8),
    })
}

/// Whether the maps are large enough for what is in the file.
fn sizes(file: &ConfigFile, limits: &Limits, findings: &mut Findings) {
    let mut fit = |list: &str, what: &str, wanted: u64, limit: &str, room: u32| {
        if wanted > u64::from(room) {
            let message = format!("{wanted} {what} are more than limits.{limit} = {room}");
            findings.add(&Path::Root.field(list), message);
        }
    };
    let entries = file.services.iter().map(|service| count(&service.ports)).sum();
    fit("services", "ports of services", entries, "services", limits.services);
    fit("pools", "pools", count(&file.pools), "pools", limits.pools);
    let backends = file.pools.iter().map(|pool| count(&pool.backends)).sum();
    fit("pools", "backends", backends, "backends", limits.backends);

    let slots = file.pools.iter().filter_map(|pool| u32::try_from(pool.table_slots).ok());
    let rounded = slots.map(|slots| u64::from(slots.div_ceil(SLOTS_PER_PAGE) * SLOTS_PER_PAGE));
    // While a table is replaced, the old one and the new one stand side by side.
    let wanted = rounded.clone().sum::<u64>() + rounded.max().unwrap_or(0);
    let what = "table slots (all pools, the largest twice, in pages of 1024)";
    fit("pools", what, wanted, "table_slots", limits.table_slots);
}

fn count<T>(list: &[T]) -> u64 {
    u64::try_from(list.len()).unwrap_or(u64::MAX)
}
