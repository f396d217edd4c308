//! What a frame must look like in which the balancer itself has answered.

use etherparse::{Ipv4Header, Ipv6Header};
use lb_common::verdict::Reason;

use super::naive::{self, Link};

/// Compares a frame with the answer that went back where it came from.
pub(super) fn check(came: &[u8], left: &[u8], reason: Reason) {
    let before = Link::of(came).expect("what is answered has a link-layer header");
    let after = Link::of(left).expect("an answer has a link-layer header");
    assert_eq!(after.destination, before.source, "goes back");
    assert_eq!(after.source, before.destination, "goes back");
    assert_eq!((after.tags, after.ethertype), (before.tags, before.ethertype), "on the same link");
    match (reason, naive::is_ipv4(before.payload)) {
        (Reason::EchoAnswered, true) => echo_ipv4(before.payload, after.payload),
        (Reason::EchoAnswered, false) => echo_ipv6(before.payload, after.payload),
        (Reason::TooBigReported, true) => error_ipv4(before.payload, after.payload, [3, 4]),
        (Reason::TooBigReported, false) => error_ipv6(before.payload, after.payload, [2, 0]),
        (Reason::HopLimitReported, true) => error_ipv4(before.payload, after.payload, [11, 0]),
        (Reason::HopLimitReported, false) => error_ipv6(before.payload, after.payload, [3, 0]),
        _ => unreachable!("{reason:?} is no answer"),
    }
}

fn echo_ipv4(before: &[u8], after: &[u8]) {
    let header = naive::ipv4_header_bytes(before);
    let mut expected = before.to_vec();
    expected[8] = 64;
    expected[10..12].copy_from_slice(&after[10..12]);
    expected[12..16].copy_from_slice(&before[16..20]);
    expected[16..20].copy_from_slice(&before[12..16]);
    expected[header] = 0;
    expected[header + 2..header + 4].copy_from_slice(&after[header + 2..header + 4]);
    assert_eq!(after, expected, "only addresses, hops, type and checksums change");
    same_sums(&before[..header], &after[..header]);
    let message = header..naive::length(before);
    same_sums(&before[message.clone()], &after[message]);
}

fn echo_ipv6(before: &[u8], after: &[u8]) {
    // Behind however many extension headers: the only place where types differ.
    let at = (40..before.len()).find(|at| (before[*at], after[*at]) == (128, 129));
    let at = at.expect("an echo became its reply");
    let mut expected = before.to_vec();
    expected[7] = 64;
    expected[8..24].copy_from_slice(&before[24..40]);
    expected[24..40].copy_from_slice(&before[8..24]);
    expected[at] = 129;
    expected[at + 2..at + 4].copy_from_slice(&after[at + 2..at + 4]);
    assert_eq!(after, expected, "only addresses, hops, type and checksum change");
    let message = at..naive::length(before).max(at + 4);
    same_sums(&before[message.clone()], &after[message]);
}

/// A right checksum stays right, a wrong one wrong by as much.
fn same_sums(before: &[u8], after: &[u8]) {
    let sums = [naive::sum(before), naive::sum(after)];
    assert!(naive::same_sum(sums[0], sums[1]), "checksum: {sums:04x?}");
}

fn error_ipv4(before: &[u8], after: &[u8], kind_and_code: [u8; 2]) {
    let (header, message) = Ipv4Header::from_slice(after).expect("an IPv4 header");
    assert_eq!(header.header_len(), 20);
    assert_eq!(header.header_checksum, header.calc_header_checksum(), "checksum of the header");
    assert_eq!(usize::from(header.total_len), after.len(), "no bytes behind the packet");
    assert_eq!(header.source[..], before[16..20], "comes from the VIP");
    assert_eq!(header.destination[..], before[12..16], "goes to the client");
    assert_eq!((header.protocol.0, header.time_to_live), (1, 64));
    assert!(naive::adds_up(&[message]), "checksum of the message");
    // RFC 1812 §4.3.2.3: 576 bytes at most.
    error(before, message, kind_and_code, 576 - 28);
}

fn error_ipv6(before: &[u8], after: &[u8], kind_and_code: [u8; 2]) {
    let (header, message) = Ipv6Header::from_slice(after).expect("an IPv6 header");
    assert_eq!(usize::from(header.payload_length), message.len(), "no bytes behind the packet");
    assert_eq!(header.source[..], before[24..40], "comes from the VIP");
    assert_eq!(header.destination[..], before[8..24], "goes to the client");
    assert_eq!((header.next_header.0, header.hop_limit), (58, 64));
    let pseudo_header = naive::pseudo_header(after, message.len(), 58);
    assert!(naive::adds_up(&[&pseudo_header, message]), "checksum of the message");
    // RFC 4443 §2.4 (c): 1,280 bytes at most.
    error(before, message, kind_and_code, 1_280 - 48);
}

fn error(before: &[u8], message: &[u8], kind_and_code: [u8; 2], most: usize) {
    assert_eq!(message[..2], kind_and_code, "type and code");
    let quote = &before[..naive::length(before).min(most)];
    assert_eq!(&message[8..], quote, "quotes the packet as it came");
}
