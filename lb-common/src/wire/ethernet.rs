//! Ethernet II and VLAN tags (IEEE 802.3, 802.1Q).

use zerocopy::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// IPv4.
pub const TYPE_IPV4: u16 = 0x0800;
/// IPv6.
pub const TYPE_IPV6: u16 = 0x86dd;
/// Customer VLAN tag, 802.1Q.
pub const TYPE_VLAN: u16 = 0x8100;
/// Service VLAN tag, 802.1ad.
pub const TYPE_SERVICE_VLAN: u16 = 0x88a8;

/// The header of every frame.
///
/// ```text
/// +--------------------+--------------------+--------+
/// | destination (6)    | source (6)         | type(2)|
/// +--------------------+--------------------+--------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// Receiver.
    pub destination: [u8; 6],
    /// Sender.
    pub source: [u8; 6],
    /// What follows.
    pub ethertype: U16,
}

/// One VLAN tag: its control word, then the type of what follows it.
///
/// ```text
///  0                   1                   2                   3
///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
/// +-----+-+-----------------------+-------------------------------+
/// | PCP |D|        VLAN id        |             type              |
/// +-----+-+-----------------------+-------------------------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    /// Priority, drop eligibility and VLAN id.
    pub control: U16,
    /// What follows.
    pub ethertype: U16,
}

/// A tag's control word behind the type that announces it, whatever comes before them.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Announced {
    /// A type for which [`is_vlan`] holds.
    pub ethertype: U16,
    /// [`VlanTag::control`].
    pub control: U16,
}

/// Whether a type announces a VLAN tag.
#[inline]
pub const fn is_vlan(ethertype: u16) -> bool {
    matches!(ethertype, TYPE_VLAN | TYPE_SERVICE_VLAN)
}
