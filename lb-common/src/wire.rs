//! Header codecs: structures of bytes that lie over the packet, with named fields.
//!
//! Integers are kept in network order and converted where they are read. Nothing here checks a
//! length: [`crate::frame::Frame`] has done so before it hands out a header.

pub mod checksum;
pub mod ethernet;
pub mod gre;
pub mod gue;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod quic;

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IP protocol numbers (IANA registry).
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 inside.
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 inside.
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// GRE.
    pub const GRE: u8 = 47;
    /// Authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// IPv6 mobility header.
    pub const MOBILITY: u8 = 135;
    /// Host identity protocol.
    pub const HOST_IDENTITY: u8 = 139;
    /// Shim6.
    pub const SHIM6: u8 = 140;
}

/// The ports, first in both TCP (RFC 9293 §3.1) and UDP (RFC 768).
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-------------------------------+-------------------------------+
/// |          source port          |       destination port        |
/// +-------------------------------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ports {
    /// Port of the sender.
    pub source: U16,
    /// Port of the receiver.
    pub destination: U16,
}

/// A TCP header without options (RFC 9293 §3.1), as far as its flags.
///
/// ```text
/// +-------------------------------+-------------------------------+
/// |                             ports                             |
/// +---------------------------------------------------------------+
/// |                        sequence number                        |
/// +---------------------------------------------------------------+
/// |                     acknowledgement number                    |
/// +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
/// |offset |reservd|C|E|U|A|P|R|S|F|            window             |
/// +-------+-------+-+-+-+-+-+-+-+-+-------------------------------+
/// |           checksum            |        urgent pointer         |
/// +-------------------------------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tcp {
    /// Both ports.
    pub ports: Ports,
    /// Sequence and acknowledgement number.
    pub numbers: [u8; 8],
    /// Length of the header in words of 4 bytes, in the high half.
    pub data_offset: u8,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window, checksum, urgent pointer.
    pub rest: [u8; 6],
}

/// The flags of a TCP header.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// Those of a packet that has no TCP header.
    pub const NONE: Self = Self(0);
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;

    /// Whether the segment opens a connection: SYN without ACK.
    #[inline]
    pub const fn is_opening(self) -> bool {
        self.0 & (Self::SYN | Self::ACK) == Self::SYN
    }

    /// Whether the sender ends its side of the connection, or all of it.
    #[inline]
    pub const fn is_closing(self) -> bool {
        self.0 & (Self::FIN | Self::RST) != 0
    }
}

/// A UDP header (RFC 768).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// Both ports.
    pub ports: Ports,
    /// Bytes of header and payload.
    pub length: U16,
    /// Checksum.
    pub checksum: U16,
}
