//! What a configuration means for the maps.

mod plane;

use std::time::Duration;

use lb_common::abi::{PoolEntry, TableRef};
use proptest::prelude::*;

use super::*;
use crate::core::effective::effective;
use crate::core::health::{Condition, Conditions};
use crate::core::overrides::Overrides;
use crate::core::samples::{self, Sample, known_way, limits, sample};
use crate::core::way::{Link, LinkKind};

/// The target of a configuration on new maps.
fn fresh(desired: &Desired, ways: &Ways) -> (Target, Ids) {
    let ids = Ids::default().assign(desired).unwrap();
    let mut tables = Tables::default();
    tables
        .update(desired, &effective(desired, &Overrides::default(), &Conditions::default()), &ids)
        .unwrap();
    (target(desired, &ids, &tables, ways, &BTreeSet::new()), ids)
}

/// The same configuration with all its lists in another order.
fn shuffled(sample: Sample) -> impl Strategy<Value = (Sample, Sample)> {
    let backends: Vec<_> =
        sample.pools.iter().map(|pool| Just(pool.backends.clone()).prop_shuffle()).collect();
    let services = Just(sample.services.clone()).prop_shuffle();
    let order = Just((0..sample.pools.len()).collect::<Vec<_>>()).prop_shuffle();
    (backends, services, order).prop_map(move |(backends, services, order)| {
        let mut pools = sample.pools.clone();
        for (pool, backends) in pools.iter_mut().zip(backends) {
            pool.backends = backends;
        }
        let pools = order.iter().map(|index| pools[*index].clone()).collect();
        let other = Sample { pools, services, ..sample.clone() };
        (sample.clone(), other)
    })
}

proptest! {
    #[test]
    fn the_order_of_the_file_does_not_matter(
        limits in limits(),
        (one, other) in sample().prop_flat_map(shuffled),
    ) {
        let ways = one.ways();
        let (expected, _) = fresh(&one.desired(&limits), &ways);
        let (target, _) = fresh(&other.desired(&limits), &ways);
        prop_assert_eq!(target, expected);
    }

    #[test]
    fn every_port_leads_to_the_pool_of_its_service(limits in limits(), sample in sample()) {
        let desired = sample.desired(&limits);
        let (target, ids) = fresh(&desired, &sample.ways());
        let ports: usize = desired.services.values().map(|service| service.ports.len()).sum();
        let vips: BTreeSet<_> = desired.services.values().map(|service| service.vip).collect();
        prop_assert_eq!(target.services.len(), ports + vips.len());
        for (name, service) in &desired.services {
            let keys: Vec<_> = service_keys(service).collect();
            prop_assert_eq!(keys.len(), service.ports.len());
            for key in keys {
                let entry = target.services[&key];
                prop_assert_eq!(Some(entry.pool), ids.pool(&service.pool));
                prop_assert_eq!(Some(entry.service), ids.service(name));
                prop_assert_eq!(entry.name_hash, NameHash::of(name).0);
            }
        }
    }

    #[test]
    fn every_slot_leads_to_a_backend_of_its_own_pool(limits in limits(), sample in sample()) {
        let (target, _) = fresh(&sample.desired(&limits), &sample.ways());
        for (index, pool) in &target.pools {
            for slot in pool.slots.iter() {
                let Some(backend) = target.backends.get(&slot.current()) else {
                    prop_assert_eq!(*slot, Slot::default());
                    continue;
                };
                prop_assert_eq!(u32::from(backend.pool), *index);
            }
        }
    }

    #[test]
    fn a_backend_accepts_new_flows_if_and_only_if_it_is_in_its_pools_table(
        limits in limits(), sample in sample(),
    ) {
        let (target, _) = fresh(&sample.desired(&limits), &sample.ways());
        let named: BTreeSet<_> =
            target.pools.values().flat_map(|pool| pool.slots.iter().map(|slot| slot.current())).collect();
        for (index, entry) in &target.backends {
            let accepts = entry.flags & BackendEntry::ACCEPTS_NEW != 0;
            // A weight of 1 among 1000s may come out of a small table without a slot.
            prop_assert!(accepts || !named.contains(index));
            prop_assert!(entry.flags & BackendEntry::USABLE != 0);
        }
        for (index, pool) in &target.pools {
            let slots = pool.slots.iter().filter(|slot| slot.current() == BackendIndex::NONE).count();
            let accept = target.backends.values().any(|entry| {
                u32::from(entry.pool) == *index && entry.flags & BackendEntry::ACCEPTS_NEW != 0
            });
            prop_assert_eq!(slots, if accept { 0 } else { pool.slots.len() });
        }
    }
}

const POOLS: &str = "[{ name: web, backends: [
    { name: v4, address: 10.3.0.2 }, { name: v6, address: 'fd00:3::2' } ] }]";

/// The entries of the IPv4 and the IPv6 backend of [`POOLS`].
fn entries(ways: &Ways) -> (BackendEntry, BackendEntry) {
    let (target, ids) = fresh(&samples::desired(POOLS, "[]"), ways);
    let entry = |name| target.backends[&ids.backend("web", name).unwrap()];
    (entry("v4"), entry("v6"))
}

#[test]
fn a_backend_is_wrapped_in_its_own_family_from_the_nodes_address_of_it() {
    let (v4, v6) = entries(&Ways::new());

    assert_eq!(v4.encapsulation, abi::Encapsulation::IpipV4.code());
    assert_eq!(v4.outer_destination, [10, 3, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(v4.outer_source, [10, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(v6.encapsulation, abi::Encapsulation::IpipV6.code());
    assert_eq!(v6.outer_destination, [0xfd, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(v6.outer_source, [0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(v4.name_hash, NameHash::of_backend("web", "v4").0);
}

#[test]
fn a_known_way_fills_in_the_next_hop_of_that_backend_alone() {
    let address: IpAddr = "10.3.0.2".parse().unwrap();
    let (v4, v6) = entries(&Ways::from([(address, known_way(address, 9))]));

    assert_eq!(v4.next_hop_mac, [2, 0, 0, 0, 1, 9]);
    assert_eq!(v4.source_mac, [2, 0, 0, 0, 0, 1]);
    assert_eq!((v4.egress_ifindex, v4.mtu_bytes), (samples::LINK, 1500));
    let up = BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW;
    assert_eq!(v4.flags, up | BackendEntry::NEXT_HOP_KNOWN);
    assert_eq!(v6.flags, up);
}

#[test]
fn an_unknown_way_leaves_the_next_hop_unset() {
    let address: IpAddr = "10.3.0.2".parse().unwrap();
    let (index, name) = (7, "eth0".to_owned());
    let kind = LinkKind::Plain;
    let link = Link { index, name, mac: [2; 6], mtu_bytes: 1500, up: true, kind };
    let problem = "the neighbour does not answer".to_owned();
    let unknown = Way::Unknown { gateway: Some(address), link: Some(link), problem };

    let (v4, _) = entries(&Ways::from([(address, unknown)]));
    let (without, _) = entries(&Ways::new());

    assert_eq!(v4.flags & BackendEntry::NEXT_HOP_KNOWN, 0);
    assert_eq!(v4, without);
}

#[test]
fn an_mtu_beyond_16_bits_is_as_large_as_it_can_be() {
    let address: IpAddr = "10.3.0.2".parse().unwrap();
    let mut way = known_way(address, 1);
    if let Way::Known { mtu_bytes, .. } = &mut way {
        *mtu_bytes = 65_536;
    }
    assert_eq!(entries(&Ways::from([(address, way)])).0.mtu_bytes, 65_535);
}

#[test]
fn a_service_of_any_port_has_one_key_with_port_0() {
    let services = "[{ name: all, vip: 203.0.113.10, protocol: udp, ports: [0], pool: web }]";
    let (target, _) = fresh(&samples::desired(POOLS, services), &Ways::new());

    let vip = "203.0.113.10".parse().unwrap();
    let key = ServiceKey::new(vip, 17, 0);
    assert_eq!(target.services.keys().collect::<Vec<_>>(), [&vip_key(vip), &key]);
    assert_eq!(key, key.any_port());
}

#[test]
fn a_pool_without_active_backends_has_a_table_of_empty_slots() {
    let off = POOLS
        .replace("10.3.0.2", "10.3.0.2, weight: 0")
        .replace("'fd00:3::2'", "'fd00:3::2', weight: 0");
    let (target, ids) = fresh(&samples::desired(&off, "[]"), &Ways::new());

    let pool = &target.pools[&ids.pool("web").unwrap()];
    assert_eq!(pool.slots.to_vec(), vec![Slot::default(); 65_521]);
    assert_eq!(target.backends.len(), 2);
    assert!(target.backends.values().all(|entry| entry.flags == BackendEntry::USABLE));
}

#[test]
fn a_pool_with_an_idle_timeout_of_zero_keeps_no_flows() {
    let mut desired = samples::desired(POOLS, "[]");
    let (keeps, _) = fresh(&desired, &Ways::new());
    desired.pools.get_mut("web").unwrap().flow_idle_timeout = Duration::ZERO;
    let (keeps_not, _) = fresh(&desired, &Ways::new());

    assert!(keeps.pools.values().all(|pool| pool.keeps_flows));
    assert!(keeps_not.pools.values().all(|pool| !pool.keeps_flows));
}

const LIMITS: Limits =
    Limits { services: 16, pools: 8, backends: 30, table_slots: 1024, pins: 8, fragments: 8 };

const V6_ALONE: &str = "{ name: v6, address: 'fd00:3::2' }";

/// Maps with both backends of [`POOLS`], whose table has this one slot (from `v4` and `v6`); the
/// target once `v6` has left the configuration; and its index.
fn leaving(slot: impl Fn(BackendIndex, BackendIndex) -> Slot) -> (Image, Target, BackendIndex) {
    let (both, ids) = fresh(&samples::desired(POOLS, "[]"), &Ways::new());
    let [v4, v6] = ["v4", "v6"].map(|name| ids.backend("web", name).unwrap());
    let (target, after) =
        fresh(&samples::desired(&POOLS.replace(V6_ALONE, ""), "[]"), &Ways::new());
    assert_eq!((after.backend("web", "v4"), target.backends.len()), (Some(v4), 1));
    let mut observed = Image { backends: both.backends, ..Image::default() };
    observed.put_table(0, &[slot(v4, v6)]);
    observed
        .pools
        .insert(0, PoolEntry { table: TableRef::new(0, 1), name_hash: 1, ..PoolEntry::default() });
    (observed, target, v6)
}

#[test]
fn a_backend_that_left_stays_while_a_slot_or_a_pin_names_it() {
    let stays = |slot: fn(BackendIndex, BackendIndex) -> Slot, pinned: bool| {
        let (observed, mut target, v6) = leaving(slot);
        let pinned = pinned.then_some(v6).into_iter().collect();
        keep_leaving(&mut target, &observed, &pinned, &Ways::new(), &LIMITS);
        target.backends.contains_key(&v6)
    };
    assert!(stays(|_, v6| Slot::clean(v6), false), "new flows went to it a moment ago");
    assert!(stays(Slot::in_transition, false));
    assert!(stays(|v4, _| Slot::clean(v4), true));
    assert!(!stays(|v4, _| Slot::clean(v4), false));
    assert!(!stays(|v4, _| Slot::in_transition(v4, v4), false));
}

#[test]
fn a_backend_that_left_goes_at_once_if_its_pool_keeps_no_flows_or_left_too() {
    let (observed, target, v6) = leaving(|_, v6| Slot::clean(v6));
    let pinned = BTreeSet::from([v6]);
    let mut restless = target.clone();
    restless.pools.values_mut().for_each(|pool| pool.keeps_flows = false);
    let mut without_pool = target;
    without_pool.pools.clear();

    for mut target in [restless, without_pool] {
        keep_leaving(&mut target, &observed, &pinned, &Ways::new(), &LIMITS);
        assert!(!target.backends.contains_key(&v6));
    }
}

#[test]
fn a_backend_that_left_takes_no_new_flows_and_its_way_is_followed() {
    let (observed, mut target, v6) = leaving(Slot::in_transition);
    let stays = target.backends.clone();
    let before = observed.backends[&v6];
    assert_eq!(before.flags, BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW);
    let address: IpAddr = "fd00:3::2".parse().unwrap();
    let ways = Ways::from([(address, known_way(address, 9))]);

    keep_leaving(&mut target, &observed, &BTreeSet::new(), &ways, &LIMITS);

    let entry = target.backends.remove(&v6).unwrap();
    assert_eq!(entry.flags, BackendEntry::USABLE | BackendEntry::NEXT_HOP_KNOWN);
    assert_eq!(entry.next_hop_mac, [2, 0, 0, 0, 1, 9]);
    assert_eq!((entry.name_hash, entry.pool), (before.name_hash, before.pool));
    assert_eq!(target.backends, stays, "the others are as they were");
}

#[test]
fn a_backend_that_is_down_has_its_entry_and_neither_its_flows_nor_new_ones() {
    let desired = samples::desired(POOLS, "[]");
    let (mut target, ids) = fresh(&desired, &Ways::new());
    let [v4, v6] = ["v4", "v6"].map(|name| ids.backend("web", name).unwrap());
    let before = target.clone();
    let conditions = Conditions::default().with("web", "v6", Condition::Down);
    let effective = effective(&desired, &Overrides::default(), &conditions);

    mark_down(&mut target, &ids, &effective);

    assert_eq!(target.backends[&v6].flags, 0);
    assert_eq!(target.backends[&v4], before.backends[&v4]);
    let entry = target.backends.get_mut(&v6).unwrap();
    entry.flags = before.backends[&v6].flags;
    assert_eq!(target, before, "nothing else has changed");
}

#[test]
fn a_backend_that_left_while_it_was_down_stays_down() {
    let (mut observed, mut target, v6) = leaving(Slot::in_transition);
    observed.backends.get_mut(&v6).unwrap().flags = 0;
    keep_leaving(&mut target, &observed, &BTreeSet::from([v6]), &Ways::new(), &LIMITS);
    assert_eq!(target.backends[&v6].flags, 0);
}

#[test]
fn the_address_of_a_backend_can_be_told_from_its_entry() {
    let (v4, v6) = entries(&Ways::new());
    assert_eq!(outer_destination(&v4), "10.3.0.2".parse::<IpAddr>().unwrap());
    assert_eq!(outer_destination(&v6), "fd00:3::2".parse::<IpAddr>().unwrap());
}
