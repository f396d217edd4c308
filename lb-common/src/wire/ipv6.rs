//! IPv6 and its extension headers (RFC 8200).

use super::protocol;
use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = size_of::<Ipv6>();
/// Mask of the flow label in [`Ipv6::version_class_label`].
pub const FLOW_LABEL: u32 = 0x000f_ffff;

/// The fixed header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------+---------------+---------------------------------------+
/// |version| traffic class |              flow label               |
/// +-------+---------------+-------+---------------+---------------+
/// |        payload length         |  next header  |   hop limit   |
/// +-------------------------------+---------------+---------------+
/// |                         source (16)                           |
/// +---------------------------------------------------------------+
/// |                       destination (16)                        |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    /// Version (6), traffic class, flow label.
    pub version_class_label: U32,
    /// Bytes after this header.
    pub payload_length: U16,
    /// What follows.
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Sender.
    pub source: [u8; 16],
    /// Receiver.
    pub destination: [u8; 16],
}

impl Ipv6 {
    /// Whether the version field says 6.
    #[inline]
    pub fn is_version_6(&self) -> bool {
        self.version_class_label.get() >> 28 == 6
    }

    /// DSCP and ECN.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the class is 8 bits wide")]
    pub fn traffic_class(&self) -> u8 {
        (self.version_class_label.get() >> 20) as u8
    }
}

/// Whether a protocol number is that of an extension header, the fragment header aside.
#[inline]
pub const fn is_extension(kind: u8) -> bool {
    Extension { next_header: 0, length: 0 }.bytes(kind).is_some()
}

/// The first two bytes of an extension header.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Extension {
    /// What follows.
    pub next_header: u8,
    /// Length; its unit and bias differ by kind.
    pub length: u8,
}

impl Extension {
    /// Bytes of an extension header of this `kind`; `None` if the kind is none of them.
    ///
    /// The fragment header is not among them: it needs a look at its offset.
    #[inline]
    pub const fn bytes(&self, kind: u8) -> Option<usize> {
        match kind {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HOST_IDENTITY
            | protocol::SHIM6 => Some((self.length as usize + 1) * 8),
            // RFC 4302 §2.2: in words of 4 bytes, less two.
            protocol::AUTHENTICATION => Some((self.length as usize + 2) * 4),
            _ => None,
        }
    }
}

/// The fragment header (RFC 8200 §4.5).
///
/// ```text
/// +---------------+---------------+-------------------------+---+-+
/// |  next header  |   reserved    |     fragment offset     |res|M|
/// +---------------+---------------+-------------------------+---+-+
/// |                         identification                        |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FragmentHeader {
    /// What follows.
    pub next_header: u8,
    /// Zero.
    pub reserved: u8,
    /// Offset in units of 8 bytes in the high 13 bits; the lowest bit says that more follow.
    pub offset_more: U16,
    /// Identification of a datagram's fragments.
    pub identification: U32,
}

impl FragmentHeader {
    /// Whether fragments follow.
    #[inline]
    pub fn has_more(&self) -> bool {
        self.offset_more.get() & 1 != 0
    }

    /// Whether it belongs to a fragment other than the first.
    #[inline]
    pub fn is_later_fragment(&self) -> bool {
        self.offset_more.get() & 0xfff8 != 0
    }
}
