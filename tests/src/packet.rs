//! Packets, layer by layer, written by etherparse: an implementation that shares no code with ours.
//!
//! Each function wraps the bytes it is given, so that a test can put anything inside anything.

use std::net::{Ipv4Addr, Ipv6Addr};

use etherparse::{
    EtherType, Ethernet2Header, IpNumber, Ipv4Header, Ipv4Options, Ipv6Header, TcpHeader, UdpHeader,
};

/// The client's side of every packet on its way in.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x11];
/// The balancer's own address on the link.
pub const BALANCER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x22];

/// What an IPv4 header says besides addresses and protocol.
#[derive(Clone, Debug)]
pub struct Ipv4Fields {
    /// DSCP and ECN.
    pub type_of_service: u8,
    /// Options, a multiple of 4 bytes, at most 40.
    pub options: Vec<u8>,
    /// Flags and fragment offset, as on the wire.
    pub fragment: u16,
    /// Identification of a datagram's fragments.
    pub identification: u16,
    /// Hops left.
    pub time_to_live: u8,
}

impl Default for Ipv4Fields {
    fn default() -> Self {
        Self {
            type_of_service: 0,
            options: Vec::new(),
            fragment: 0x4000,
            identification: 0,
            time_to_live: 64,
        }
    }
}

/// An Ethernet frame from the client, with VLAN tags given as (type, control) from outside in.
pub fn ethernet(tags: &[(u16, u16)], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    link(CLIENT_MAC, BALANCER_MAC, tags, ethertype, payload)
}

/// An Ethernet frame between any two addresses.
pub fn link(
    source: [u8; 6],
    destination: [u8; 6],
    tags: &[(u16, u16)],
    ethertype: u16,
    payload: &[u8],
) -> Vec<u8> {
    let announced = tags.first().map_or(ethertype, |(tag, _)| *tag);
    let header = Ethernet2Header { source, destination, ether_type: EtherType(announced) };
    let mut frame = header.to_bytes().to_vec();
    for (number, (_, control)) in tags.iter().enumerate() {
        let next = tags.get(number + 1).map_or(ethertype, |(tag, _)| *tag);
        frame.extend(control.to_be_bytes());
        frame.extend(next.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// An IPv4 packet.
///
/// # Panics
/// The options are no multiple of 4 bytes or too long, or the payload is.
pub fn ipv4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    fields: &Ipv4Fields,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = Ipv4Header {
        time_to_live: fields.time_to_live,
        protocol: IpNumber(protocol),
        source: source.octets(),
        destination: destination.octets(),
        options: Ipv4Options::try_from(fields.options.as_slice()).expect("valid options"),
        ..Ipv4Header::default()
    };
    header.set_payload_len(payload.len()).expect("a payload that fits");
    let mut packet = Vec::new();
    header.write_raw(&mut packet).expect("a vector takes everything");
    packet[1] = fields.type_of_service;
    packet[4..6].copy_from_slice(&fields.identification.to_be_bytes());
    packet[6..8].copy_from_slice(&fields.fragment.to_be_bytes());
    seal(&mut packet);
    packet.extend(payload);
    packet
}

/// Writes the checksum of an IPv4 header, after a test has changed it.
///
/// # Panics
/// It is shorter than its own length field says.
pub fn seal(header: &mut [u8]) {
    let bytes = usize::from(header[0] & 0x0f) * 4;
    header[10..12].fill(0);
    let sum: u32 = header[..bytes]
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let checksum = !u16::try_from(folded).expect("folded twice");
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// An IPv6 packet whose first header behind the fixed one is `next_header`.
///
/// # Panics
/// The payload is too long.
pub fn ipv6(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    next_header: u8,
    traffic_class: u8,
    flow_label: u32,
    payload: &[u8],
) -> Vec<u8> {
    let header = Ipv6Header {
        flow_label: flow_label.try_into().expect("20 bits"),
        payload_length: payload.len().try_into().expect("a payload that fits"),
        next_header: IpNumber(next_header),
        hop_limit: 64,
        source: source.octets(),
        destination: destination.octets(),
        ..Ipv6Header::default()
    };
    let mut packet = header.to_bytes().to_vec();
    packet[0] |= traffic_class >> 4;
    packet[1] |= traffic_class << 4;
    packet.extend(payload);
    packet
}

/// An IPv6 extension header of `bytes` bytes (a multiple of 8) before `payload`.
///
/// # Panics
/// The length is none an extension header can have.
pub fn extension(next_header: u8, bytes: usize, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes / 8 - 1).expect("at most 2,048 bytes");
    let mut packet = vec![0; bytes];
    packet[0] = next_header;
    packet[1] = length;
    packet.extend(payload);
    packet
}

/// An authentication header (RFC 4302) with an integrity value of 12 bytes before `payload`.
pub fn authentication(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 24];
    packet[0] = next_header;
    // In words of 4 bytes, less two.
    packet[1] = 4;
    packet.extend(payload);
    packet
}

/// An IPv6 fragment header; `offset_more` as on the wire.
pub fn ipv6_fragment(next_header: u8, offset_more: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![next_header, 0];
    packet.extend(offset_more.to_be_bytes());
    packet.extend([0, 0, 0, 7]);
    packet.extend(payload);
    packet
}

/// An IP packet that has passed one more router.
///
/// # Panics
/// It is shorter than its header.
pub fn one_hop_on(packet: &[u8]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    if packet[0] >> 4 == 4 {
        packet[8] -= 1;
        seal(&mut packet);
    } else {
        packet[7] -= 1;
    }
    packet
}

/// An ICMP message for IPv4 with its checksum; `rest` are the four bytes behind that.
pub fn icmp4(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    icmp(&[], kind, code, rest, payload)
}

/// The same for IPv6, whose checksum covers addresses too.
///
/// # Panics
/// The payload is too long.
pub fn icmp6(
    (source, destination): (Ipv6Addr, Ipv6Addr),
    kind: u8,
    code: u8,
    rest: [u8; 4],
    payload: &[u8],
) -> Vec<u8> {
    let length = u32::try_from(8 + payload.len()).expect("a payload that fits");
    let tail = [0, 0, 0, 58];
    let pseudo = [&source.octets()[..], &destination.octets(), &length.to_be_bytes(), &tail];
    icmp(&pseudo.concat(), kind, code, rest, payload)
}

fn icmp(pseudo_header: &[u8], kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &rest[..], payload].concat();
    let mut sum = 0_u32;
    for pair in pseudo_header.chunks(2).chain(message.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !u16::try_from(sum).expect("folded after each addition");
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// A TCP SYN.
pub fn tcp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    tcp_with_flags(source_port, destination_port, SYN, payload)
}

/// TCP's SYN flag.
pub const SYN: u8 = 0x02;
/// TCP's FIN flag.
pub const FIN: u8 = 0x01;
/// TCP's RST flag.
pub const RST: u8 = 0x04;
/// TCP's ACK flag.
pub const ACK: u8 = 0x10;

/// A TCP segment with these control bits, FIN being the lowest.
pub fn tcp_with_flags(
    source_port: u16,
    destination_port: u16,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let header = TcpHeader::new(source_port, destination_port, 1000, 65_535);
    let mut segment = header.to_bytes().to_vec();
    segment[13] = flags;
    segment.extend(payload);
    segment
}

/// A UDP datagram.
///
/// # Panics
/// The payload is too long.
pub fn udp(source_port: u16, destination_port: u16, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader {
        source_port,
        destination_port,
        length: u16::try_from(8 + payload.len()).expect("a payload that fits"),
        checksum: 0,
    };
    let mut datagram = header.to_bytes().to_vec();
    datagram.extend(payload);
    datagram
}
