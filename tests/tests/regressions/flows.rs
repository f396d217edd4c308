//! What is one flow, and that it stays where it is.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use lb_common::abi::{ServiceEntry, ServiceKey};
use lb_common::datapath::{classify, flow_hash};
use lb_common::image::{Buffer, Image};
use lb_common::verdict::Reason;
use lb_tests::fixture::{HASH_SEED, backends, standard};
use lb_tests::packet::{self, ACK, Ipv4Fields, RST, SYN};

use crate::both::{Both, TCP, VIP, segments};

/// A service of the fixtures whose slots have all moved, from a backend that drains.
const MOVED_PORT: u16 = 8010;
const MOVED_POOL: u32 = 10;
/// One whose pool has two backends.
const SHARED_PORT: u16 = 8006;
const SHARED_POOL: u32 = 6;
/// Those whose schedulers place every new flow: round-robin, random, least-connections.
const PLACING_PORTS: [u16; 3] = [8028, 8029, 8030];

/// The fixtures' maps with a service for any TCP port of the VIP that has none of its own.
fn any_port(pool: u32) -> Image {
    let mut image = standard();
    let service = u32::try_from(image.services.len()).unwrap();
    let entry = ServiceEntry { pool, service, name_hash: u64::from(service) + 1 };
    image.services.insert(ServiceKey::new(VIP.into(), TCP, 0), entry);
    image
}

#[test]
fn a_reset_is_not_answered_with_a_reset_and_follows_its_flow() {
    let mut both = Both::new(&standard());
    for number in [0, 1] {
        let mut backend_of =
            |ports, flags| both.backend_of(&segments((ports, MOVED_PORT), flags)[number]);
        // A connection younger than the change, and one older.
        let (new, old) = (backend_of(1, SYN), backend_of(2, ACK));
        assert_ne!(new, old);
        for flags in [RST, RST | ACK] {
            assert_eq!(backend_of(1, flags), new);
            assert_eq!(backend_of(2, flags), old);
        }
        for flags in [RST, RST | ACK] {
            let [own, foreign] = [80, 81].map(|port| segments((3, port), flags)[number].clone());
            assert_eq!(both.run(&own).0, Reason::Forwarded);
            assert_eq!(both.run(&foreign), (Reason::NoService, foreign));
        }
    }
    // Nowhere to send it to: it is lost, and nobody hears of it.
    for (port, reason) in
        [(8007, Reason::NoBackend), (8003, Reason::NextHopUnknown), (8004, Reason::WrongInterface)]
    {
        let [reset, _] = segments((3, port), RST);
        assert_eq!(both.run(&reset), (reason, reset));
    }
}

#[test]
fn a_flow_key_does_not_forget_the_destination_port() {
    let mut both = Both::new(&any_port(SHARED_POOL));
    // To a service of its own.
    assert_eq!(both.backend_of(&segments((1, 80), SYN)[0]), backends::V4.1);
    assert_eq!(both.backend_of(&segments((1, 443), SYN)[0]), backends::V6.1);
    // Of one service that takes any port: to a slot of its own.
    let to_one = (1_000..1_064)
        .filter(|port| both.backend_of(&segments((1, *port), SYN)[0]) == backends::V4.1)
        .count();
    assert!((16..48).contains(&to_one), "{to_one} of 64 flows");
    // With a pin of its own.
    let mut both = Both::new(&any_port(MOVED_POOL));
    let mut backend_of = |port, flags| both.backend_of(&segments((1, port), flags)[0]);
    let new = backend_of(1_000, SYN);
    assert_ne!(backend_of(1_001, ACK), new, "the pin of another destination port was taken");
    assert_eq!(backend_of(1_000, ACK), new);
}

/// Two flows that differ in two fields at once, so that a sum or an exclusive or of the two is the
/// same, are still two flows: in the half of the hash that chooses the slot, and in the other.
#[test]
fn a_flow_key_does_not_mix_fields_lossily() {
    for hash_of in [hash4, hash6] {
        for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
            for (step_one, step_other) in [(1, 1), (1, 256), (256, 1), (256, 256)] {
                let mut halves = [BTreeSet::new(), BTreeSet::new()];
                for number in 0..256 {
                    let mut fields = [0x0101; 4];
                    fields[one] += number % 16 * step_one;
                    fields[other] += number / 16 * step_other;
                    let hash = hash_of(fields);
                    halves[0].insert(hash >> 32);
                    halves[1].insert(hash & 0xffff_ffff);
                }
                let known = halves.map(|half| half.len());
                assert_eq!(known, [256; 2], "fields {one} and {other}: flows that are one");
            }
        }
    }
}

/// The hash of a flow: the last 16 bits of its addresses, and its ports.
fn hash4([source, destination, from, to]: [u16; 4]) -> u64 {
    let address = |last: u16| Ipv4Addr::from(u32::from(last) | 0x0a00_0000);
    let segment = packet::tcp(from, to, b"");
    let (source, destination) = (address(source), address(destination));
    let packet = packet::ipv4(source, destination, TCP, &Ipv4Fields::default(), &segment);
    hash_of(&packet::ethernet(&[], 0x0800, &packet))
}

fn hash6([source, destination, from, to]: [u16; 4]) -> u64 {
    let address = |last: u16| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, last);
    let segment = packet::tcp(from, to, b"");
    let packet = packet::ipv6(address(source), address(destination), TCP, 0, 0, &segment);
    hash_of(&packet::ethernet(&[], 0x86dd, &packet))
}

fn hash_of(frame: &[u8]) -> u64 {
    flow_hash(HASH_SEED, &classify(&Buffer::new(frame, 0)).unwrap().flow)
}

#[test]
fn a_retransmitted_syn_is_not_placed_again() {
    let mut both = Both::new(&standard());
    for port in [SHARED_PORT, MOVED_PORT].into_iter().chain(PLACING_PORTS) {
        for number in [0, 1] {
            let mut pass = || -> Vec<_> {
                let syns = (1..=25).map(|client| segments((client, port), SYN)[number].clone());
                syns.map(|syn| both.backend_of(&syn)).collect()
            };
            let first = pass();
            let used: BTreeSet<_> = first.iter().collect();
            assert!(port == MOVED_PORT || used.len() > 1, "port {port} has one backend: {used:?}");
            assert_eq!([pass(), pass()], [first.clone(), first], "port {port}");
        }
    }
}
