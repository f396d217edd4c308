//! ICMP for IPv4 (RFC 792) and for IPv6 (RFC 4443).

use zerocopy::big_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of the header that every message here has.
pub const HEADER_BYTES: usize = size_of::<Icmp>();

/// The header.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +---------------+---------------+-------------------------------+
/// |     type      |     code      |           checksum            |
/// +---------------+---------------+-------------------------------+
/// |             unused, MTU, or identifier and number             |
/// +---------------------------------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmp {
    /// What the message says.
    pub kind: u8,
    /// Which variety of it.
    pub code: u8,
    /// One's complement of the message's sum; for IPv6 with its pseudo-header.
    pub checksum: U16,
    /// The next-hop MTU of "too big" (RFC 1191 §4: in the low half; RFC 4443 §3.2: all of it).
    pub rest: U32,
}

/// Types of ICMP for IPv4.
pub mod v4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Code of [`UNREACHABLE`]: fragmentation needed, and the packet says not to.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Source quench; deprecated (RFC 6633), yet an error about a packet.
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo.
    pub const ECHO: u8 = 8;
    /// Time exceeded; code 0: in transit.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;

    /// Whether a message quotes a packet that the receiver has sent and should hear of. A redirect
    /// and a source quench do quote one, but nobody acts on them (RFC 1812 §5.2.7.2, RFC 6633).
    #[inline]
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, UNREACHABLE | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }

    /// Whether no error may be sent about a message (RFC 1122 §3.2.2).
    #[inline]
    pub const fn is_beyond_complaint(kind: u8) -> bool {
        is_error(kind) || matches!(kind, SOURCE_QUENCH | REDIRECT)
    }
}

/// Types of ICMP for IPv6.
pub mod v6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded; code 0: hop limit.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;

    /// Whether a message quotes a packet that the receiver has sent.
    #[inline]
    pub const fn is_error(kind: u8) -> bool {
        matches!(kind, UNREACHABLE | TOO_BIG | TIME_EXCEEDED | PARAMETER_PROBLEM)
    }
}
