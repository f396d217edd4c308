//! Every key is found at the first look, and nothing else is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::*;

/// A look-up as the program does it.
fn find(table: &ServiceTable, key: &ServiceKey) -> Option<ServiceEntry> {
    let hash = table.half.hash(key);
    let multiplier = table.buckets[table.half.bucket(hash) as usize];
    let place = table.places[table.half.place(hash, multiplier) as usize];
    (place.key == *key).then_some(place.entry)
}

fn entry(service: u32) -> ServiceEntry {
    ServiceEntry { pool: service / 7, service, name_hash: u64::from(service) + 1 }
}

fn numbered(keys: impl IntoIterator<Item = ServiceKey>) -> BTreeMap<ServiceKey, ServiceEntry> {
    keys.into_iter().zip((0..).map(entry)).collect()
}

fn assert_exact(services: &BTreeMap<ServiceKey, ServiceEntry>) {
    let table = ServiceTable::build(services).unwrap();
    assert_eq!(table.services(), *services);
    for (key, entry) in services {
        assert_eq!(find(&table, key), Some(*entry), "{key:?}");
    }
    let taken = table.places.iter().filter(|place| **place != ServicePlace::default());
    assert_eq!(taken.count(), services.len());
}

#[test]
fn nothing_is_found_in_an_empty_table() {
    let table = ServiceTable::build(&BTreeMap::new()).unwrap();
    assert_eq!((table.buckets.len(), table.places.len()), (1, 1));
    assert_eq!(find(&table, &ServiceKey::new(Ipv4Addr::LOCALHOST.into(), 6, 80)), None);
}

#[test]
fn every_count_from_one_to_a_few_hundred_has_a_table() {
    let vip = Ipv4Addr::new(203, 0, 113, 10);
    for count in 1..300 {
        assert_exact(&numbered((0..count).map(|port| ServiceKey::new(vip.into(), 6, port))));
    }
}

#[test]
fn keys_that_differ_in_a_single_part_are_told_apart_in_their_thousands() {
    let v4 = |number: u32| IpAddr::from(Ipv4Addr::from(0xcb00_0000 + number));
    let v6 = |number: u128| IpAddr::from(Ipv6Addr::from((0x2001_0db8 << 96) + number));
    assert_exact(&numbered((0..65_535).map(|port| ServiceKey::new(v4(1), 6, port))));
    assert_exact(&numbered((0..20_000).map(|number| ServiceKey::new(v4(number), 6, 443))));
    assert_exact(&numbered((0..20_000).map(|number| ServiceKey::new(v6(number), 17, 443))));
    assert_exact(&numbered((0..20_000).map(|number| ServiceKey::new(v6(number << 64), 17, 443))));
}

#[test]
fn addresses_that_differ_in_the_last_bytes_of_network_and_host_have_places() {
    let vip = |network: u128, host: u128| -> IpAddr {
        Ipv6Addr::from((0x2001_0db8 << 96) + (network << 64) + host).into()
    };
    let key = |vip| [ServiceKey::new(vip, 6, 443), ServiceKey::new(vip, 58, 0)];
    for pair in [[vip(1, 1), vip(0x81, 0x81)], [vip(0, 0x10), vip(0x80, 0x90)]] {
        assert_exact(&numbered(pair.into_iter().flat_map(key)));
    }
    let grid = (0..40).flat_map(|network| (0..40).map(move |host| vip(network, host)));
    assert_exact(&numbered(grid.flat_map(key)));
    let spread = (0..40).flat_map(|network| (0..40).map(move |host| vip(network << 8, host << 56)));
    assert_exact(&numbered(spread.flat_map(key)));
}

#[test]
fn places_that_are_asked_for_by_others_are_not_theirs() {
    let vip = Ipv4Addr::new(203, 0, 113, 10);
    let services = numbered((1..=1000).map(|port| ServiceKey::new(vip.into(), 6, port)));
    let table = ServiceTable::build(&services).unwrap();
    for port in 1001..=u16::MAX {
        assert_eq!(find(&table, &ServiceKey::new(vip.into(), 6, port)), None);
    }
    assert_eq!(find(&table, &ServiceKey::new(vip.into(), 6, 0)), None);
}

proptest! {
    #[test]
    fn any_services_are_found_and_nothing_else(
        services in btree_map((any::<IpAddr>(), any::<u8>(), any::<u16>()), any::<u32>(), 0..200),
        other: (IpAddr, u8, u16),
    ) {
        let key = |(vip, protocol, port)| ServiceKey::new(vip, protocol, port);
        let known = services.iter().map(|(parts, number)| (key(*parts), entry(*number / 2)));
        let known: BTreeMap<_, _> = known.collect();
        assert_exact(&known);
        let table = ServiceTable::build(&known).unwrap();
        prop_assert_eq!(find(&table, &key(other)), known.get(&key(other)).copied());
    }
}
