//! Target `classify`: any frame, read by our header codecs and by etherparse.
//!
//! etherparse is stricter, so the claim goes one way: what it takes for a whole TCP or UDP packet is
//! one for us, with the same addresses and ports, and begins and ends where it says.

use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use lb_common::abi::{AddressKey, Family};
use lb_common::datapath::{self, Packet, Part};
use lb_common::image::Buffer;

/// Extension headers that we follow.
const EXTENSIONS_MOST: usize = 6;

/// An input: a frame.
///
/// # Panics
/// The two readers disagree about it.
pub fn classify(frame: &[u8]) {
    let ours = datapath::classify(&Buffer::new(frame, 0));
    if let Ok(packet) = &ours {
        let transport_at = packet.transport_at().expect("within what is read at most");
        assert!(packet.l2_bytes <= transport_at, "headers come in their order");
    }
    let Ok(theirs) = SlicedPacket::from_ethernet(frame) else { return };
    let is_ours = |tag: &LinkExtSlice<'_>| matches!(tag, LinkExtSlice::Vlan(_));
    let is_known = theirs.link_exts.len() <= 2 && theirs.link_exts.iter().all(is_ours);
    // Another type for tags, which switches of old used.
    if !is_known || has_type(frame, 0x9100) {
        return;
    }
    let (Some(net), Some(transport)) = (&theirs.net, &theirs.transport) else { return };
    let Some(expected) = Headers::of(frame, net, transport) else { return };
    let packet = ours.unwrap_or_else(|reason| panic_with(frame, &reason));
    assert_eq!(Headers::ours(&packet), expected);
}

fn panic_with(frame: &[u8], reason: &dyn std::fmt::Debug) -> Packet {
    unreachable!("etherparse reads it, and for us it is {reason:?}: {frame:02x?}")
}

/// Whether a frame's tags have this type.
fn has_type(frame: &[u8], ethertype: u16) -> bool {
    [12, 16].into_iter().any(|at| frame.get(at..at + 2) == Some(&ethertype.to_be_bytes()))
}

/// What both readers find.
#[derive(PartialEq, Eq, Debug)]
struct Headers {
    family: Family,
    protocol: u8,
    source: [u64; 2],
    destination: [u64; 2],
    ports: [u16; 2],
    transport_at: Option<usize>,
    ip_bytes: usize,
    is_whole: bool,
    hop_limit: u8,
}

impl Headers {
    fn ours(packet: &Packet) -> Self {
        let flow = &packet.flow;
        Self {
            family: flow.family,
            protocol: flow.protocol,
            source: flow.source,
            destination: flow.destination,
            ports: [flow.source_port_be, flow.destination_port_be].map(u16::from_be),
            transport_at: packet.transport_at(),
            ip_bytes: packet.ip_bytes,
            is_whole: packet.part == Part::Whole,
            hop_limit: packet.hop_limit,
        }
    }

    /// `None` for what we do not claim to read.
    fn of(frame: &[u8], net: &NetSlice<'_>, transport: &TransportSlice<'_>) -> Option<Self> {
        let (protocol, ports, segment) = match transport {
            TransportSlice::Tcp(tcp) => {
                (6, [tcp.source_port(), tcp.destination_port()], tcp.slice())
            }
            TransportSlice::Udp(udp) => {
                (17, [udp.source_port(), udp.destination_port()], udp.slice())
            }
            TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_) => {
                return None;
            }
        };
        let transport_at = offset(frame, segment);
        let (source, destination, ip_bytes, hop_limit) = match net {
            NetSlice::Ipv4(ip) => {
                // What is behind an authentication header (RFC 4302) is no flow of ours: IPv4 has no
                // extension headers, and its protocol is another.
                if ip.extensions().auth.is_some() {
                    return None;
                }
                let header = ip.header();
                let ends = [header.source_addr().into(), header.destination_addr().into()];
                (ends[0], ends[1], header.total_len().into(), header.ttl())
            }
            NetSlice::Ipv6(ip) => {
                let header = ip.header();
                // A length of zero means a jumbogram to etherparse, and none of ours.
                let too_many = ip.extensions().clone().into_iter().count() > EXTENSIONS_MOST;
                if header.payload_length() == 0 || too_many {
                    return None;
                }
                let ends = [header.source_addr().into(), header.destination_addr().into()];
                (ends[0], ends[1], 40 + usize::from(header.payload_length()), header.hop_limit())
            }
            NetSlice::Arp(_) => return None,
        };
        let [source, destination] = [source, destination].map(AddressKey::new);
        Some(Self {
            family: if source.family == Family::V4 as u64 { Family::V4 } else { Family::V6 },
            protocol,
            source: source.address,
            destination: destination.address,
            ports,
            transport_at: Some(transport_at),
            ip_bytes,
            is_whole: true,
            hop_limit,
        })
    }
}

/// Where a part of a frame begins.
fn offset(frame: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - frame.as_ptr().addr()
}
