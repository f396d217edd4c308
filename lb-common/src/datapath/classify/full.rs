//! Any packet: IPv4 with options, IPv6 with extension headers, fragments, ICMP.

use super::{Network, Packet, Part, ipv4_words, link_layer, native, transport};
use crate::abi::{Family, address_words};
use crate::frame::Frame;
use crate::verdict::Reason;
use crate::wire::icmp::{self, Icmp};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::{Ports, ethernet, protocol};

/// Reads the headers of a frame.
///
/// # Errors
/// The reason why the packet is none that a service could want.
#[inline(always)]
pub fn classify<F: Frame>(frame: &F) -> Result<Packet, Reason> {
    let (ethertype, l2_bytes) = link_layer(frame)?;
    let (network, fragment) = match ethertype {
        ethernet::TYPE_IPV4 => ipv4(frame, l2_bytes)?,
        ethernet::TYPE_IPV6 => ipv6(frame, l2_bytes)?,
        _ => return Err(Reason::NotIp),
    };
    if fragment.0 == Part::LaterFragment {
        if network.lacks(0) {
            return Err(Reason::Malformed);
        }
        return Ok(network.packet(fragment, None));
    }
    match (network.family, network.protocol) {
        (_, protocol::TCP | protocol::UDP) => {
            let transport = transport(frame, &network)?;
            Ok(network.packet(fragment, Some(&transport)))
        }
        (Family::V4, protocol::ICMP) | (Family::V6, protocol::ICMPV6)
            if fragment.0 == Part::Whole =>
        {
            control(frame, &network)
        }
        _ => Err(Reason::OtherProtocol),
    }
}

/// An IPv4 header, the part of a datagram that it begins, and the datagram's identification.
#[inline(always)]
fn ipv4<F: Frame>(frame: &F, l2_bytes: usize) -> Result<(Network, (Part, u32)), Reason> {
    let ip = frame.header::<Ipv4>(l2_bytes).ok_or(Reason::Malformed)?;
    let header_bytes = ip.header_bytes().ok_or(Reason::Malformed)?;
    let id = u32::from(ip.identification.get());
    let part = if ip.is_later_fragment() {
        Part::LaterFragment
    } else if ip.is_fragment() {
        Part::FirstFragment
    } else {
        Part::Whole
    };
    let (source, destination) = ipv4_words(ip);
    let network = Network {
        family: Family::V4,
        protocol: ip.protocol,
        source,
        destination,
        l2_bytes,
        transport_at: l2_bytes + header_bytes,
        ip_bytes: usize::from(ip.total_length.get()),
        traffic_class: ip.type_of_service,
        hop_limit: ip.time_to_live,
    };
    Ok((network, (part, id)))
}

/// The same for IPv6.
#[inline(always)]
fn ipv6<F: Frame>(frame: &F, l2_bytes: usize) -> Result<(Network, (Part, u32)), Reason> {
    let ip = frame.header::<Ipv6>(l2_bytes).ok_or(Reason::Malformed)?;
    if !ip.is_version_6() {
        return Err(Reason::Malformed);
    }
    let walked = frame.walk_extensions(ip.next_header, l2_bytes + ipv6::HEADER_BYTES);
    if walked.is_nowhere() {
        return Err(Reason::Malformed);
    }
    let network = Network {
        family: Family::V6,
        protocol: walked.protocol(),
        source: address_words(ip.source),
        destination: address_words(ip.destination),
        l2_bytes,
        transport_at: walked.transport_at(),
        ip_bytes: ipv6::HEADER_BYTES + usize::from(ip.payload_length.get()),
        traffic_class: ip.traffic_class(),
        hop_limit: ip.hop_limit,
    };
    Ok((network, (walked.part(), walked.datagram_id())))
}

/// An ICMP message: an echo, or an error about a packet that a backend has sent.
#[inline(always)]
fn control<F: Frame>(frame: &F, network: &Network) -> Result<Packet, Reason> {
    let at = network.transport_at;
    if network.lacks(icmp::HEADER_BYTES) {
        return Err(Reason::Malformed);
    }
    let icmp = frame.header::<Icmp>(at).ok_or(Reason::Malformed)?;
    let quote_at = at + icmp::HEADER_BYTES;
    let flow = match (network.family, icmp.kind) {
        (Family::V4, icmp::v4::ECHO) | (Family::V6, icmp::v6::ECHO) => {
            return Ok(network.packet((Part::Echo, 0), None));
        }
        (Family::V4, kind) if icmp::v4::is_error(kind) => quoted_ipv4(frame, quote_at)?,
        (Family::V6, kind) if icmp::v6::is_error(kind) => quoted_ipv6(frame, quote_at)?,
        _ => return Err(Reason::OtherProtocol),
    };
    // Whoever sent the quoted packet is told of it, and nobody else.
    if flow.source != network.destination {
        return Err(Reason::OtherProtocol);
    }
    let mut packet = network.packet((Part::Error, 0), None);
    packet.flow = super::Flow {
        source: flow.destination,
        destination: flow.source,
        source_port_be: flow.destination_port_be,
        destination_port_be: flow.source_port_be,
        ..flow
    };
    Ok(packet)
}

/// The flow of a quoted packet, in the direction of that packet. A quote may end right behind the
/// ports (RFC 792: 8 bytes of the payload).
#[inline(always)]
fn quoted_ipv4<F: Frame>(frame: &F, at: usize) -> Result<super::Flow, Reason> {
    let (network, fragment) = ipv4(frame, at)?;
    quoted(frame, &network, fragment)
}

/// The same for IPv6.
#[inline(always)]
fn quoted_ipv6<F: Frame>(frame: &F, at: usize) -> Result<super::Flow, Reason> {
    let (network, fragment) = ipv6(frame, at)?;
    quoted(frame, &network, fragment)
}

#[inline(always)]
fn quoted<F: Frame>(
    frame: &F,
    network: &Network,
    (part, _): (Part, u32),
) -> Result<super::Flow, Reason> {
    let ported = matches!(network.protocol, protocol::TCP | protocol::UDP);
    if !ported || part == Part::LaterFragment {
        return Err(Reason::OtherProtocol);
    }
    let at = network.transport_at;
    let ports = frame.header::<Ports>(at).ok_or(Reason::Malformed)?;
    Ok(network.flow(native(ports)))
}
