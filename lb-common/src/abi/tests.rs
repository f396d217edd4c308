//! The layout, byte for byte: whoever changes it must change the version with it.

use std::format;
use std::mem::offset_of;
use std::net::IpAddr;
use std::string::String;

use proptest::prelude::*;
use zerocopy::IntoBytes;

use super::*;
use crate::datapath::slot_number;
use crate::hash;
use crate::verdict::{PinEvent, Reason};

/// Layout of version 3. When this test fails, the layout has changed: raise `LAYOUT_VERSION`, so
/// that no agent adopts maps it would misread, and only then write the new layout here.
const LAYOUT: (u32, &str) = (
    3,
    "ServiceKey 24: address 0, selector 16\n\
     AddressKey 24: address 0, family 16\n\
     ServiceEntry 16: pool 0, service 4, name_hash 8\n\
     ServicePlace 40: key 0, entry 24\n\
     ServiceHalf 48: multipliers 0, first_bucket 32, buckets 36, first_place 40, places 44\n\
     ServiceDirectory 104: current 0, halves 8\n\
     PoolEntry 32: table 0, rotation 8, scheduler 16, quic_server_id_bytes 17, name_hash 24\n\
     QuicKey 24: server_id 0, selector 16\n\
     TablePage 4096: 0 0\n\
     Slot 4: current 7fff, previous 3fff8000, consult 80000000\n\
     Pin 8: tag ffffffff00000000, embryonic 40000000, udp 80000000, closing c0000000, \
     backend 3fff8000, last seen 7fff in units of 2^30 ns\n\
     PinBucket 64: 8 pins\n\
     BackendEntry 64: next_hop_mac 0, mtu_bytes 6, source_mac 8, encapsulation 14, flags \
     15, outer_destination 16, outer_source 32, egress_ifindex 48, pool 52, weight 54, \
     name_hash 56\n\
     flags: next hop known 1, usable 2, accepts new 4\n\
     Counter 16: packets 0, bytes 8\n\
     encapsulations: IpipV4 1, IpipV6 2, GueV4 3, GueV6 4, GreV4 5, GreV6 6, L2 7\n\
     schedulers: Maglev 0, SourceHash 1, Rotation 2, Random 3, LeastConnections 4\n\
     QuicKey of pool 1, configuration 2: selector 200000001\n\
     ServiceKey of 1.2.3.4:5 tcp [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 6, \
     4, 0, 0, 0, 0]\n\
     TableRef of page 1, 2 slots 100000002\n\
     reasons forwarded redirected echo_answered too_big_reported hop_limit_reported not_ip \
     malformed other_protocol no_service truncated no_backend next_hop_unknown \
     wrong_interface fragment_unknown too_big hop_limit echo_limited no_headroom\n\
     origin ORIGIN_SOURCES ORIGIN_VIPS ORIGIN_COUNTERS\n\
     maps SERVICE_DIRECTORY SERVICE_BUCKETS SERVICES POOLS TABLE_PAGES BACKENDS PINS FRAGMENTS LOADS TURNS QUIC_SERVERS \
     EGRESS REPLY_BUDGETS UNUSUAL REASON_COUNTERS PIN_COUNTERS SERVICE_COUNTERS BACKEND_COUNTERS of \
     18 reasons and 2 pin events",
);

macro_rules! layout {
    ($type:ident: $($field:tt),+) => {{
        let fields = [$(format!("{} {}", stringify!($field), offset_of!($type, $field))),+];
        format!("{} {}: {}", stringify!($type), size_of::<$type>(), fields.join(", "))
    }};
}

fn layout() -> String {
    let page = layout!(TablePage: 0);
    let maps = [
        map::SERVICE_DIRECTORY,
        map::SERVICE_BUCKETS,
        map::SERVICES,
        map::POOLS,
        map::TABLE_PAGES,
        map::BACKENDS,
        map::PINS,
        map::FRAGMENTS,
        map::LOADS,
        map::TURNS,
        map::QUIC_SERVERS,
        map::EGRESS,
        map::REPLY_BUDGETS,
        map::UNUSUAL,
        map::REASON_COUNTERS,
        map::PIN_COUNTERS,
        map::SERVICE_COUNTERS,
        map::BACKEND_COUNTERS,
    ];
    let (reasons, events) = (Reason::ALL.len(), PinEvent::ALL.len());
    let flags = [BackendEntry::NEXT_HOP_KNOWN, BackendEntry::USABLE, BackendEntry::ACCEPTS_NEW];
    [
        layout!(ServiceKey: address, selector),
        layout!(AddressKey: address, family),
        layout!(ServiceEntry: pool, service, name_hash),
        layout!(ServicePlace: key, entry),
        layout!(ServiceHalf: multipliers, first_bucket, buckets, first_place, places),
        layout!(ServiceDirectory: current, halves),
        layout!(PoolEntry: table, rotation, scheduler, quic_server_id_bytes, name_hash),
        layout!(QuicKey: server_id, selector),
        page,
        slot_layout(),
        pin_layout(),
        format!("PinBucket {}: {PINS_PER_BUCKET} pins", size_of::<PinBucket>()),
        layout!(
            BackendEntry: next_hop_mac, mtu_bytes, source_mac, encapsulation, flags,
            outer_destination, outer_source, egress_ifindex, pool, weight, name_hash
        ),
        format!(
            "flags: next hop known {}, usable {}, accepts new {}",
            flags[0], flags[1], flags[2]
        ),
        layout!(Counter: packets, bytes),
        meanings(),
        format!("maps {} of {reasons} reasons and {events} pin events", maps.join(" ")),
    ]
    .join("\n")
}

/// What offsets do not show: which value stands for what, on a little-endian machine.
fn meanings() -> String {
    let key = ServiceKey::new([1, 2, 3, 4].into(), 6, 5);
    let table: u64 = zerocopy::transmute!(TableRef::new(1, 2));
    let encapsulations = Encapsulation::ALL.map(|each| format!("{each:?} {}", each.code()));
    let schedulers = [
        Scheduler::Maglev,
        Scheduler::SourceHash,
        Scheduler::Rotation,
        Scheduler::Random,
        Scheduler::LeastConnections,
    ];
    let schedulers = schedulers.map(|each| format!("{each:?} {}", each.code()));
    let quic = QuicKey::new(1, 2, [3, 4]);
    let reasons: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    let origin = [map::ORIGIN_SOURCES, map::ORIGIN_VIPS, map::ORIGIN_COUNTERS];
    [
        format!("encapsulations: {}", encapsulations.join(", ")),
        format!("schedulers: {}", schedulers.join(", ")),
        format!("QuicKey of pool 1, configuration 2: selector {:x}", quic.selector),
        format!("ServiceKey of 1.2.3.4:5 tcp {:?}", key.as_bytes()),
        format!("TableRef of page 1, 2 slots {table:x}"),
        format!("reasons {}", reasons.join(" ")),
        format!("origin {}", origin.join(" ")),
    ]
    .join("\n")
}

/// The bits of each field, by setting it alone.
fn slot_layout() -> String {
    let word = |slot: Slot| u32::from_ne_bytes(zerocopy::transmute!(slot));
    let consult = word(Slot::in_transition(BackendIndex::NONE, BackendIndex::NONE));
    format!(
        "Slot {}: current {:x}, previous {:x}, consult {consult:x}",
        size_of::<Slot>(),
        word(Slot::clean(last_index())),
        word(Slot::in_transition(BackendIndex::NONE, last_index())) & !consult,
    )
}

/// The same for a pin.
fn pin_layout() -> String {
    let pin = |hash, backend, now_ns| Pin::new(hash, backend, Ticks::at(now_ns)).0;
    format!(
        "Pin {}: tag {:x}, embryonic {:x}, udp {:x}, closing {:x}, backend {:x}, last seen {:x} in \
         units of 2^{} ns",
        size_of::<Pin>(),
        pin(u64::MAX, BackendIndex::NONE, 0),
        Pin::EMPTY.in_state(PinState::Embryonic).0,
        Pin::EMPTY.in_state(PinState::Udp).0,
        Pin::EMPTY.in_state(PinState::Closing).0,
        pin(0, last_index(), 0),
        pin(0, BackendIndex::NONE, u64::MAX),
        Ticks::NANOSECONDS_BITS,
    )
}

const fn last_index() -> BackendIndex {
    BackendIndex::new(BackendIndex::MAX).unwrap()
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

#[test]
fn a_slot_that_moves_remembers_whom_its_oldest_flows_belong_to() {
    let [a, b, c] = [1, 2, 3].map(|index| BackendIndex::new(index).unwrap());
    let clean = Slot::clean(a);
    assert_eq!(clean.moved_to(a), clean, "nothing moves");
    assert_eq!(clean.moved_to(b), Slot::in_transition(b, a));
    assert_eq!(clean.moved_to(b).moved_to(c), Slot::in_transition(c, a), "not b");
    assert_eq!(clean.moved_to(b).moved_to(a), Slot::in_transition(a, a), "and back");
    assert_eq!(clean.moved_to(BackendIndex::NONE), Slot::in_transition(BackendIndex::NONE, a));
    assert_eq!(Slot::default().moved_to(b), Slot::in_transition(b, BackendIndex::NONE));
    let settling = clean.moved_to(b).without_previous();
    assert_eq!(settling, Slot::in_transition(b, BackendIndex::NONE), "pins are still consulted");
    assert_eq!(settling.moved_to(c), Slot::in_transition(c, b));
}

proptest! {
    #[test]
    fn a_pin_holds_all_that_is_put_in_and_changes_one_field_at_a_time(
        hash: u64, index in 1..=BackendIndex::MAX, then: u64, now: u64,
        states in [0_usize..4, 0_usize..4],
    ) {
        let backend = BackendIndex::new(index).unwrap();
        let (then, now) = (Ticks::at(then), Ticks::at(now));
        let all = [PinState::Established, PinState::Embryonic, PinState::Udp, PinState::Closing];
        let [before, state] = states.map(|state| all[state]);
        let made = Pin::new(hash, backend, then).in_state(before);
        let pin = made.in_state(state).seen_at(now);
        prop_assert_eq!((pin.tag(), pin.backend(), pin.last_seen()), (hash >> 32 << 32, backend, now));
        prop_assert_eq!((pin.state(), pin.is_empty()), (state, false));
        prop_assert!(pin.is_of(hash) && !pin.is_of(hash ^ 1 << 32) && !pin.is_of(hash ^ 1 << 63));
        prop_assert!(!Pin::EMPTY.is_of(hash) && Pin::EMPTY.is_empty());
    }

    /// The agent has no more than the pin to tell which slot it keeps in transition.
    #[test]
    fn the_slot_of_a_pin_is_the_slot_of_its_flow(hash: u64, slots: u32) {
        let pin = Pin::new(hash, last_index(), Ticks::default());
        for scheduler in [Scheduler::Maglev, Scheduler::SourceHash, Scheduler::Rotation] {
            let of_pin = slot_number(scheduler, pin.tag(), slots);
            prop_assert_eq!(of_pin, slot_number(scheduler, hash, slots));
        }
    }

    #[test]
    fn every_flow_has_a_bucket_in_the_table(hash: u64, buckets in 1..=u32::MAX) {
        prop_assert!(pin_bucket(hash, buckets) < buckets);
        prop_assert_eq!(pin_bucket(hash, 1), 0);
    }

    #[test]
    fn ticks_count_on_over_their_own_end(start: u64, later in 0..0x7fff_u64) {
        let start = start >> 1;
        let end = start + (later << Ticks::NANOSECONDS_BITS);
        prop_assert_eq!(u64::from(Ticks::at(start).until(Ticks::at(end))), later);
    }
}

#[test]
fn flows_spread_over_all_buckets() {
    let seed = [3, 4];
    let mut counts = [0_u32; 16];
    for flow in 0..16_000 {
        counts[pin_bucket(hash::keyed(seed, [flow]), 16) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
}
