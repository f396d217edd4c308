//! What a frame must look like that the balancer has sent to a backend.

use etherparse::{IpNumber, Ipv4Header, Ipv6Header, UdpHeader};
use lb_common::abi::{BackendEntry, Encapsulation};

use super::naive::{self, Link};

/// Hops that an outer packet starts with.
const OUTER_HOPS: u8 = 64;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
const GUE_PORT: u16 = 6080;

/// Bits of the outer source that the flow decides, network order.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    pub(super) ipv4: [u8; 4],
    pub(super) ipv6: [u8; 16],
}

/// Compares a frame as it came with the frame that has left for `backend`.
pub(super) fn check(
    came: &[u8],
    left: &[u8],
    backend: &BackendEntry,
    spread: &Spread,
    redirected: bool,
) {
    let before = Link::of(came).expect("what is forwarded has a link-layer header");
    let after = Link::of(left).expect("a forwarded frame has a link-layer header");
    assert_eq!(after.destination, backend.next_hop_mac, "goes to the next hop");
    assert_eq!(after.source, backend.source_mac, "comes from the interface");
    let tags = if redirected { &[][..] } else { &before.tags };
    assert_eq!(after.tags, tags, "tags stay on their link");

    let inner = before.payload;
    let encapsulation = Encapsulation::from_code(backend.encapsulation).expect("a known way");
    let shim = shim_bytes(encapsulation);
    let length = shim + naive::length(inner);
    let (ethertype, protocol, carried) = match encapsulation {
        Encapsulation::L2 => (ethertype_of(inner), None, after.payload),
        Encapsulation::IpipV4 | Encapsulation::GueV4 | Encapsulation::GreV4 => {
            let (protocol, rest) = outer_ipv4(after.payload, inner, length, backend, spread);
            (TYPE_IPV4, Some(protocol), rest)
        }
        Encapsulation::IpipV6 | Encapsulation::GueV6 | Encapsulation::GreV6 => {
            let (protocol, rest) = outer_ipv6(after.payload, inner, length, backend, spread);
            (TYPE_IPV6, Some(protocol), rest)
        }
    };
    assert_eq!(after.ethertype, ethertype, "the type is that of what follows");
    if let Some(protocol) = protocol {
        assert_eq!(
            protocol.0,
            outer_protocol(encapsulation, inner),
            "the protocol of what follows"
        );
    }
    check_shim(encapsulation, &carried[..shim], inner);
    one_hop_on(inner, &carried[shim..]);
}

const fn shim_bytes(encapsulation: Encapsulation) -> usize {
    match encapsulation {
        Encapsulation::IpipV4 | Encapsulation::IpipV6 | Encapsulation::L2 => 0,
        Encapsulation::GueV4 | Encapsulation::GueV6 => 8,
        Encapsulation::GreV4 | Encapsulation::GreV6 => 4,
    }
}

fn ethertype_of(packet: &[u8]) -> u16 {
    if naive::is_ipv4(packet) { TYPE_IPV4 } else { TYPE_IPV6 }
}

fn outer_protocol(encapsulation: Encapsulation, inner: &[u8]) -> u8 {
    match shim_bytes(encapsulation) {
        8 => 17,
        4 => 47,
        _ if naive::is_ipv4(inner) => 4,
        _ => 41,
    }
}

fn outer_ipv4<'f>(
    outer: &'f [u8],
    inner: &[u8],
    length: usize,
    backend: &BackendEntry,
    spread: &Spread,
) -> (IpNumber, &'f [u8]) {
    let (header, rest) = Ipv4Header::from_slice(outer).expect("an outer IPv4 header");
    assert_eq!(header.header_len(), 20, "has no options");
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "outer checksum");
    assert_eq!(usize::from(header.total_len), 20 + length, "outer length");
    assert_eq!(outer[1], naive::traffic_class(inner), "DSCP and ECN are copied");
    assert_eq!(header.time_to_live, OUTER_HOPS);
    assert!(header.dont_fragment && !header.is_fragmenting_payload(), "is never a fragment");
    assert_eq!(header.identification, 0);
    assert_eq!(header.destination, backend.outer_destination[..4]);
    spread_source(&header.source, &backend.outer_source[..4], &spread.ipv4);
    (header.protocol, rest)
}

fn outer_ipv6<'f>(
    outer: &'f [u8],
    inner: &[u8],
    length: usize,
    backend: &BackendEntry,
    spread: &Spread,
) -> (IpNumber, &'f [u8]) {
    let (header, rest) = Ipv6Header::from_slice(outer).expect("an outer IPv6 header");
    assert_eq!(usize::from(header.payload_length), length, "outer length");
    assert_eq!(naive::traffic_class(outer), naive::traffic_class(inner), "DSCP and ECN are copied");
    assert_eq!(header.hop_limit, OUTER_HOPS);
    assert_eq!(header.destination, backend.outer_destination);
    spread_source(&header.source, &backend.outer_source, &spread.ipv6);
    (header.next_header, rest)
}

/// The node's source, with any value in the bits that are spread.
fn spread_source(source: &[u8], of_node: &[u8], spread: &[u8]) {
    for ((source, of_node), spread) in source.iter().zip(of_node).zip(spread) {
        assert_eq!(source & !spread, of_node & !spread, "outer source");
        assert_eq!(of_node & !source, 0, "a spread source keeps the node's bits");
    }
}

fn check_shim(encapsulation: Encapsulation, shim: &[u8], inner: &[u8]) {
    match encapsulation {
        Encapsulation::IpipV4 | Encapsulation::IpipV6 | Encapsulation::L2 => {}
        Encapsulation::GueV4 | Encapsulation::GueV6 => {
            let (header, _) = UdpHeader::from_slice(shim).expect("a UDP header");
            assert!(header.source_port >= 0xc000, "a dynamic port");
            assert_eq!(header.destination_port, GUE_PORT);
            assert_eq!(usize::from(header.length), 8 + naive::length(inner), "UDP length");
            assert_eq!(header.checksum, 0);
        }
        Encapsulation::GreV4 | Encapsulation::GreV6 => {
            let [high, low] = ethertype_of(inner).to_be_bytes();
            assert_eq!(shim, [0, 0, high, low], "GRE without flags");
        }
    }
}

/// Compares a packet, and whatever follows it in the frame, with itself one hop later.
fn one_hop_on(before: &[u8], after: &[u8]) {
    let mut expected = before.to_vec();
    if naive::is_ipv4(before) {
        expected[8] -= 1;
        // A wrong checksum stays wrong by as much: a forwarder must not make a broken header good.
        expected[10..12].copy_from_slice(&after[10..12]);
        let header = ..naive::ipv4_header_bytes(before);
        let sums = [&before[header], &after[header]].map(naive::sum);
        assert!(naive::same_sum(sums[0], sums[1]), "inner checksum: {sums:04x?}");
        if sums[0] == 0xffff && !is_all_ones(&before[10..12]) {
            assert!(!is_all_ones(&after[10..12]), "a sum of zero is written as zero");
        }
    } else {
        expected[7] -= 1;
    }
    assert_eq!(after, expected, "nothing else in the packet changes");
}

/// Minus zero. No sender writes it as the checksum of an IPv4 header, and a receiver that computes
/// the sum anew to compare would refuse it.
fn is_all_ones(checksum: &[u8]) -> bool {
    checksum == [0xff, 0xff]
}
