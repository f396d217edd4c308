//! Target `origin`: any frame through lb-origin, with the fixtures' balancers and VIPs.

use std::net::IpAddr;
use std::sync::LazyLock;

use lb_common::datapath::decapsulate;
use lb_common::image::{Buffer, OriginImage};
use lb_common::verdict::OriginReason;

use super::naive;
use crate::fixture::origin::{SOURCES, VIPS, image};

/// The port that IANA has given GUE.
const GUE_PORT: u16 = 6080;

/// Takes a frame through lb-origin: reason and frame.
pub(super) fn run(frame: &[u8], gue_port: u16) -> (OriginReason, Vec<u8>) {
    static IMAGE: LazyLock<OriginImage> = LazyLock::new(image);
    let mut buffer = Buffer::new(frame, 0);
    let reason = decapsulate(&mut buffer, &*IMAGE, gue_port);
    (reason, buffer.as_slice().to_vec())
}

/// An input: whether there is a port for GUE, then a frame.
///
/// # Panics
/// A claim about it does not hold.
pub fn origin(input: &[u8]) {
    let Some((control, frame)) = input.split_first() else { return };
    let (reason, left) = run(frame, if control & 1 == 0 { GUE_PORT } else { 0 });
    if reason == OriginReason::Decapsulated {
        check(frame, &left);
    } else {
        assert_eq!(left, frame, "{reason:?}: passed or dropped as it came");
    }
}

fn check(came: &[u8], left: &[u8]) {
    assert!(left.len() + 20 <= came.len(), "at least an IPv4 header has gone");
    assert_eq!(came[..12], left[..12], "the link-layer addresses stay");
    let (outer, inner) = (&came[14..], &left[14..]);
    let (ethertype, [_, destination]) = (u16::from_be_bytes([left[12], left[13]]), ends(inner));
    assert_eq!(ethertype, if naive::is_ipv4(inner) { 0x0800 } else { 0x86dd });
    let [source, _] = ends(outer);
    assert!(SOURCES.contains(&source), "{source} is no balancer");
    assert!(VIPS.contains(&destination), "{destination} is no VIP");

    let before = &came[came.len() - inner.len()..];
    let mut expected = before.to_vec();
    let class = naive::traffic_class(before);
    let ecn = naive::ecn_after_tunnel(class, naive::traffic_class(outer));
    let class = class & !3 | ecn.expect("a packet that may go on");
    naive::set_traffic_class(&mut expected, class);
    if naive::is_ipv4(before) {
        expected[10..12].copy_from_slice(&inner[10..12]);
        let header = ..naive::ipv4_header_bytes(before).min(before.len());
        let sums = [&before[header], &inner[header]].map(naive::sum);
        assert!(naive::same_sum(sums[0], sums[1]), "inner checksum: {sums:04x?}");
    }
    assert_eq!(inner, expected, "an end of the frame, but for ECN");
}

/// Source and destination of a packet.
fn ends(packet: &[u8]) -> [IpAddr; 2] {
    let four = |at: usize| <[u8; 4]>::try_from(&packet[at..at + 4]).expect("four bytes").into();
    let six = |at: usize| <[u8; 16]>::try_from(&packet[at..at + 16]).expect("16 bytes").into();
    if naive::is_ipv4(packet) { [12, 16].map(four) } else { [8, 24].map(six) }
}
