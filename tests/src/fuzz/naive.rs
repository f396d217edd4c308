//! Headers and sums read in the plainest way, to compare with.

/// The one's complement sum of 16-bit words (RFC 1071 §1), with the last byte filled up.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    u16::try_from(sum).expect("carries are added back")
}

/// Whether two sums say the same: there are two zeros.
pub(super) const fn same_sum(one: u16, other: u16) -> bool {
    one % 0xffff == other % 0xffff
}

/// Whether everything that a checksum covers, itself included, adds up.
pub(super) fn adds_up(parts: &[&[u8]]) -> bool {
    sum(&parts.concat()) == 0xffff
}

/// What stands before ICMP for IPv6 in its sum (RFC 8200 §8.1), of a packet.
pub(super) fn pseudo_header(packet: &[u8], length: usize, protocol: u8) -> Vec<u8> {
    let length = u32::try_from(length).expect("a frame");
    [&packet[8..40], &length.to_be_bytes(), &[0, 0, 0, protocol]].concat()
}

/// The front of a frame: everything before its IP packet.
#[derive(Debug)]
pub(super) struct Link<'f> {
    pub(super) destination: &'f [u8],
    pub(super) source: &'f [u8],
    /// Type and control word of up to two tags.
    pub(super) tags: Vec<(u16, u16)>,
    pub(super) ethertype: u16,
    /// What follows.
    pub(super) payload: &'f [u8],
}

impl<'f> Link<'f> {
    /// Reads it, if it is whole.
    pub(super) fn of(frame: &'f [u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
        let mut tags = Vec::new();
        let mut at = 12;
        let mut ethertype = word(at)?;
        while matches!(ethertype, 0x8100 | 0x88a8) && tags.len() < 2 {
            tags.push((ethertype, word(at + 2)?));
            at += 4;
            ethertype = word(at)?;
        }
        let (destination, source) = (&frame[..6], &frame[6..12]);
        Some(Self { destination, source, tags, ethertype, payload: &frame[at + 2..] })
    }
}

/// Whether a packet says that it is IPv4; anything else here is IPv6.
pub(super) fn is_ipv4(packet: &[u8]) -> bool {
    packet[0] >> 4 == 4
}

/// Bytes of a packet, by its own header.
pub(super) fn length(packet: &[u8]) -> usize {
    let word = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    if is_ipv4(packet) { word(2) } else { 40 + word(4) }
}

/// Bytes of an IPv4 header.
pub(super) fn ipv4_header_bytes(packet: &[u8]) -> usize {
    usize::from(packet[0] & 0x0f) * 4
}

/// DSCP and ECN.
pub(super) fn traffic_class(packet: &[u8]) -> u8 {
    if is_ipv4(packet) { packet[1] } else { packet[0] << 4 | packet[1] >> 4 }
}

/// A packet with another DSCP and ECN; the checksum of IPv4 is left to the caller.
pub(super) fn set_traffic_class(packet: &mut [u8], class: u8) {
    if is_ipv4(packet) {
        packet[1] = class;
    } else {
        packet[0] = packet[0] & 0xf0 | class >> 4;
        packet[1] = packet[1] & 0x0f | class << 4;
    }
}

/// What a packet's ECN is once its tunnel ends (RFC 6040 §4.2, figure 4); `None` for a lost packet.
pub(super) const fn ecn_after_tunnel(inner: u8, outer: u8) -> Option<u8> {
    // Rows: Not-ECT, ECT(1), ECT(0), CE inside; columns the same outside.
    const NOT: Option<u8> = Some(0);
    const ONE: Option<u8> = Some(1);
    const ZERO: Option<u8> = Some(2);
    const CE: Option<u8> = Some(3);
    const FIGURE: [[Option<u8>; 4]; 4] =
        [[NOT, NOT, NOT, None], [ONE, ONE, ONE, CE], [ZERO, ONE, ZERO, CE], [CE, CE, CE, CE]];
    FIGURE[(inner & 3) as usize][(outer & 3) as usize]
}
