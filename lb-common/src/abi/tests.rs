//! The layout, byte for byte: whoever changes it must change the version with it.

use std::format;
use std::mem::offset_of;
use std::net::IpAddr;
use std::string::String;

use super::*;

/// Layout of version 1. When this test fails, the layout has changed: raise `LAYOUT_VERSION`, so
/// that no agent adopts maps it would misread, and only then write the new layout here.
const LAYOUT: (u32, &str) = (
    1,
    "ServiceKey 24: address 0, selector 16\n\
     AddressKey 24: address 0, family 16\n\
     ServiceEntry 16: pool 0, service 4, name_hash 8\n\
     PoolEntry 16: table 0, name_hash 8\n\
     TablePage 4096: 0 0\n\
     Slot 4: current 15 bits, previous 15 bits, consult bit 31\n\
     BackendEntry 64: next_hop_mac 0, mtu_bytes 6, source_mac 8, encapsulation 14, flags 15, \
     outer_destination 16, outer_source 32, egress_ifindex 48, pool 52, name_hash 56\n\
     Counter 16: packets 0, bytes 8\n\
     maps SERVICES POOLS TABLE_PAGES BACKENDS REASON_COUNTERS SERVICE_COUNTERS BACKEND_COUNTERS \
     of 12 reasons",
);

macro_rules! layout {
    ($type:ident: $($field:tt),+) => {{
        let fields = [$(format!("{} {}", stringify!($field), offset_of!($type, $field))),+];
        format!("{} {}: {}", stringify!($type), size_of::<$type>(), fields.join(", "))
    }};
}

fn layout() -> String {
    let page = layout!(TablePage: 0);
    let all = Slot::in_transition(BackendIndex(0x7fff), BackendIndex(0x7fff));
    let slot = format!(
        "Slot {}: current {} bits, previous {} bits, consult bit {}",
        size_of::<Slot>(),
        all.current().0.count_ones(),
        all.previous().0.count_ones(),
        (all.0 & !0x3fff_ffff).ilog2(),
    );
    let maps = [
        map::SERVICES,
        map::POOLS,
        map::TABLE_PAGES,
        map::BACKENDS,
        map::REASON_COUNTERS,
        map::SERVICE_COUNTERS,
        map::BACKEND_COUNTERS,
    ];
    let reasons = crate::verdict::Reason::ALL.len();
    [
        layout!(ServiceKey: address, selector),
        layout!(AddressKey: address, family),
        layout!(ServiceEntry: pool, service, name_hash),
        layout!(PoolEntry: table, name_hash),
        page,
        slot,
        layout!(
            BackendEntry: next_hop_mac, mtu_bytes, source_mac, encapsulation, flags,
            outer_destination, outer_source, egress_ifindex, pool, name_hash
        ),
        layout!(Counter: packets, bytes),
        format!("maps {} of {reasons} reasons", maps.join(" ")),
    ]
    .join("\n")
}

#[test]
fn a_changed_layout_needs_a_new_version() {
    assert_eq!((LAYOUT_VERSION, layout().as_str()), LAYOUT);
}

#[test]
fn a_key_is_the_same_from_addresses_and_from_packet_words() {
    let vip: IpAddr = [203, 0, 113, 10].into();
    let key = ServiceKey::new(vip, 6, 443);
    let words = [u64::from(u32::from_ne_bytes([203, 0, 113, 10])), 0];
    assert_eq!(key, ServiceKey::from_words(words, Family::V4, 6, u16::from_ne_bytes([0x01, 0xbb])));
    assert_eq!(key.any_port(), ServiceKey::new(vip, 6, 0));
}

#[test]
fn keys_differ_in_each_part() {
    let vip: IpAddr = [203, 0, 113, 10].into();
    let other: IpAddr = [203, 0, 113, 11].into();
    let mapped: IpAddr = "::ffff:203.0.113.10".parse().unwrap();
    let key = ServiceKey::new(vip, 6, 80);
    for different in [
        ServiceKey::new(other, 6, 80),
        ServiceKey::new(vip, 17, 80),
        ServiceKey::new(vip, 6, 81),
        ServiceKey::new(mapped, 6, 80),
    ] {
        assert_ne!(key, different);
    }
    assert_ne!(AddressKey::new(vip), AddressKey::new(mapped));
}

#[test]
fn a_table_reference_holds_page_and_size() {
    let table = TableRef::new(u32::MAX, 65_521);
    assert_eq!((table.first_page(), table.slots(), table.pages()), (u32::MAX, 65_521, 64));
    assert_eq!(TableRef::new(0, 1024).pages(), 1);
    assert_eq!(TableRef::new(0, 1025).pages(), 2);
    assert_eq!(TableRef::default().pages(), 0);
}

#[test]
fn a_slot_holds_two_backends_and_the_bit() {
    let (one, last) =
        (BackendIndex::new(1).unwrap(), BackendIndex::new(BackendIndex::MAX).unwrap());
    for (slot, current, previous, consult) in [
        (Slot::default(), BackendIndex::NONE, BackendIndex::NONE, false),
        (Slot::clean(last), last, BackendIndex::NONE, false),
        (Slot::in_transition(one, last), one, last, true),
        (Slot::in_transition(last, one), last, one, true),
    ] {
        assert_eq!((slot.current(), slot.previous(), slot.consult()), (current, previous, consult));
    }
    assert_eq!(BackendIndex::new(0), None);
    assert_eq!(BackendIndex::new(BackendIndex::MAX + 1), None);
}
