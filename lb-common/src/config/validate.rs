//! From [`ConfigFile`] to [`Desired`]: everything that the shape alone cannot say.
//!
//! Every check runs, whatever the others found, so that one run reports every problem. A part
//! that is wrong is left out of the result, and a result that lacks a part is never returned.
//!
//! Callers: the agent, at start and for each new configuration; `lb-ctl config validate`.

mod failover;
mod health;
mod pools;
mod quic;
mod services;
mod sizes;
mod values;

use core::ops::RangeInclusive;
use std::format;
use std::net::SocketAddr;
use std::vec::Vec;

use super::desired::{Desired, Icmp, Interface, Limits, Node};
use super::error::{ConfigError, Findings};
use super::file::{
    ClusterFile, ConfigFile, IcmpFile, InterfaceFile, LimitsFile, MetricsFile, NodeFile, default,
    limit,
};
use super::host::{Anywhere, Host};
use super::position::Path;
use super::read::read;
use crate::abi::SLOTS_PER_PAGE;
use crate::name_hash::{NAME_SEED, stable_hash};

/// Reads a whole configuration, for whatever host. `origin` names the text in messages, usually its
/// file.
///
/// # Errors
/// Whatever is wrong with it: of the syntax the first problem, else of the fields and their types
/// all of them, else of their values all of them.
pub fn parse(origin: &str, text: &str) -> Result<Desired, ConfigError> {
    parse_on(&Anywhere, origin, text)
}

/// The same for a host that can be looked at: what it lacks is an error too.
///
/// # Errors
/// As [`parse`].
pub fn parse_on(host: &dyn Host, origin: &str, text: &str) -> Result<Desired, ConfigError> {
    let file = read(origin, text)?;
    let mut findings = Findings::default();
    match desired(host, &file, &mut findings) {
        Some(desired) if findings.is_empty() => Ok(desired),
        Some(_) | None => Err(findings.into_error(origin, text)),
    }
}

fn desired(host: &dyn Host, file: &ConfigFile, findings: &mut Findings) -> Option<Desired> {
    let node = node(&file.node, findings);
    let interfaces = interfaces(&file.interfaces, findings);
    let hash_seed = hash_seed(&file.cluster, findings);
    let limits = limits(&file.limits, findings);
    if let Some(limits) = &limits {
        sizes::sizes(file, limits, findings);
    }
    let metrics = metrics(&file.metrics, findings);
    let pools = pools::pools(host, file, findings);
    let services = services::services(file, findings);
    if let (Some(pools), Some(services)) = (&pools, &services) {
        health::questions(file, pools, services, findings);
    }
    Some(Desired {
        node: node?,
        interfaces: interfaces?,
        hash_seed: hash_seed?,
        limits: limits?,
        metrics: metrics?,
        pools: pools?,
        services: services?,
    })
}

/// None if it is wrong; none inside if there is none.
#[expect(clippy::option_option, reason = "absent is right, and wrong is none at all")]
fn metrics(file: &MetricsFile, findings: &mut Findings) -> Option<Option<SocketAddr>> {
    let Some(text) = &file.listen else { return Some(None) };
    let address: Option<SocketAddr> = text.parse().ok().filter(|at: &SocketAddr| at.port() != 0);
    if address.is_none() {
        let message = format!("\"{text}\" is no address and port, such as 127.0.0.1:9417");
        findings.add(&Path::Root.field("metrics").field("listen"), message);
    }
    address.map(Some)
}

fn node(file: &NodeFile, findings: &mut Findings) -> Option<Node> {
    let node = Path::Root.field("node");
    let name = values::name(&file.name, &node.field("name"), findings);
    let source = node.field("encap_source");
    let ipv4 = file.encap_source.ipv4.as_deref();
    let ipv4 = ipv4.map(|text| values::source_v4(text, &source.field("ipv4"), findings));
    let ipv6 = file.encap_source.ipv6.as_deref();
    let ipv6 = ipv6.map(|text| values::source_v6(text, &source.field("ipv6"), findings));
    let gue_port = values::in_range(file.gue_port, &limit::PORT, &node.field("gue_port"), findings);
    let icmp = icmp(&file.icmp, &node.field("icmp"), findings);
    Some(Node {
        name: name?,
        encap_source_ipv4: ipv4.flatten(),
        encap_source_ipv6: ipv6.flatten(),
        gue_port: u16::try_from(gue_port?).ok()?,
        icmp: icmp?,
    })
}

fn icmp(file: &IcmpFile, icmp: &Path<'_>, findings: &mut Findings) -> Option<Icmp> {
    let mut checked = |name: &str, value: i64| {
        values::in_range(value, &limit::ICMP_PER_SECOND, &icmp.field(name), findings)
    };
    let errors = checked("errors_per_second", file.errors_per_second);
    let echoes = checked("echoes_per_second", file.echoes_per_second);
    Some(Icmp { errors_per_second: errors?, echoes_per_second: echoes? })
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
    let fragments = checked("fragments", file.fragments, &limit::FRAGMENTS);
    Some(Limits {
        services: services?,
        pools: pools?,
        backends: backends?,
        table_slots: table_slots?.next_multiple_of(SLOTS_PER_PAGE),
        pins: pins?.next_multiple_of(8),
        fragments: fragments?.next_multiple_of(8),
    })
}
