//! Step 1: from a frame to a flow.
//!
//! Ethernet with up to two VLAN tags, IPv4 with options, IPv6 with extension headers, then the
//! ports of TCP or UDP. Anything else passes to the kernel with its reason.

use crate::abi::{Family, address_words};
use crate::frame::Frame;
use crate::verdict::Reason;
use crate::wire::ethernet::{self, Ethernet, VlanTag};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Extension, FragmentHeader, Ipv6};
use crate::wire::{Tcp, Udp, protocol};

/// Most extension headers that are followed before the ports.
///
/// RFC 8200 §4.1 names six kinds, of which one may come twice; fewer bounds the verifier's work.
const MAX_EXTENSIONS: usize = 6;

/// Where a packet comes from and goes to: what the flow hash and the service key are made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// IP version of the addresses.
    pub family: Family,
    /// IP protocol number: TCP or UDP.
    pub protocol: u8,
    /// Client address, network-order bytes read as native words.
    pub source: [u64; 2],
    /// Destination address, the same way.
    pub destination: [u64; 2],
    /// Client port, network-order bytes read natively.
    pub source_port_be: u16,
    /// Destination port, the same way.
    pub destination_port_be: u16,
}

/// A classified packet: its flow, and what encapsulating it needs to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The flow it belongs to.
    pub flow: Flow,
    /// Whether it opens a connection: TCP with SYN and without ACK.
    pub opening: bool,
    /// Bytes of the link-layer header with its tags: 14, 18 or 22.
    pub l2_bytes: usize,
    /// Bytes of the IP packet, by its own header; the frame may be longer (padding).
    pub ip_bytes: usize,
    /// DSCP and ECN.
    pub traffic_class: u8,
}

/// Reads the headers of a frame.
///
/// # Errors
/// The reason why the packet is none that a service could want.
#[inline]
pub fn classify<F: Frame>(frame: &F) -> Result<Packet, Reason> {
    let (ethertype, l2_bytes) = link_layer(frame)?;
    match ethertype {
        ethernet::TYPE_IPV4 => classify_ipv4(frame, l2_bytes),
        ethernet::TYPE_IPV6 => classify_ipv6(frame, l2_bytes),
        _ => Err(Reason::NotIp),
    }
}

/// The type behind the Ethernet header and its tags, and where it begins.
#[inline]
pub(super) fn link_layer<F: Frame>(frame: &F) -> Result<(u16, usize), Reason> {
    let mut ethertype = frame.header::<Ethernet>(0).ok_or(Reason::Malformed)?.ethertype.get();
    let mut bytes = size_of::<Ethernet>();
    for _ in 0..2 {
        if !ethernet::is_vlan(ethertype) {
            break;
        }
        ethertype = frame.header::<VlanTag>(bytes).ok_or(Reason::Malformed)?.ethertype.get();
        bytes += size_of::<VlanTag>();
    }
    Ok((ethertype, bytes))
}

#[inline]
fn classify_ipv4<F: Frame>(frame: &F, l2_bytes: usize) -> Result<Packet, Reason> {
    let ip = frame.header::<Ipv4>(l2_bytes).ok_or(Reason::Malformed)?;
    let header_bytes = ip.header_bytes().ok_or(Reason::Malformed)?;
    let ip_bytes = usize::from(ip.total_length.get());
    if ip.is_later_fragment() {
        return Err(Reason::Fragment);
    }
    let [source, destination] =
        [ip.source, ip.destination].map(|address| [u64::from(u32::from_ne_bytes(address)), 0]);
    let (protocol, traffic_class) = (ip.protocol, ip.type_of_service);
    let (source_port_be, destination_port_be, opening) =
        transport(frame, protocol, l2_bytes, header_bytes, ip_bytes)?;
    let flow = Flow {
        family: Family::V4,
        protocol,
        source,
        destination,
        source_port_be,
        destination_port_be,
    };
    Ok(Packet { flow, opening, l2_bytes, ip_bytes, traffic_class })
}

#[inline]
fn classify_ipv6<F: Frame>(frame: &F, l2_bytes: usize) -> Result<Packet, Reason> {
    let ip = frame.header::<Ipv6>(l2_bytes).ok_or(Reason::Malformed)?;
    if !ip.is_version_6() {
        return Err(Reason::Malformed);
    }
    let ip_bytes = ipv6::HEADER_BYTES + usize::from(ip.payload_length.get());
    let (protocol, header_bytes) = transport_of_ipv6(frame, ip.next_header, l2_bytes)?;
    let (source_port_be, destination_port_be, opening) =
        transport(frame, protocol, l2_bytes, header_bytes, ip_bytes)?;
    let flow = Flow {
        family: Family::V6,
        protocol,
        source: address_words(ip.source),
        destination: address_words(ip.destination),
        source_port_be,
        destination_port_be,
    };
    Ok(Packet { flow, opening, l2_bytes, ip_bytes, traffic_class: ip.traffic_class() })
}

/// The protocol behind the extension headers, and the bytes from the IPv6 header up to it.
#[inline]
pub(super) fn transport_of_ipv6<F: Frame>(
    frame: &F,
    first: u8,
    l2_bytes: usize,
) -> Result<(u8, usize), Reason> {
    let mut kind = first;
    let mut at = ipv6::HEADER_BYTES;
    for _ in 0..MAX_EXTENSIONS {
        if matches!(kind, protocol::TCP | protocol::UDP) {
            return Ok((kind, at));
        }
        if kind == protocol::FRAGMENT {
            let header = frame.header::<FragmentHeader>(l2_bytes + at).ok_or(Reason::Malformed)?;
            if header.is_later_fragment() {
                return Err(Reason::Fragment);
            }
            kind = header.next_header;
            at += size_of::<FragmentHeader>();
            continue;
        }
        let Some(header) = frame.header::<Extension>(l2_bytes + at) else {
            return Err(Reason::OtherProtocol);
        };
        let Some(bytes) = header.bytes(kind) else {
            return Ok((kind, at));
        };
        kind = header.next_header;
        at += bytes;
    }
    Ok((kind, at))
}

/// Source port, destination port, and whether the packet opens a connection: from a whole TCP or
/// UDP header inside the IP packet. A first fragment too short for one is no honest packet
/// (RFC 1858 §3).
#[inline]
fn transport<F: Frame>(
    frame: &F,
    protocol: u8,
    l2_bytes: usize,
    header_bytes: usize,
    ip_bytes: usize,
) -> Result<(u16, u16, bool), Reason> {
    let at = l2_bytes + header_bytes;
    let room = ip_bytes.saturating_sub(header_bytes);
    let (ports, opening) = match protocol {
        protocol::TCP if room >= size_of::<Tcp>() => {
            let tcp = frame.header::<Tcp>(at).ok_or(Reason::Malformed)?;
            (&tcp.ports, tcp.is_opening())
        }
        protocol::UDP if room >= size_of::<Udp>() => {
            (&frame.header::<Udp>(at).ok_or(Reason::Malformed)?.ports, false)
        }
        protocol::TCP | protocol::UDP => return Err(Reason::Malformed),
        _ => return Err(Reason::OtherProtocol),
    };
    let source = u16::from_ne_bytes(ports.source.to_bytes());
    let destination = u16::from_ne_bytes(ports.destination.to_bytes());
    Ok((source, destination, opening))
}
