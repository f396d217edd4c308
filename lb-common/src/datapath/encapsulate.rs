//! Step 4: the outer headers, and the frame's way out.
//!
//! IP in IP: RFC 2003 (IPv4 in IPv4), RFC 2473 (into IPv6), RFC 4213 (IPv6 in IPv4). DSCP and ECN
//! are copied outwards (RFC 6040 §4.1, normal mode; RFC 2983 uniform model). The outer IPv4 packet
//! must not be fragmented, so its identification may be zero (RFC 6864 §4.1).

use super::Packet;
use crate::abi::{BackendEntry, Family};
use crate::frame::Frame;
use crate::verdict::Reason;
use crate::wire::ethernet::{self, Ethernet, VlanTag};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::protocol;
use zerocopy::big_endian::{U16, U32};

/// Hops an outer packet may take: the IANA default for both families (RFC 1700, RFC 2473 §6.3).
const OUTER_HOP_LIMIT: u8 = 64;

/// Whether the packet can be sent to this backend at all; nothing has been written yet.
#[inline]
pub(super) fn admit(
    packet: &Packet,
    backend: &BackendEntry,
    ingress_ifindex: u32,
) -> Result<(), Reason> {
    if backend.flags & BackendEntry::NEXT_HOP_KNOWN == 0 {
        return Err(Reason::NextHopUnknown);
    }
    if backend.egress_ifindex != ingress_ifindex {
        return Err(Reason::WrongInterface);
    }
    let overhead = match backend.encapsulation {
        BackendEntry::ENCAP_IPIP_V4 => ipv4::HEADER_BYTES,
        BackendEntry::ENCAP_IPIP_V6 => ipv6::HEADER_BYTES,
        _ => return Err(Reason::NoBackend),
    };
    if packet.ip_bytes + overhead > usize::from(backend.mtu_bytes) {
        return Err(Reason::TooBig);
    }
    Ok(())
}

/// Puts the outer header in front of the packet and addresses the frame to the next hop.
#[inline]
pub(super) fn wrap<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    backend: &BackendEntry,
    hash: u64,
) -> Result<(), Reason> {
    if backend.encapsulation == BackendEntry::ENCAP_IPIP_V6 {
        link_layer(frame, packet, backend, ipv6::HEADER_BYTES, ethernet::TYPE_IPV6)?;
        outer_ipv6(frame, packet, backend, hash)
    } else {
        link_layer(frame, packet, backend, ipv4::HEADER_BYTES, ethernet::TYPE_IPV4)?;
        outer_ipv4(frame, packet, backend)
    }
}

/// Makes room for `overhead` bytes and moves the link-layer header, tags kept, to the new front.
#[inline]
fn link_layer<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    backend: &BackendEntry,
    overhead: usize,
    ethertype: u16,
) -> Result<(), Reason> {
    let l2_bytes = packet.l2_bytes;
    frame.push_front(overhead).ok_or(Reason::NoHeadroom)?;
    let mut outer_type = U16::new(ethertype);
    // From the innermost tag outwards: each level's type moves one level in.
    if l2_bytes > size_of::<Ethernet>() {
        let inner_tag_at = l2_bytes - size_of::<VlanTag>();
        outer_type = move_tag(frame, inner_tag_at, overhead, outer_type)?;
    }
    if l2_bytes > size_of::<Ethernet>() + size_of::<VlanTag>() {
        outer_type = move_tag(frame, size_of::<Ethernet>(), overhead, outer_type)?;
    }
    let front = frame.header_mut::<Ethernet>(0).ok_or(Reason::NoHeadroom)?;
    copy_mac(&mut front.destination, &backend.next_hop_mac);
    copy_mac(&mut front.source, &backend.source_mac);
    front.ethertype = outer_type;
    Ok(())
}

/// Moves the tag at `at` forward and gives it the type `next`; returns the type that announces it.
#[inline]
fn move_tag<F: Frame>(frame: &mut F, at: usize, overhead: usize, next: U16) -> Result<U16, Reason> {
    let control = frame.header::<VlanTag>(at + overhead).ok_or(Reason::NoHeadroom)?.control;
    // The two bytes in front of a tag are the type that announces it, whatever comes before them.
    let announced =
        *frame.header::<U16>(at + overhead - size_of::<U16>()).ok_or(Reason::NoHeadroom)?;
    let tag = frame.header_mut::<VlanTag>(at).ok_or(Reason::NoHeadroom)?;
    *tag = VlanTag { control, ethertype: next };
    Ok(announced)
}

#[inline]
fn outer_ipv4<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    backend: &BackendEntry,
) -> Result<(), Reason> {
    let header = frame.header_mut::<Ipv4>(packet.l2_bytes).ok_or(Reason::NoHeadroom)?;
    *header = Ipv4 {
        version_ihl: 0x45,
        type_of_service: packet.traffic_class,
        total_length: length_field(packet.ip_bytes + ipv4::HEADER_BYTES),
        identification: U16::ZERO,
        fragment: U16::new(ipv4::DONT_FRAGMENT),
        time_to_live: OUTER_HOP_LIMIT,
        protocol: inner_protocol(packet.flow.family),
        checksum: U16::ZERO,
        source: ipv4_part(backend.outer_source),
        destination: ipv4_part(backend.outer_destination),
    };
    header.checksum = ipv4::checksum(header);
    Ok(())
}

#[inline]
fn outer_ipv6<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    backend: &BackendEntry,
    hash: u64,
) -> Result<(), Reason> {
    let header = frame.header_mut::<Ipv6>(packet.l2_bytes).ok_or(Reason::NoHeadroom)?;
    copy_ipv6(&mut header.source, &backend.outer_source);
    copy_ipv6(&mut header.destination, &backend.outer_destination);
    // RFC 6438: the flow label carries the flow's entropy, so that ECMP behind us keeps it whole.
    #[expect(clippy::cast_possible_truncation, reason = "the label is the hash's low bits")]
    let label = hash as u32 & ipv6::FLOW_LABEL;
    header.version_class_label = U32::new(6 << 28 | u32::from(packet.traffic_class) << 20 | label);
    header.payload_length = length_field(packet.ip_bytes);
    header.next_header = inner_protocol(packet.flow.family);
    header.hop_limit = OUTER_HOP_LIMIT;
    Ok(())
}

/// Copies an address in pieces that the BPF target moves with one instruction each; an array of
/// bytes would go byte by byte.
#[inline]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "by value it goes byte by byte")]
fn copy_mac(to: &mut [u8; 6], from: &[u8; 6]) {
    let to: &mut [[u8; 2]; 3] = zerocopy::transmute_mut!(to);
    let from: &[[u8; 2]; 3] = zerocopy::transmute_ref!(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The same for an IPv6 address.
#[inline]
fn copy_ipv6(to: &mut [u8; 16], from: &[u8; 16]) {
    let to: &mut [[u8; 4]; 4] = zerocopy::transmute_mut!(to);
    let from: &[[u8; 4]; 4] = zerocopy::transmute_ref!(from);
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// The IPv4 address in a 16-byte field.
#[inline]
const fn ipv4_part([a, b, c, d, ..]: [u8; 16]) -> [u8; 4] {
    [a, b, c, d]
}

/// A length that [`admit`] has held below the MTU, which is 16 bits wide.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "checked against a 16-bit MTU before")]
fn length_field(bytes: usize) -> U16 {
    U16::new(bytes as u16)
}

/// The protocol number that announces the inner packet.
#[inline]
const fn inner_protocol(family: Family) -> u8 {
    match family {
        Family::V4 => protocol::IPV4,
        Family::V6 => protocol::IPV6,
    }
}
