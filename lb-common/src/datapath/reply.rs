//! What the balancer itself says in a VIP's name: echo replies, and two ICMP errors without which
//! connections would hang: a packet is too large for the tunnel, or has no hop left.
//!
//! RFC 792, RFC 1191 and RFC 4443; which packets are not complained about: RFC 1122 §3.2.2 and RFC
//! 4443 §2.4 (e). All of it has a budget, and goes back the way the packet came.

use super::encapsulate::OUTER_HOP_LIMIT;
use super::{Packet, Part, lookup};
use crate::abi::{Family, address_words};
use crate::frame::Frame;
use crate::tables::Tables;
use crate::verdict::{Reason, Reply};
use crate::wire::checksum::{adjusted, finish};
use crate::wire::ethernet::{Ethernet, VlanTag};
use crate::wire::icmp::{self, Icmp};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::protocol;
use zerocopy::big_endian::{U16, U32};

/// Most bytes of an IPv4 packet that an error about it quotes: all in all 576 (RFC 1812 §4.3.2.3).
pub const QUOTE_V4_BYTES: usize = 576 - ipv4::HEADER_BYTES - icmp::HEADER_BYTES;
/// The same for IPv6: all in all the minimum MTU (RFC 4443 §2.4 (c)).
pub const QUOTE_V6_BYTES: usize = MIN_MTU_V6 - ipv6::HEADER_BYTES - icmp::HEADER_BYTES;
/// The least MTU of an IPv6 link (RFC 8200 §5).
const MIN_MTU_V6: usize = 1280;
/// Network control: precedence 6, as errors should have (RFC 1812 §4.3.2.5).
const NETWORK_CONTROL: u8 = 0xc0;

/// A link-layer header with two tags, in halves of a word.
const MAX_LINK_HALVES: usize =
    (size_of::<Ethernet>() + 2 * size_of::<VlanTag>()) / size_of::<U16>();

/// An error to be reported.
struct Error {
    kind: u8,
    code: u8,
    rest: u32,
}

/// Tells the sender how large a packet may be.
#[inline]
pub(super) fn too_big<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    mtu_bytes: u32,
) -> Reason {
    let rest = mtu_bytes;
    let error = match packet.flow.family {
        Family::V4 => {
            Error { kind: icmp::v4::UNREACHABLE, code: icmp::v4::FRAGMENTATION_NEEDED, rest }
        }
        Family::V6 => Error { kind: icmp::v6::TOO_BIG, code: 0, rest },
    };
    match report(frame, tables, packet, &error) {
        Some(()) => Reason::TooBigReported,
        None => Reason::TooBig,
    }
}

/// Tells the sender that its packet has no hop left.
#[inline]
pub(super) fn hop_limit<F: Frame, T: Tables>(frame: &mut F, tables: &T, packet: &Packet) -> Reason {
    let kind = match packet.flow.family {
        Family::V4 => icmp::v4::TIME_EXCEEDED,
        Family::V6 => icmp::v6::TIME_EXCEEDED,
    };
    match report(frame, tables, packet, &Error { kind, code: 0, rest: 0 }) {
        Some(()) => Reason::HopLimitReported,
        None => Reason::HopLimit,
    }
}

/// Answers an echo, if it is for a VIP.
#[inline]
pub(super) fn echo<F: Frame, T: Tables>(frame: &mut F, tables: &T, packet: &Packet) -> Reason {
    if !lookup::is_for_a_vip(tables, &packet.flow) {
        return Reason::NoService;
    }
    if packet.l2_bytes + packet.ip_bytes > frame.len() {
        return Reason::Truncated;
    }
    if !is_from_one_host(frame, packet) || !tables.may_reply(Reply::Echo) {
        return Reason::EchoLimited;
    }
    match turn_around(frame, packet) {
        Some(()) => Reason::EchoAnswered,
        None => Reason::Malformed,
    }
}

/// Whether the sender is one host, so that an answer is not sent to many.
#[inline]
fn is_from_one_host<F: Frame>(frame: &F, packet: &Packet) -> bool {
    let to_many = |ethernet: &Ethernet| {
        let [first, ..] = ethernet.destination;
        first & 1 != 0
    };
    if frame.header::<Ethernet>(0).is_none_or(to_many) {
        return false;
    }
    let [high, low] = packet.flow.source;
    let [first, ..] = high.to_ne_bytes();
    match packet.flow.family {
        // This network, loopback, multicast and reserved.
        Family::V4 => first != 0 && first != 127 && first < 224,
        Family::V6 => first != 0xff && high | low != 0,
    }
}

/// Makes an echo its reply, in place.
#[inline]
fn turn_around<F: Frame>(frame: &mut F, packet: &Packet) -> Option<()> {
    match packet.flow.family {
        Family::V4 => {
            let ip = frame.header_mut::<Ipv4>(packet.l2_bytes)?;
            (ip.source, ip.destination) = (ip.destination, ip.source);
            let word = |hops: u8| u16::from(hops) << 8 | u16::from(protocol::ICMP);
            let (old, new) = (word(ip.time_to_live), word(OUTER_HOP_LIMIT));
            ip.checksum = adjusted(ip.checksum, old, new);
            ip.time_to_live = OUTER_HOP_LIMIT;
        }
        Family::V6 => {
            let ip = frame.header_mut::<Ipv6>(packet.l2_bytes)?;
            (ip.source, ip.destination) = (ip.destination, ip.source);
            ip.hop_limit = OUTER_HOP_LIMIT;
        }
    }
    let header = frame.header_mut::<Icmp>(packet.transport_at()?)?;
    let kind = match packet.flow.family {
        Family::V4 => icmp::v4::ECHO_REPLY,
        Family::V6 => icmp::v6::ECHO_REPLY,
    };
    let word = |kind: u8, code: u8| u16::from(kind) << 8 | u16::from(code);
    let (old, new) = (word(header.kind, header.code), word(kind, header.code));
    header.checksum = match adjusted(header.checksum, old, new) {
        // A reply of nothing but zeros adds up only with the other zero (RFC 1071 §1), and any other
        // does with either.
        U16::ZERO => U16::MAX_VALUE,
        checksum => checksum,
    };
    header.kind = kind;
    swap_stations(frame)
}

/// Makes the frame an error about the packet in it; `None`, and no change, if nobody may be told.
#[inline]
fn report<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    packet: &Packet,
    error: &Error,
) -> Option<()> {
    let is_first = matches!(packet.part, Part::Whole | Part::FirstFragment);
    if !is_first || !is_from_one_host(frame, packet) || !tables.may_reply(Reply::Error) {
        return None;
    }
    let (headers_bytes, most) = match packet.flow.family {
        Family::V4 => (ipv4::HEADER_BYTES + icmp::HEADER_BYTES, QUOTE_V4_BYTES),
        Family::V6 => (ipv6::HEADER_BYTES + icmp::HEADER_BYTES, QUOTE_V6_BYTES),
    };
    let quote_bytes = if packet.ip_bytes < most { packet.ip_bytes } else { most };
    // Once more, since this is a function of its own, and what its caller has seen of a packet older
    // verifiers forget.
    let packet = &packet.within_bounds()?;
    // Room first: without it nothing may have changed.
    frame.push_front(headers_bytes)?;
    frame.truncate(headers_bytes + packet.l2_bytes + quote_bytes)?;
    link_layer(frame, packet.l2_bytes, headers_bytes)?;
    match packet.flow.family {
        Family::V4 => report_v4(frame, packet.l2_bytes, quote_bytes, error),
        Family::V6 => report_v6(frame, packet.l2_bytes, quote_bytes, error),
    }
}

/// Moves the link-layer header to the new front, addressed to where the frame came from.
#[inline]
fn link_layer<F: Frame>(frame: &mut F, l2_bytes: usize, pushed_bytes: usize) -> Option<()> {
    // In pieces of two bytes: a header as a whole would be put on the stack without its alignment.
    let halves = l2_bytes / size_of::<U16>();
    for half in 0..MAX_LINK_HALVES {
        if half >= halves {
            break;
        }
        let at = half * size_of::<U16>();
        let moved = *frame.header::<U16>(pushed_bytes + at)?;
        *frame.header_mut::<U16>(at)? = moved;
    }
    swap_stations(frame)
}

/// Sends the frame back to the station that it came from.
#[inline]
fn swap_stations<F: Frame>(frame: &mut F) -> Option<()> {
    let ethernet = frame.header_mut::<Ethernet>(0)?;
    let source: &mut [U16; 3] = zerocopy::transmute_mut!(&mut ethernet.source);
    let destination: &mut [U16; 3] = zerocopy::transmute_mut!(&mut ethernet.destination);
    for (one, other) in source.iter_mut().zip(destination) {
        (*one, *other) = (*other, *one);
    }
    Some(())
}

#[inline]
fn report_v4<F: Frame>(
    frame: &mut F,
    l2_bytes: usize,
    quote_bytes: usize,
    error: &Error,
) -> Option<()> {
    let icmp_at = l2_bytes + ipv4::HEADER_BYTES;
    let quoted = frame.header::<Ipv4>(icmp_at + icmp::HEADER_BYTES)?;
    let [client, vip] = [quoted.source, quoted.destination].map(u32::from_ne_bytes);
    let header = frame.header_mut::<Ipv4>(l2_bytes)?;
    *header = Ipv4 {
        version_ihl: ipv4::VERSION_WITHOUT_OPTIONS,
        type_of_service: NETWORK_CONTROL,
        total_length: length_field(ipv4::HEADER_BYTES + icmp::HEADER_BYTES + quote_bytes),
        identification: U16::ZERO,
        fragment: U16::new(ipv4::DONT_FRAGMENT),
        time_to_live: OUTER_HOP_LIMIT,
        protocol: protocol::ICMP,
        checksum: U16::ZERO,
        source: vip.to_ne_bytes(),
        destination: client.to_ne_bytes(),
    };
    header.checksum = ipv4::checksum(header);
    put_error(frame, icmp_at, error, 0, QUOTE_V4_BYTES)
}

#[inline]
fn report_v6<F: Frame>(
    frame: &mut F,
    l2_bytes: usize,
    quote_bytes: usize,
    error: &Error,
) -> Option<()> {
    let icmp_at = l2_bytes + ipv6::HEADER_BYTES;
    let payload_length = length_field(icmp::HEADER_BYTES + quote_bytes);
    let quoted = frame.header::<Ipv6>(icmp_at + icmp::HEADER_BYTES)?;
    let [client, vip] = [quoted.source, quoted.destination].map(address_words);
    let header = frame.header_mut::<Ipv6>(l2_bytes)?;
    header.version_class_label = U32::new(6 << 28 | u32::from(NETWORK_CONTROL) << 20);
    header.payload_length = payload_length;
    header.next_header = protocol::ICMPV6;
    header.hop_limit = OUTER_HOP_LIMIT;
    header.source = zerocopy::transmute!(vip);
    header.destination = zerocopy::transmute!(client);
    // RFC 8200 §8.1: addresses, length and protocol are summed as if they stood before the message.
    let sum = |[high, low]: [u64; 2]| {
        let halves = |word: u64| (u64::from_be(word) >> 32) + (u64::from_be(word) & 0xffff_ffff);
        halves(high) + halves(low)
    };
    let pseudo_header =
        sum(client) + sum(vip) + u64::from(payload_length.get()) + u64::from(protocol::ICMPV6);
    put_error(frame, icmp_at, error, pseudo_header, QUOTE_V6_BYTES)
}

/// Writes the ICMP header at `at`, before a quote of at most `most` bytes that ends the frame.
#[inline]
fn put_error<F: Frame>(
    frame: &mut F,
    at: usize,
    error: &Error,
    pseudo_header: u64,
    most: usize,
) -> Option<()> {
    let Error { kind, code, rest } = *error;
    let mut icmp = Icmp { kind, code, checksum: U16::ZERO, rest: U32::new(rest) };
    let first = u64::from(u16::from_be_bytes([kind, code]));
    let quote = sum(frame, at + icmp::HEADER_BYTES, most);
    icmp.checksum = finish(pseudo_header + first + u64::from(rest) + quote);
    *frame.header_mut::<Icmp>(at)? = icmp;
    Some(())
}

/// The sum of everything from `from` to the end of the frame, which is at most `most` bytes.
#[inline]
fn sum<F: Frame>(frame: &F, from: usize, most: usize) -> u64 {
    let mut sum = 0;
    let mut at = from;
    // The bound is hidden from the compiler, which would write the loop out.
    for _ in 0..core::hint::black_box(most / size_of::<U32>()) {
        let Some(word) = frame.header::<U32>(at) else { break };
        sum += u64::from(word.get());
        at += size_of::<U32>();
    }
    if let Some(half) = frame.header::<U16>(at) {
        sum += u64::from(half.get());
        at += size_of::<U16>();
    }
    if let Some(last) = frame.header::<u8>(at) {
        sum += u64::from(*last) << 8;
    }
    sum
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most the minimum MTU of IPv6")]
fn length_field(bytes: usize) -> U16 {
    U16::new(bytes as u16)
}

#[cfg(test)]
mod tests;
