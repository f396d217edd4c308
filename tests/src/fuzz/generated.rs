//! Sound packets for the fixtures' VIPs, made from whatever bytes there are.

use std::net::{Ipv4Addr, Ipv6Addr};

use arbitrary::{Result, Unstructured};

use crate::packet::{self, Ipv4Fields};

/// The VIP that most services of the fixtures have.
pub(super) const VIP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The same over IPv6.
pub(super) const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Ports at which either VIP has a service for TCP whose backends can all be reached.
const PORTS: [u16; 15] =
    [80, 443, 8006, 8020, 8021, 8022, 8023, 8024, 8025, 8026, 8027, 8028, 8029, 8030, 8031];
/// The same for UDP.
const UDP_PORTS: [u16; 13] =
    [443, 8020, 8021, 8022, 8023, 8024, 8025, 8026, 8027, 8028, 8029, 8030, 8031];
/// Longest payload, so that a packet with all options still fits each of those ways.
const PAYLOAD_MOST: usize = 1_200;

/// A packet, and the tags of the frame it is in.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Type and control word, from outside in.
    pub(super) tags: Vec<(u16, u16)>,
    /// From its IP header to its end.
    pub(super) bytes: Vec<u8>,
}

impl Packet {
    /// One that has to reach a backend.
    pub(super) fn sound(u: &mut Unstructured<'_>) -> Result<Self> {
        let hops = u.int_in_range(2..=255)?;
        let is_udp = u.arbitrary()?;
        let port = *u.choose(if is_udp { &UDP_PORTS[..] } else { &PORTS })?;
        let payload_bytes = u.int_in_range(0..=PAYLOAD_MOST)?;
        Self::to(u, (is_udp, port), hops, payload_bytes)
    }

    /// One to a port of a VIP, with hops and payload as given and everything else by chance.
    pub(super) fn to(
        u: &mut Unstructured<'_>,
        (is_udp, port): (bool, u16),
        hops: u8,
        payload_bytes: usize,
    ) -> Result<Self> {
        // Not multicast, not loopback, not this network: those are not answered.
        let is_ipv4 = u.arbitrary()?;
        let payload = vec![u.arbitrary()?; payload_bytes];
        let client_port = u.arbitrary()?;
        let (protocol, segment) = if is_udp {
            (UDP, packet::udp(client_port, port, &payload))
        } else {
            (TCP, packet::tcp_with_flags(client_port, port, u.arbitrary()?, &payload))
        };
        let bytes = if is_ipv4 {
            ipv4(u, protocol, hops, &segment)?
        } else {
            ipv6(u, protocol, hops, segment)?
        };
        Ok(Self { tags: tags(u)?, bytes })
    }

    /// An ICMP echo to a VIP.
    pub(super) fn echo(u: &mut Unstructured<'_>) -> Result<Self> {
        let (rest, hops) = (u.arbitrary()?, u.arbitrary()?);
        let payload_bytes = u.int_in_range(0..=PAYLOAD_MOST)?;
        let payload = vec![u.arbitrary()?; payload_bytes];
        let bytes = if u.arbitrary()? {
            let message = packet::icmp4(8, u.arbitrary()?, rest, &payload);
            ipv4(u, 1, hops, &message)?
        } else {
            let client = client6(u)?;
            let message = packet::icmp6((client, VIP6), 128, 0, rest, &payload);
            let mut packet = packet::ipv6(client, VIP6, 58, u.arbitrary()?, 0, &message);
            packet[7] = hops;
            packet
        };
        Ok(Self { tags: tags(u)?, bytes })
    }

    /// It in a frame, perhaps with bytes behind it.
    pub(super) fn frame(&self, trailer: &[u8]) -> Vec<u8> {
        let ethertype = if self.bytes[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
        packet::ethernet(&self.tags, ethertype, &[&self.bytes, trailer].concat())
    }
}

fn tags(u: &mut Unstructured<'_>) -> Result<Vec<(u16, u16)>> {
    let count = u.int_in_range(0..=2)?;
    (0..count).map(|_| Ok((*u.choose(&[0x8100, 0x88a8])?, u.arbitrary()?))).collect()
}

/// A client that may be answered: neither multicast nor loopback nor this network.
fn client4(u: &mut Unstructured<'_>) -> Result<Ipv4Addr> {
    let [low, middle, high] = u.arbitrary()?;
    Ok([u.int_in_range(1..=126)?, high, middle, low].into())
}

fn client6(u: &mut Unstructured<'_>) -> Result<Ipv6Addr> {
    let mut octets: [u8; 16] = u.arbitrary()?;
    octets[0] = 0x20;
    Ok(octets.into())
}

fn ipv4(u: &mut Unstructured<'_>, protocol: u8, hops: u8, payload: &[u8]) -> Result<Vec<u8>> {
    let option_bytes = if u.ratio(1, 4)? { u.int_in_range(1..=10)? * 4 } else { 0 };
    let fields = Ipv4Fields {
        type_of_service: u.arbitrary()?,
        options: vec![u.arbitrary()?; option_bytes],
        fragment: *u.choose(&[0, 0x4000])?,
        identification: u.arbitrary()?,
        time_to_live: hops,
    };
    Ok(packet::ipv4(client4(u)?, VIP, protocol, &fields, payload))
}

/// With up to six extension headers, as many as are followed.
fn ipv6(u: &mut Unstructured<'_>, protocol: u8, hops: u8, payload: Vec<u8>) -> Result<Vec<u8>> {
    let (mut next, mut payload) = (protocol, payload);
    for _ in 0..if u.ratio(1, 4)? { u.int_in_range(1..=6)? } else { 0 } {
        (next, payload) = match u.int_in_range(0..=4)? {
            0 => (44, packet::ipv6_fragment(next, 0, &payload)),
            1 => (51, packet::authentication(next, &payload)),
            kind => {
                let bytes = u.int_in_range(1..=4)? * 8;
                let number = [0, 43, 60][kind - 2];
                (number, packet::extension(next, bytes, &payload))
            }
        };
    }
    let (class, label) = (u.arbitrary()?, u.int_in_range(0..=0xf_ffff)?);
    let mut packet = packet::ipv6(client6(u)?, VIP6, next, class, label, &payload);
    packet[7] = hops;
    Ok(packet)
}
