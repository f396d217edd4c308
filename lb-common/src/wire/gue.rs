//! Generic UDP encapsulation (draft-ietf-intarea-gue §3).

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The port that IANA has assigned.
pub const PORT: u16 = 6080;

/// The header of variant 0, without extensions. In variant 1 there is none: the first byte is that
/// of the IP packet, whose version 4 or 6 begins with the bits 01.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +---+-+---------+---------------+-------------------------------+
/// | 0 |C|  length |   protocol    |             flags             |
/// +---+-+---------+---------------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Gue {
    /// Variant, control flag, and length of the extensions in words of 4 bytes.
    pub first: u8,
    /// IP protocol of what follows.
    pub protocol: u8,
    /// Which extensions there are.
    pub flags: U16,
}
