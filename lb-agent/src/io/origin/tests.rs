//! Which tunnelled packets the loaded program takes. Needs root.

use zerocopy::IntoBytes;
use zerocopy::big_endian::U16;

use super::*;
use lb_common::wire::ipv4::{self, Ipv4};
use lb_common::wire::protocol;

const PASS: u32 = 2;
const DROP: u32 = 1;
const VIP: [u8; 4] = [203, 0, 113, 10];

fn header(source: [u8; 4], destination: [u8; 4], protocol: u8, payload_bytes: usize) -> Vec<u8> {
    let mut header = Ipv4 {
        version_ihl: 0x45,
        type_of_service: 0,
        total_length: U16::new(u16::try_from(ipv4::HEADER_BYTES + payload_bytes).unwrap()),
        identification: U16::ZERO,
        fragment: U16::new(ipv4::DONT_FRAGMENT),
        time_to_live: 64,
        protocol,
        checksum: U16::ZERO,
        source,
        destination,
    };
    header.checksum = ipv4::checksum(&header);
    header.as_bytes().to_vec()
}

/// A packet to the VIP that a balancer has wrapped: in IP, or in GUE to a port.
fn wrapped(source: [u8; 4], gue_port: Option<u16>) -> Vec<u8> {
    let inner = [header([198, 51, 100, 7], VIP, protocol::UDP, 8), vec![0, 9, 0, 53, 0, 8, 0, 0]];
    let inner = inner.concat();
    let shim = gue_port.map_or(Vec::new(), |port| {
        let length = u16::try_from(8 + inner.len()).unwrap();
        [[0xc0, 1], port.to_be_bytes(), length.to_be_bytes(), [0; 2]].concat()
    });
    let kind = if gue_port.is_some() { protocol::UDP } else { protocol::IPV4 };
    let outer = header(source, [10, 3, 0, 2], kind, shim.len() + inner.len());
    let ethernet = [vec![0; 12], vec![0x08, 0x00]].concat();
    [ethernet, outer, shim, inner].concat()
}

/// The verdict, and whether the outer headers are gone.
fn outcome(origin: &Origin, frame: &[u8]) -> (u32, bool) {
    let (verdict, after) = origin.test_run(frame).unwrap();
    (verdict, after.len() < frame.len())
}

fn load(sources: &[&str], gue_port: u16) -> Origin {
    let sources: Vec<Prefix> = sources.iter().map(|source| source.parse().unwrap()).collect();
    Origin::load_with(&sources, &[VIP.into()], gue_port).unwrap()
}

#[test]
fn every_address_of_a_prefix_is_a_balancers_and_its_neighbours_are_not() {
    let origin = load(&["10.64.0.0/18", "fd00:2::/64", "10.2.0.2"], 0);
    for source in [[10, 64, 0, 0], [10, 64, 63, 255], [10, 64, 31, 7], [10, 2, 0, 2]] {
        assert_eq!(outcome(&origin, &wrapped(source, None)), (PASS, true), "{source:?}");
    }
    for source in [[10, 64, 64, 0], [10, 63, 255, 255], [10, 2, 0, 3], [0xfd, 0, 0, 2]] {
        assert_eq!(outcome(&origin, &wrapped(source, None)), (DROP, false), "{source:?}");
    }
}

#[test]
fn gue_is_taken_at_its_port_alone_and_at_none_if_that_is_0() {
    let source = [10, 2, 0, 2];
    let origin = load(&["10.2.0.2"], 5555);
    assert_eq!(outcome(&origin, &wrapped(source, Some(5555))), (PASS, true));
    assert_eq!(outcome(&origin, &wrapped(source, Some(6080))), (PASS, false));
    let none = load(&["10.2.0.2"], 0);
    assert_eq!(outcome(&none, &wrapped(source, Some(6080))), (PASS, false));
    assert_eq!(outcome(&none, &wrapped(source, Some(0))), (PASS, false));
    assert_eq!(outcome(&none, &wrapped(source, None)), (PASS, true), "IP in IP all the same");
}
