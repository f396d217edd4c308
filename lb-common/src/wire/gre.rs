//! GRE (RFC 2784) without options: no checksum, no key, no sequence number.

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header.
pub const HEADER_BYTES: usize = size_of::<Gre>();

/// The header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-+---------------------+-------+-------------------------------+
/// |C|      reserved       |version|             type              |
/// +-+---------------------+-------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Gre {
    /// Flags and version: zero, so nothing but the type follows.
    pub flags: U16,
    /// What is inside, as an Ethernet type.
    pub ethertype: U16,
}
