//! IPv4 (RFC 791).

use super::checksum::finish_native;
use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header without options.
pub const HEADER_BYTES: usize = size_of::<Ipv4>();
/// [`Ipv4::version_ihl`] of a header without options.
pub const VERSION_WITHOUT_OPTIONS: u8 = 0x45;
/// "Don't fragment" in [`Ipv4::fragment`].
pub const DONT_FRAGMENT: u16 = 0x4000;
/// Mask of the fragment offset in [`Ipv4::fragment`], units of 8 bytes.
pub const FRAGMENT_OFFSET: u16 = 0x1fff;
/// "More fragments" in [`Ipv4::fragment`].
pub const MORE_FRAGMENTS: u16 = 0x2000;

/// The fixed part of the header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------+-------+---------------+-------------------------------+
/// |version|  IHL  |type of service|         total length          |
/// +-------+-------+---------------+-----+-------------------------+
/// |        identification         |flags|    fragment offset      |
/// +---------------+---------------+-----+-------------------------+
/// | time to live  |   protocol    |        header checksum        |
/// +---------------+---------------+-------------------------------+
/// |                            source                             |
/// +---------------------------------------------------------------+
/// |                          destination                          |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    /// Version (4) in the high half, header length in 4-byte words in the low half.
    pub version_ihl: u8,
    /// DSCP and ECN.
    pub type_of_service: u8,
    /// Bytes of header and payload.
    pub total_length: U16,
    /// Identification of a datagram's fragments.
    pub identification: U16,
    /// Flags and fragment offset.
    pub fragment: U16,
    /// Hops left.
    pub time_to_live: u8,
    /// What follows.
    pub protocol: u8,
    /// One's complement of the header's sum.
    pub checksum: U16,
    /// Sender.
    pub source: [u8; 4],
    /// Receiver.
    pub destination: [u8; 4],
}

impl Ipv4 {
    /// Bytes of the header with its options, if version and length make sense.
    #[inline]
    pub const fn header_bytes(&self) -> Option<usize> {
        let words = self.version_ihl & 0x0f;
        if self.version_ihl >> 4 == 4 && words >= 5 { Some(words as usize * 4) } else { None }
    }

    /// Whether it is a fragment other than the first.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment.get() & FRAGMENT_OFFSET != 0
    }

    /// Whether it is a fragment at all.
    #[inline]
    pub fn is_fragment(&self) -> bool {
        self.fragment.get() & (FRAGMENT_OFFSET | MORE_FRAGMENTS) != 0
    }
}

/// The checksum of a header without options whose checksum field counts as zero (RFC 1071). A sum
/// of native words is that of network-order words with its bytes swapped (RFC 1071 §2 B).
#[inline]
pub fn checksum(header: &Ipv4) -> U16 {
    let pair = |bytes| u64::from(u16::from_ne_bytes(bytes));
    let address = |bytes| u64::from(u32::from_ne_bytes(bytes));
    let sum = pair([header.version_ihl, header.type_of_service])
        + pair(header.total_length.to_bytes())
        + pair(header.identification.to_bytes())
        + pair(header.fragment.to_bytes())
        + pair([header.time_to_live, header.protocol])
        + address(header.source)
        + address(header.destination);
    finish_native(sum)
}

/// The checksum of a header once [`Ipv4::time_to_live`] is one less (RFC 1624).
#[inline]
pub fn checksum_with_a_hop_less(checksum: U16) -> U16 {
    let sum = u32::from(checksum.get()) + 0x0100;
    // Of the two zeros, 0xffff becomes 0: no header's sum, computed anew, is the other one.
    #[expect(clippy::cast_possible_truncation, reason = "the carry is added back")]
    let folded = (sum + ((sum + 1) >> 16)) as u16;
    U16::new(folded)
}

#[cfg(test)]
mod tests;
