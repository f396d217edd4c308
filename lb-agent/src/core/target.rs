//! What the maps should hold: configuration, overrides and next hops, in the maps' own terms.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::abi::{BackendEntry, BackendIndex, ServiceEntry, ServiceKey, Slot, address_bytes};
use lb_common::config::{Backend, Desired, Encapsulation, Node, Service};
use lb_common::image::Image;

use super::ids::{Ids, NameHash};
use super::tables::Tables;
use super::way::Way;

/// Ways by backend address.
pub type Ways = BTreeMap<IpAddr, Way>;

/// The wanted contents of the maps. Where tables lie is the plan's to choose.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// Services by key.
    pub services: BTreeMap<ServiceKey, ServiceEntry>,
    /// Pools by index.
    pub pools: BTreeMap<u32, TargetPool>,
    /// Backends by index.
    pub backends: BTreeMap<BackendIndex, BackendEntry>,
}

/// One pool's wanted table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetPool {
    /// Hash of its name.
    pub name_hash: u64,
    /// Its slots, each with nothing but its current backend.
    pub slots: Arc<[Slot]>,
    /// Whether flows stay on their backend when their slot moves.
    pub keeps_flows: bool,
}

/// Puts the wanted contents together. `ids` and `tables` are those of `desired`.
pub fn target(desired: &Desired, ids: &Ids, tables: &Tables, ways: &Ways) -> Target {
    let mut target = Target::default();
    for (name, pool) in &desired.pools {
        let Some(pool_index) = ids.pool(name) else { continue };
        let name_hash = NameHash::of(name).0;
        let slots = tables.slots(name);
        let keeps_flows = !pool.flow_idle_timeout.is_zero();
        target.pools.insert(pool_index, TargetPool { name_hash, slots, keeps_flows });
        let accepting: BTreeSet<_> = tables.backends(name);
        for (backend_name, backend) in &pool.backends {
            let Some(index) = ids.backend(name, backend_name) else { continue };
            let Encapsulation::Ipip = pool.encapsulation;
            let mut entry = BackendEntry {
                pool: pool_index,
                name_hash: NameHash::of_backend(name, backend_name).0,
                ..backend_entry(&desired.node, backend, ways.get(&backend.address))
            };
            entry.flags |= BackendEntry::USABLE;
            if accepting.contains(&index) {
                entry.flags |= BackendEntry::ACCEPTS_NEW;
            }
            target.backends.insert(index, entry);
        }
    }
    for (name, service) in &desired.services {
        target.services.extend(service_entries(name, service, ids));
    }
    target
}

/// Adds the backends that the configuration has left out and that flows still belong to: they go
/// on as if drained, until no slot and no pin names them any more. `pinned` are those with pins.
pub fn keep_leaving(
    target: &mut Target,
    observed: &Image,
    pinned: &BTreeSet<BackendIndex>,
    ways: &Ways,
) {
    let mut leaving: Vec<_> = observed
        .backends
        .iter()
        .filter(|(index, _)| !target.backends.contains_key(index))
        .filter(|(_, entry)| target.pools.get(&entry.pool).is_some_and(|pool| pool.keeps_flows))
        .map(|(index, entry)| (*index, *entry))
        .collect();
    if leaving.is_empty() {
        return;
    }
    let named: BTreeSet<BackendIndex> = observed
        .pools
        .values()
        .flat_map(|pool| observed.table(pool.table))
        .flat_map(|slot| [slot.current(), slot.previous()])
        .collect();
    leaving.retain(|(index, _)| named.contains(index) || pinned.contains(index));
    for (index, entry) in leaving {
        let mut entry = with_way(entry, ways.get(&outer_destination(&entry)));
        entry.flags = entry.flags & !BackendEntry::ACCEPTS_NEW | BackendEntry::USABLE;
        target.backends.insert(index, entry);
    }
}

/// The address of a backend, as its entry has it.
pub fn outer_destination(entry: &BackendEntry) -> IpAddr {
    if entry.encapsulation == BackendEntry::ENCAP_IPIP_V6 {
        return IpAddr::from(entry.outer_destination);
    }
    let [a, b, c, d, ..] = entry.outer_destination;
    IpAddr::from([a, b, c, d])
}

/// The keys of a service: one for each port.
pub fn service_keys(service: &Service) -> impl Iterator<Item = ServiceKey> + '_ {
    let protocol = service.protocol.number();
    service.ports.iter().map(move |port| ServiceKey::new(service.vip, protocol, *port))
}

fn service_entries<'a>(
    name: &str,
    service: &'a Service,
    ids: &Ids,
) -> impl Iterator<Item = (ServiceKey, ServiceEntry)> + 'a {
    let entry = ids
        .pool(&service.pool)
        .zip(ids.service(name))
        .map(|(pool, service)| ServiceEntry { pool, service, name_hash: NameHash::of(name).0 });
    service_keys(service).filter_map(move |key| Some((key, entry?)))
}

fn backend_entry(node: &Node, backend: &Backend, way: Option<&Way>) -> BackendEntry {
    let (encapsulation, source) = match backend.address {
        IpAddr::V4(_) => (BackendEntry::ENCAP_IPIP_V4, node.encap_source_ipv4.map(IpAddr::V4)),
        IpAddr::V6(_) => (BackendEntry::ENCAP_IPIP_V6, node.encap_source_ipv6.map(IpAddr::V6)),
    };
    let entry = BackendEntry {
        encapsulation,
        outer_destination: address_bytes(backend.address).0,
        outer_source: source.map(|source| address_bytes(source).0).unwrap_or_default(),
        ..BackendEntry::default()
    };
    with_way(entry, way)
}

/// The entry with the way to its backend, or marked as one without.
fn with_way(entry: BackendEntry, way: Option<&Way>) -> BackendEntry {
    match way {
        Some(Way::Known { link, mac, mtu_bytes, .. }) => BackendEntry {
            next_hop_mac: *mac,
            source_mac: link.mac,
            mtu_bytes: u16::try_from(*mtu_bytes).unwrap_or(u16::MAX),
            egress_ifindex: link.index,
            flags: entry.flags | BackendEntry::NEXT_HOP_KNOWN,
            ..entry
        },
        Some(Way::Unknown { .. }) | None => {
            BackendEntry { flags: entry.flags & !BackendEntry::NEXT_HOP_KNOWN, ..entry }
        }
    }
}

#[cfg(test)]
mod tests;
