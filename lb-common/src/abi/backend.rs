//! Backends: where their packets go and how they are wrapped.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Everything the program needs to send a packet to one backend: one cache line.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BackendEntry {
    /// Ethernet destination: the next hop towards the backend.
    pub next_hop_mac: [u8; 6],
    /// Largest IP packet that fits towards it, bytes, outer headers included.
    pub mtu_bytes: u16,
    /// Ethernet source: the egress interface's address.
    pub source_mac: [u8; 6],
    /// How packets are wrapped: an [`Encapsulation`]. 0: free entry.
    pub encapsulation: u8,
    /// Bit set of [`BackendEntry::NEXT_HOP_KNOWN`] and its like.
    pub flags: u8,
    /// Outer destination: the backend's address.
    pub outer_destination: [u8; 16],
    /// Outer source: the node's address of the same family, or the prefix that a flow's hash fills.
    pub outer_source: [u8; 16],
    /// Interface the packet must leave by.
    pub egress_ifindex: u32,
    /// Index of the pool the backend belongs to.
    pub pool: u16,
    /// Relative share of new flows, for [`super::Scheduler::LeastConnections`].
    pub weight: u16,
    /// Stable hash of "pool/backend"; 0 marks a free entry.
    pub name_hash: u64,
}

impl BackendEntry {
    /// The next hop's link-layer address, egress interface and MTU are resolved.
    pub const NEXT_HOP_KNOWN: u8 = 1 << 0;
    /// It is up: flows that belong to it go to it, even while it drains.
    pub const USABLE: u8 = 1 << 1;
    /// It takes new flows: it is in its pool's table.
    pub const ACCEPTS_NEW: u8 = 1 << 2;
}

/// How packets travel to a backend: values of [`BackendEntry::encapsulation`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Encapsulation {
    /// IP in IPv4 (RFC 2003, RFC 4213).
    IpipV4 = 1,
    /// IP in IPv6 (RFC 2473).
    IpipV6 = 2,
    /// GUE over IPv4: the packet right behind a UDP header (draft-ietf-intarea-gue, variant 1).
    GueV4 = 3,
    /// GUE over IPv6.
    GueV6 = 4,
    /// GRE over IPv4 (RFC 2784).
    GreV4 = 5,
    /// GRE over IPv6 (RFC 7676).
    GreV6 = 6,
    /// None: the frame is addressed to the backend's own link-layer address.
    L2 = 7,
}

impl Encapsulation {
    /// Every encapsulation.
    pub const ALL: [Self; 7] =
        [Self::IpipV4, Self::IpipV6, Self::GueV4, Self::GueV6, Self::GreV4, Self::GreV6, Self::L2];

    /// The encapsulation that a backend's entry names.
    #[inline]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::IpipV4),
            2 => Some(Self::IpipV6),
            3 => Some(Self::GueV4),
            4 => Some(Self::GueV6),
            5 => Some(Self::GreV4),
            6 => Some(Self::GreV6),
            7 => Some(Self::L2),
            _ => None,
        }
    }

    /// Its value in a backend's entry.
    #[inline]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Bytes it puts before a packet.
    #[inline]
    pub const fn overhead_bytes(self) -> usize {
        match self {
            Self::IpipV4 => 20,
            Self::IpipV6 => 40,
            Self::GueV4 => 20 + 8,
            Self::GueV6 => 40 + 8,
            Self::GreV4 => 20 + 4,
            Self::GreV6 => 40 + 4,
            Self::L2 => 0,
        }
    }
}
