//! What the maps should hold: configuration, overrides and next hops, in the maps' own terms.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::abi::{
    self, BackendEntry, BackendIndex, PoolEntry, QuicKey, ServiceEntry, ServiceKey, Slot,
    address_bytes,
};
use lb_common::config::{
    Backend, Desired, EGRESS_MAX, Encapsulation, Limits, Node, Pool, Prefix, Service,
};
use lb_common::image::Image;
use lb_common::wire::protocol;

use super::effective::EffectivePool;
use super::ids::{Ids, NameHash};
use super::rotation::Rotation;
use super::tables::Tables;
use super::way::Way;

pub use super::way::Ways;

/// The wanted contents of the maps. Where tables lie is the plan's to choose.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Target {
    /// Services by key.
    pub services: BTreeMap<ServiceKey, ServiceEntry>,
    /// Pools by index.
    pub pools: BTreeMap<u32, TargetPool>,
    /// Backends by index.
    pub backends: BTreeMap<BackendIndex, BackendEntry>,
    /// Backends by what QUIC connection ids call them.
    pub quic_servers: BTreeMap<QuicKey, BackendIndex>,
    /// Interfaces that packets may leave by.
    pub egress: BTreeSet<u32>,
}

/// One pool's wanted table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetPool {
    /// Hash of its name.
    pub name_hash: u64,
    /// Its slots, each with nothing but its current backend.
    pub slots: Arc<[Slot]>,
    /// Whether the maps are known to have them already, so that nobody needs to compare.
    pub is_in_place: bool,
    /// Whether flows stay on their backend when their slot moves.
    pub keeps_flows: bool,
    /// Who takes a new flow.
    pub scheduler: abi::Scheduler,
    /// The backends in the order of their turns.
    pub rotation: Rotation,
    /// Bytes of server ids, by QUIC-LB configuration.
    pub quic_server_id_bytes: [u8; PoolEntry::QUIC_CONFIGS],
}

/// Puts the wanted contents together. `ids` and `tables` are those of `desired`; `links` are the
/// interfaces that the program is, or will be, attached to.
pub fn target(
    desired: &Desired,
    ids: &Ids,
    tables: &Tables,
    ways: &Ways,
    links: &BTreeSet<u32>,
) -> Target {
    let mut target = Target::default();
    for (name, pool) in &desired.pools {
        let Some(pool_index) = ids.pool(name) else { continue };
        target.pools.insert(pool_index, target_pool(name, pool, tables));
        let weights = tables.weights(name);
        for (backend_name, backend) in &pool.backends {
            let Some(index) = ids.backend(name, backend_name) else { continue };
            let way = ways.get(&backend.address);
            let mut entry = BackendEntry {
                pool: u16::try_from(pool_index).unwrap_or(u16::MAX),
                name_hash: NameHash::of_backend(name, backend_name).0,
                ..backend_entry(&desired.node, pool.encapsulation, backend, way)
            };
            entry.flags |= BackendEntry::USABLE;
            if let Some(weight) = weights.get(&index) {
                entry.flags |= BackendEntry::ACCEPTS_NEW;
                entry.weight = *weight;
            }
            target.backends.insert(index, entry);
            let keys = quic_keys(pool_index, pool, backend);
            target.quic_servers.extend(keys.map(|key| (key, index)));
        }
    }
    for (name, service) in &desired.services {
        target.services.extend(service_entries(name, service, ids));
        // Of several services on a VIP the first speaks for it.
        if let Some(entry) = service_entry(name, service, ids) {
            target.services.entry(vip_key(service.vip)).or_insert(entry);
        }
    }
    target.egress = egress(links, ways);
    target
}

/// Marks the pools whose tables are those that were written last: the same ones, not equal ones. `ids`
/// must be those of both.
pub fn mark_in_place(target: &mut Target, ids: &Ids, (written, tables): (&Tables, &Tables)) {
    for (name, written) in written.all_slots() {
        let pool = ids.pool(name).and_then(|index| target.pools.get_mut(&index));
        if let Some(pool) = pool {
            pool.is_in_place = Arc::ptr_eq(written, &tables.slots(name));
        }
    }
}

/// Takes from backends that are down what they have: pins of their flows, and slots that still name
/// them as the ones before.
pub fn mark_down(target: &mut Target, ids: &Ids, effective: &BTreeMap<String, EffectivePool>) {
    for (pool, backends) in effective {
        for (name, _) in backends.iter().filter(|(_, backend)| !backend.usable) {
            let entry = ids.backend(pool, name).and_then(|index| target.backends.get_mut(&index));
            if let Some(entry) = entry {
                entry.flags &= !(BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW);
            }
        }
    }
}

fn target_pool(name: &str, pool: &Pool, tables: &Tables) -> TargetPool {
    let mut quic_server_id_bytes = [0; PoolEntry::QUIC_CONFIGS];
    for (config, bytes) in &pool.quic {
        if let Some(place) = quic_server_id_bytes.get_mut(usize::from(*config)) {
            *place = *bytes;
        }
    }
    TargetPool {
        name_hash: NameHash::of(name).0,
        slots: tables.slots(name),
        is_in_place: false,
        keeps_flows: !pool.flow_idle_timeout.is_zero(),
        scheduler: pool.scheduler.in_maps(),
        rotation: tables.rotation(name),
        quic_server_id_bytes,
    }
}

/// What connection ids call a backend: once for each configuration whose ids have that length.
fn quic_keys(pool_index: u32, pool: &Pool, backend: &Backend) -> impl Iterator<Item = QuicKey> {
    backend.quic_server_id.iter().flat_map(move |id| {
        let configs = pool.quic.iter().filter(|(_, bytes)| **bytes == id.bytes());
        configs.map(move |(config, _)| QuicKey::new(pool_index, *config, id.words()))
    })
}

/// The interfaces that packets may leave by, as far as there is room: those with the program, then those on the ways.
pub fn egress(links: &BTreeSet<u32>, ways: &Ways) -> BTreeSet<u32> {
    let on_the_way = ways.values().filter_map(|way| match way {
        Way::Known { link, .. } => Some(link.index),
        Way::Unknown { .. } => None,
    });
    let room = EGRESS_MAX as usize;
    let mut egress: BTreeSet<u32> = links.iter().copied().take(room).collect();
    for index in on_the_way {
        if egress.len() < room {
            egress.insert(index);
        }
    }
    egress
}

/// Adds the backends that the configuration has left out and that flows still belong to: they go
/// on as if drained, until no slot and no pin names them any more. `pinned` are those with pins.
pub fn keep_leaving(
    target: &mut Target,
    observed: &Image,
    pinned: &BTreeSet<BackendIndex>,
    ways: &Ways,
    limits: &Limits,
) {
    let mut leaving: Vec<_> = observed
        .backends
        .iter()
        .filter(|(index, _)| !target.backends.contains_key(index))
        .filter(|(_, entry)| {
            target.pools.get(&u32::from(entry.pool)).is_some_and(|pool| pool.keeps_flows)
        })
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
    keep_named(target, observed, &leaving.iter().map(|(index, _)| *index).collect(), limits);
    for (index, entry) in leaving {
        let mut entry = with_way(entry, ways.get(&outer_destination(&entry)));
        // One that was down when it was taken out stays so: nobody checks it any more.
        entry.flags &= !BackendEntry::ACCEPTS_NEW;
        target.backends.insert(index, entry);
    }
}

/// Keeps what QUIC connection ids call backends that are leaving, as far as there is room and their
/// pools still read such ids.
fn keep_named(
    target: &mut Target,
    observed: &Image,
    leaving: &BTreeSet<BackendIndex>,
    limits: &Limits,
) {
    let room = (limits.backends as usize).saturating_sub(target.quic_servers.len());
    let is_read = |key: &QuicKey| {
        let pool = target.pools.get(&key.pool());
        let bytes = pool.map(|pool| pool.quic_server_id_bytes.get(usize::from(key.config())));
        bytes.flatten().is_some_and(|bytes| *bytes > 0)
    };
    let kept: Vec<_> = observed
        .quic_servers
        .iter()
        .filter(|(key, index)| leaving.contains(index) && is_read(key))
        .filter(|(key, _)| !target.quic_servers.contains_key(key))
        .take(room)
        .map(|(key, index)| (*key, *index))
        .collect();
    target.quic_servers.extend(kept);
}

/// The address of a backend, as its entry has it.
pub fn outer_destination(entry: &BackendEntry) -> IpAddr {
    let [a, b, c, d, rest @ ..] = entry.outer_destination;
    // Frames that are not wrapped have no outer header whose version would tell: no IPv6 address of
    // a host ends in 96 zeroes.
    if rest == [0; 12] {
        return IpAddr::from([a, b, c, d]);
    }
    IpAddr::from(entry.outer_destination)
}

/// The keys of a service: one for each port.
pub fn service_keys(service: &Service) -> impl Iterator<Item = ServiceKey> + '_ {
    let protocol = service.protocol.number();
    service.ports.iter().map(move |port| ServiceKey::new(service.vip, protocol, *port))
}

/// The key by which the program knows a VIP, whatever its services: that of its version of ICMP.
pub fn vip_key(vip: IpAddr) -> ServiceKey {
    let protocol = if vip.is_ipv4() { protocol::ICMP } else { protocol::ICMPV6 };
    ServiceKey::new(vip, protocol, 0)
}

fn service_entries<'a>(
    name: &str,
    service: &'a Service,
    ids: &Ids,
) -> impl Iterator<Item = (ServiceKey, ServiceEntry)> + 'a {
    let entry = service_entry(name, service, ids);
    service_keys(service).filter_map(move |key| Some((key, entry?)))
}

fn service_entry(name: &str, service: &Service, ids: &Ids) -> Option<ServiceEntry> {
    let (pool, index) = ids.pool(&service.pool).zip(ids.service(name))?;
    Some(ServiceEntry { pool, service: index, name_hash: NameHash::of(name).0 })
}

fn backend_entry(
    node: &Node,
    encapsulation: Encapsulation,
    backend: &Backend,
    way: Option<&Way>,
) -> BackendEntry {
    let source = match backend.address {
        _ if encapsulation == Encapsulation::L2 => None,
        IpAddr::V4(_) => node.encap_source_ipv4,
        IpAddr::V6(_) => node.encap_source_ipv6,
    };
    let first = |prefix: Prefix| address_bytes(prefix.address()).0;
    let entry = BackendEntry {
        encapsulation: encapsulation.in_maps(backend.address).code(),
        outer_destination: address_bytes(backend.address).0,
        outer_source: source.map(first).unwrap_or_default(),
        ..BackendEntry::default()
    };
    with_way(entry, way)
}

/// The entry with the way to its backend, or marked as one without.
fn with_way(entry: BackendEntry, way: Option<&Way>) -> BackendEntry {
    let is_l2 = entry.encapsulation == abi::Encapsulation::L2.code();
    match way {
        // A gateway would send a frame for the VIP back to us.
        Some(Way::Known { gateway, .. }) if is_l2 && *gateway != outer_destination(&entry) => {
            BackendEntry { flags: entry.flags & !BackendEntry::NEXT_HOP_KNOWN, ..entry }
        }
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
