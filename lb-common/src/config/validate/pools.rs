//! Checks of the pools and their backends.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::net::IpAddr;
use std::string::String;
use std::time::Duration;

use super::{failover, health, quic, values};
use crate::config::desired::{Backend, Encapsulation, Pool, Weight};
use crate::config::error::Findings;
use crate::config::file::{BackendFile, ConfigFile, EncapSourceFile, PoolFile, default, limit};
use crate::config::host::Host;
use crate::config::position::Path;
use crate::config::prefix::Prefix;
use crate::config::quic::ServerId;
use crate::maglev::is_prime;

/// Every pool of the file, by name.
pub(super) fn pools(
    host: &dyn Host,
    file: &ConfigFile,
    findings: &mut Findings,
) -> Option<BTreeMap<String, Pool>> {
    let list = Path::Root.field("pools");
    values::unique_names(file.pools.iter().map(|pool| pool.name.as_str()), &list, findings);
    let surroundings = Surroundings {
        host,
        source: &file.node.encap_source,
        vips: file.services.iter().filter_map(|service| service.vip.parse().ok()).collect(),
    };
    let mut pools = Some(BTreeMap::new());
    for (index, pool) in file.pools.iter().enumerate() {
        let path = list.item(index);
        let name = values::name(&pool.name, &path.field("name"), findings);
        let checked = surroundings.pool(pool, &path, findings);
        insert(&mut pools, name, checked);
    }
    pools
}

/// Adds an item to what is whole so far; an item that lacks a part leaves nothing whole.
pub(super) fn insert<T>(
    items: &mut Option<BTreeMap<String, T>>,
    name: Option<String>,
    item: Option<T>,
) {
    match (items.as_mut(), name, item) {
        (Some(items), Some(name), Some(item)) => {
            items.insert(name, item);
        }
        _ => *items = None,
    }
}

/// What a pool is checked against.
struct Surroundings<'a> {
    host: &'a dyn Host,
    source: &'a EncapSourceFile,
    vips: BTreeSet<IpAddr>,
}

impl Surroundings<'_> {
    fn pool(&self, file: &PoolFile, path: &Path<'_>, findings: &mut Findings) -> Option<Pool> {
        let table_slots = table_slots(file, &path.field("table_slots"), findings);
        let idle = idle_timeouts(file, path, findings);
        let quic = quic::configurations(&file.quic, &path.field("quic"), findings);
        let health = file.health.as_ref();
        let health =
            health.map(|file| health::check(self.host, file, &path.field("health"), findings));
        let failover = failover::failover(&file.failover, &path.field("failover"), findings);
        let adapt = file.adapt.as_ref().map(|adapt| {
            failover::adapt(adapt, file.health.is_some(), &path.field("adapt"), findings)
        });
        let backends = self.backends(file, &path.field("backends"), findings);
        Some(Pool {
            scheduler: file.scheduler,
            encapsulation: file.encapsulation,
            table_slots: table_slots?,
            flow_idle_timeout: idle?.0,
            udp_idle_timeout: idle?.1,
            quic: quic?,
            health: health.flatten(),
            failover: failover?,
            adapt: adapt.flatten(),
            backends: backends?,
        })
    }

    fn backends(
        &self,
        pool: &PoolFile,
        list: &Path<'_>,
        findings: &mut Findings,
    ) -> Option<BTreeMap<String, Backend>> {
        let files = &pool.backends;
        let server_ids = quic::server_ids(files, &pool.quic, list, findings);
        values::unique_names(files.iter().map(|file| file.name.as_str()), list, findings);
        let mut backends = Some(BTreeMap::new());
        let mut first_with = BTreeMap::new();
        for (index, (file, server_id)) in files.iter().zip(server_ids).enumerate() {
            let path = list.item(index);
            let name = values::name(&file.name, &path.field("name"), findings);
            let backend = backend(file, server_id, &path, findings);
            if let Some(Backend { address, .. }) = backend {
                let path = path.field("address");
                if let Some(first) = first_with.get(&address) {
                    let first = list.item(*first);
                    let message = format!("{address} is the address of {} already", first.steps());
                    findings.add(&path, message);
                } else {
                    first_with.insert(address, index);
                }
                self.address(address, &path, findings);
            }
            insert(&mut backends, name, backend);
        }
        // Frames that are not wrapped keep the source that they came with.
        if pool.encapsulation != Encapsulation::L2 {
            self.outer_sources(&first_with, list, findings);
        }
        backends
    }

    fn address(&self, address: IpAddr, path: &Path<'_>, findings: &mut Findings) {
        if self.vips.contains(&address) {
            // The balancer would send packets for it to itself, for ever.
            findings.add(path, format!("{address} is the VIP of a service"));
        }
        let sources = [&self.source.ipv4, &self.source.ipv6].into_iter().flatten();
        let mut sources = sources.filter_map(|text| text.parse::<Prefix>().ok());
        if let Some(source) = sources.find(|source| source.contains(address)) {
            // It would take packets from itself.
            findings.add(path, format!("{address} is among node.encap_source, {source}"));
        }
    }

    /// Packets to a backend need an outer source of its IP version. Reported once a version.
    fn outer_sources(
        &self,
        backends: &BTreeMap<IpAddr, usize>,
        list: &Path<'_>,
        findings: &mut Findings,
    ) {
        let first = |is_ipv4: bool| {
            let same = backends.iter().filter(|(address, _)| address.is_ipv4() == is_ipv4);
            same.min_by_key(|(_, index)| **index)
        };
        let sources = [(true, "ipv4", &self.source.ipv4), (false, "ipv6", &self.source.ipv6)];
        for (is_ipv4, field, source) in sources {
            if source.is_none()
                && let Some((address, index)) = first(is_ipv4)
            {
                let message =
                    format!("{address} needs node.encap_source.{field}, which is not set");
                findings.add(&list.item(*index).field("address"), message);
            }
        }
    }
}

/// Idle time-outs of the flows of a pool: TCP, UDP.
fn idle_timeouts(
    file: &PoolFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<(Duration, Duration)> {
    let mut read = |text: &str, field: &str| {
        values::duration(text, &limit::FLOW_IDLE_MS, &path.field(field), findings)
    };
    let flow = read(&file.flow_idle_timeout, "flow_idle_timeout");
    let udp = file.udp_idle_timeout.as_deref().map(|text| read(text, "udp_idle_timeout"));
    let (flow, udp) = match udp {
        None => (flow?, flow?.min(default::UDP_IDLE)),
        Some(udp) => (flow?, udp?),
    };
    if flow.is_zero() && file.scheduler.in_maps().pins_every_flow() {
        let name = file.scheduler.name();
        let message = format!("scheduler {name} has to remember each flow, for longer than 0s");
        findings.add(&path.field("flow_idle_timeout"), message);
        return None;
    }
    if udp > flow {
        let message = "is longer than flow_idle_timeout, the time a change is remembered";
        findings.add(&path.field("udp_idle_timeout"), message);
        return None;
    }
    Some((flow, udp))
}

fn backend(
    file: &BackendFile,
    quic_server_id: Option<ServerId>,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Backend> {
    let address = values::address(&file.address, &path.field("address"), findings);
    let weight = values::in_range(file.weight, &limit::WEIGHT, &path.field("weight"), findings);
    let tier = values::in_range(file.tier, &limit::TIER, &path.field("tier"), findings);
    Some(Backend {
        address: address?,
        weight: Weight::new(weight?.into())?,
        tier: u8::try_from(tier?).ok()?,
        quic_server_id,
    })
}

fn table_slots(file: &PoolFile, path: &Path<'_>, findings: &mut Findings) -> Option<u32> {
    let slots = values::in_range(file.table_slots, &limit::TABLE_SLOTS, path, findings)?;
    if !is_prime(slots) {
        // Both ends of the range are primes, so there is one on either side.
        let below = (*limit::TABLE_SLOTS.start()..slots).rev().find(|number| is_prime(*number));
        let above = (slots..=*limit::TABLE_SLOTS.end()).find(|number| is_prime(*number));
        let (below, above) = (below.unwrap_or(slots), above.unwrap_or(slots));
        let message = format!("{slots} is not a prime; the nearest are {below} and {above}");
        findings.add(path, message);
        return None;
    }
    let backends = file.backends.len();
    if usize::try_from(slots).is_ok_and(|slots| slots < backends) {
        findings.add(path, format!("{slots} slots are too few for {backends} backends"));
        return None;
    }
    Some(slots)
}
