//! Step 1: from a frame to a flow.
//!
//! Ethernet with up to two VLAN tags, then IP, then the ports of TCP or UDP. [`ordinary`] reads
//! headers without options or extensions; [`classify`] reads whatever there is.

mod full;

use crate::abi::{Family, address_words};
use crate::frame::Frame;
use crate::verdict::Reason;
use crate::wire::ethernet::{self, Ethernet, VlanTag};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::{Ports, Tcp, TcpFlags, Udp, protocol};

use super::Stop;

pub use full::classify;

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
    /// The flow it belongs to. Of a later fragment and an echo, only the addresses are known; of an
    /// ICMP error, it is the flow of the packet that the error is about, as the client sends it.
    pub flow: Flow,
    /// What it is of that flow.
    pub part: Part,
    /// Identification of the datagram that a fragment belongs to; 0 of what is none.
    pub datagram_id: u32,
    /// Flags of its TCP header, if it has one.
    pub tcp_flags: TcpFlags,
    /// Bytes of the link-layer header with its tags: 14, 18 or 22.
    pub l2_bytes: usize,
    /// Bytes of the IP packet, by its own header; the frame may be longer (padding).
    pub ip_bytes: usize,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Where the transport header begins, from the front of the frame: for others
    /// [`Self::transport_at`].
    pub(super) transport_at: usize,
}

impl Packet {
    /// Most bytes before a transport header: two tags, an IP header, and as many extension headers
    /// as are followed.
    const MOST_BEFORE_TRANSPORT: usize = (1 << 14) - 1;

    /// Where the transport header begins, from the front of the frame; always `Some`. Compared with
    /// what it can be at most, here where it is used: older verifiers forget what has been seen of a
    /// value that was put down since.
    #[inline(always)]
    pub fn transport_at(&self) -> Option<usize> {
        let at = core::hint::black_box(self.transport_at);
        if at > Self::MOST_BEFORE_TRANSPORT { None } else { Some(at) }
    }

    /// The same packet, its link-layer header compared with the longest that is read; always `Some`.
    /// The verifier sees it only here if the packet has been classified by another function.
    #[inline(always)]
    pub(super) fn within_bounds(&self) -> Option<Self> {
        let l2_bytes = core::hint::black_box(self.l2_bytes);
        if l2_bytes > size_of::<Ethernet>() + 2 * size_of::<VlanTag>() {
            return None;
        }
        Some(Self { l2_bytes, ..*self })
    }
}

/// What a packet is of the flow that it belongs to. Without fields: where a variant has none, the
/// compiler would leave their registers unset, and the verifier wants to see all of them set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// An ordinary packet.
    Whole,
    /// The first fragment of a datagram; the others follow it.
    FirstFragment,
    /// Another fragment of a datagram: it has no ports.
    LaterFragment,
    /// An ICMP error about a packet of the flow.
    Error,
    /// An ICMP echo.
    Echo,
}

/// What the transport header says. Integers, not bytes of the header: those would be copied to
/// wherever there is room on the stack, and the verifier wants them aligned.
pub(super) struct Transport {
    /// Network-order bytes read natively.
    source_port_be: u16,
    /// The same.
    destination_port_be: u16,
    tcp_flags: TcpFlags,
}

/// Reads the headers of a frame whose IP header has neither options nor extensions.
#[inline(always)]
pub(super) fn ordinary<F: Frame>(frame: &F) -> Result<Packet, Stop> {
    let (ethertype, l2_bytes) = link_layer(frame)?;
    match ethertype {
        ethernet::TYPE_IPV4 => ordinary_ipv4(frame, l2_bytes),
        ethernet::TYPE_IPV6 => ordinary_ipv6(frame, l2_bytes),
        _ => Err(Reason::NotIp.into()),
    }
}

/// The type behind the Ethernet header and its tags, and where it begins.
#[inline(always)]
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

#[inline(always)]
fn ordinary_ipv4<F: Frame>(frame: &F, l2_bytes: usize) -> Result<Packet, Stop> {
    let ip = frame.header::<Ipv4>(l2_bytes).ok_or(Reason::Malformed)?;
    if ip.version_ihl != ipv4::VERSION_WITHOUT_OPTIONS || ip.is_fragment() {
        return Err(Stop::Unusual);
    }
    let ip_bytes = usize::from(ip.total_length.get());
    let (source, destination) = ipv4_words(ip);
    packet(
        frame,
        &Network {
            family: Family::V4,
            protocol: ip.protocol,
            source,
            destination,
            l2_bytes,
            transport_at: l2_bytes + ipv4::HEADER_BYTES,
            ip_bytes,
            traffic_class: ip.type_of_service,
            hop_limit: ip.time_to_live,
        },
    )
}

#[inline(always)]
fn ordinary_ipv6<F: Frame>(frame: &F, l2_bytes: usize) -> Result<Packet, Stop> {
    let ip = frame.header::<Ipv6>(l2_bytes).ok_or(Reason::Malformed)?;
    if !ip.is_version_6() {
        return Err(Reason::Malformed.into());
    }
    packet(
        frame,
        &Network {
            family: Family::V6,
            protocol: ip.next_header,
            source: address_words(ip.source),
            destination: address_words(ip.destination),
            l2_bytes,
            transport_at: l2_bytes + ipv6::HEADER_BYTES,
            ip_bytes: ipv6::HEADER_BYTES + usize::from(ip.payload_length.get()),
            traffic_class: ip.traffic_class(),
            hop_limit: ip.hop_limit,
        },
    )
}

/// What the IP header says.
struct Network {
    family: Family,
    protocol: u8,
    source: [u64; 2],
    destination: [u64; 2],
    l2_bytes: usize,
    transport_at: usize,
    ip_bytes: usize,
    traffic_class: u8,
    hop_limit: u8,
}

impl Network {
    /// Whether the IP packet ends before so many bytes of its payload. Sums alone: of a difference
    /// the verifier would not know that it is not negative.
    #[inline(always)]
    const fn lacks(&self, bytes: usize) -> bool {
        self.l2_bytes + self.ip_bytes < self.transport_at + bytes
    }

    /// The flow between these addresses and ports.
    #[inline(always)]
    fn flow(&self, (source_port_be, destination_port_be): (u16, u16)) -> Flow {
        Flow {
            family: self.family,
            protocol: self.protocol,
            source: self.source,
            destination: self.destination,
            source_port_be,
            destination_port_be,
        }
    }

    /// The packet that all this makes.
    #[inline(always)]
    fn packet(&self, (part, datagram_id): (Part, u32), transport: Option<&Transport>) -> Packet {
        let ports = transport
            .map_or((0, 0), |transport| (transport.source_port_be, transport.destination_port_be));
        Packet {
            flow: self.flow(ports),
            part,
            datagram_id,
            tcp_flags: transport.map_or(TcpFlags::NONE, |transport| transport.tcp_flags),
            l2_bytes: self.l2_bytes,
            ip_bytes: self.ip_bytes,
            traffic_class: self.traffic_class,
            hop_limit: self.hop_limit,
            transport_at: self.transport_at,
        }
    }
}

/// A whole packet with ports.
#[inline(always)]
fn packet<F: Frame>(frame: &F, network: &Network) -> Result<Packet, Stop> {
    match network.protocol {
        protocol::TCP | protocol::UDP => {
            let transport = transport(frame, network)?;
            Ok(network.packet((Part::Whole, 0), Some(&transport)))
        }
        // ICMP, and whatever an IPv6 extension header may lead to.
        protocol::ICMP => Err(Stop::Unusual),
        _ => match network.family {
            Family::V4 => Err(Reason::OtherProtocol.into()),
            Family::V6 => Err(Stop::Unusual),
        },
    }
}

/// The ports of TCP or UDP, from a whole header inside the IP packet. A first fragment too short
/// for one is no honest packet (RFC 1858 §3).
#[inline(always)]
fn transport<F: Frame>(frame: &F, network: &Network) -> Result<Transport, Reason> {
    let at = network.transport_at;
    if network.protocol == protocol::TCP {
        if network.lacks(size_of::<Tcp>()) {
            return Err(Reason::Malformed);
        }
        let tcp = frame.header::<Tcp>(at).ok_or(Reason::Malformed)?;
        let (source_port_be, destination_port_be) = native(&tcp.ports);
        return Ok(Transport { source_port_be, destination_port_be, tcp_flags: tcp.flags });
    }
    if network.lacks(size_of::<Udp>()) {
        return Err(Reason::Malformed);
    }
    let udp = frame.header::<Udp>(at).ok_or(Reason::Malformed)?;
    let (source_port_be, destination_port_be) = native(&udp.ports);
    Ok(Transport { source_port_be, destination_port_be, tcp_flags: TcpFlags::NONE })
}

/// Source and destination port, network-order bytes read natively.
#[inline(always)]
fn native(ports: &Ports) -> (u16, u16) {
    let native = |port: zerocopy::big_endian::U16| u16::from_ne_bytes(port.to_bytes());
    (native(ports.source), native(ports.destination))
}

/// Source and destination of an IPv4 header, as words.
#[inline(always)]
fn ipv4_words(ip: &Ipv4) -> ([u64; 2], [u64; 2]) {
    let words = |address| [u64::from(u32::from_ne_bytes(address)), 0];
    (words(ip.source), words(ip.destination))
}
