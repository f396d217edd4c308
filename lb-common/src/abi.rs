//! The layout of the BPF maps: the contract between the program in the kernel and the agent.
//!
//! Every type here is plain bytes without padding (zerocopy's derives refuse any). Entries are
//! built from 8-byte words, and the agent stores whole words. What the program reads with one load,
//! a table reference, a slot, a pin, it sees whole. A backend entry it reads field by field, so the
//! agent closes an entry in use (its first word is zero, an MTU of 0 takes no packet) while it
//! changes more than one word of it; a packet that is already past the MTU may still take a part
//! of each. Any change of a type, a size or a meaning raises [`LAYOUT_VERSION`]; a golden test holds
//! the two together.
//!
//! Addresses are 16 bytes in network order; an IPv4 address fills the first four.

mod pin;
mod slot;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use pin::{PINS_PER_BUCKET, Pin, PinBucket, Ticks, pin_bucket};
pub use slot::{BackendIndex, Slot};

/// Version of everything in this file. Pinned maps live in a directory that carries it.
pub const LAYOUT_VERSION: u32 = 1;

/// Names of the maps, as the programs declare them and as they are pinned.
pub mod map {
    /// Hash: [`super::ServiceKey`] -> [`super::ServiceEntry`].
    pub const SERVICES: &str = "SERVICES";
    /// Array: pool index -> [`super::PoolEntry`].
    pub const POOLS: &str = "POOLS";
    /// Memory-mapped array: page number -> [`super::TablePage`].
    pub const TABLE_PAGES: &str = "TABLE_PAGES";
    /// Array: backend index -> [`super::BackendEntry`].
    pub const BACKENDS: &str = "BACKENDS";
    /// Memory-mapped array: bucket number -> [`super::PinBucket`].
    pub const PINS: &str = "PINS";
    /// Per-CPU array: [`crate::verdict::Reason`] -> [`super::Counter`].
    pub const REASON_COUNTERS: &str = "REASON_COUNTERS";
    /// Per-CPU array: service index -> [`super::Counter`].
    pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
    /// Per-CPU array: [`crate::verdict::PinEvent`] -> [`super::Counter`].
    pub const PIN_COUNTERS: &str = "PIN_COUNTERS";
    /// Per-CPU array: backend index -> [`super::Counter`].
    pub const BACKEND_COUNTERS: &str = "BACKEND_COUNTERS";

    /// Hash of lb-origin: [`super::AddressKey`] of each balancer that may reach this origin.
    pub const ORIGIN_SOURCES: &str = "ORIGIN_SOURCES";
    /// Hash of lb-origin: [`super::AddressKey`] of each VIP served here.
    pub const ORIGIN_VIPS: &str = "ORIGIN_VIPS";
    /// Per-CPU array of lb-origin: [`crate::verdict::OriginReason`] -> [`super::Counter`].
    pub const ORIGIN_COUNTERS: &str = "ORIGIN_COUNTERS";
}

/// Names of the read-only globals that the agent sets before it loads a program.
pub mod global {
    /// `[u64; 2]`: the cluster's hash seed.
    pub const HASH_SEED: &str = "HASH_SEED";
    /// `u32`: number of buckets of the pin table.
    pub const PIN_BUCKETS: &str = "PIN_BUCKETS";
}

/// IP version as the maps write it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Family {
    /// IPv4.
    V4 = 4,
    /// IPv6.
    V6 = 6,
}

/// Key of the service map.
///
/// Built from whole words so that the program needs no byte-wise stores on its stack.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct ServiceKey {
    /// Destination address, network-order bytes read as native words.
    pub address: [u64; 2],
    /// Bits 0..16 destination port (network-order bytes read natively), 16..24 IP protocol,
    /// 24..32 [`Family`], the rest zero.
    pub selector: u64,
}

impl ServiceKey {
    /// Key of one VIP, protocol and port (`port_be`: network-order bytes read natively).
    #[inline]
    pub const fn from_words(address: [u64; 2], family: Family, protocol: u8, port_be: u16) -> Self {
        let selector = port_be as u64 | (protocol as u64) << 16 | (family as u64) << 24;
        Self { address, selector }
    }

    /// Key of `vip`, IP protocol number and port in host order (0: any port).
    pub fn new(vip: core::net::IpAddr, protocol: u8, port: u16) -> Self {
        let (bytes, family) = address_bytes(vip);
        Self::from_words(address_words(bytes), family, protocol, port.to_be())
    }

    /// The same service's key for any port.
    #[inline]
    #[must_use]
    pub const fn any_port(self) -> Self {
        Self { address: self.address, selector: self.selector & !0xffff }
    }
}

/// Key of a bare address, for the VIPs of an origin.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(C)]
pub struct AddressKey {
    /// Address, network-order bytes read as native words.
    pub address: [u64; 2],
    /// [`Family`] in the low byte.
    pub family: u64,
}

impl AddressKey {
    /// Key of `address`.
    pub fn new(address: core::net::IpAddr) -> Self {
        let (bytes, family) = address_bytes(address);
        Self { address: address_words(bytes), family: family as u64 }
    }
}

/// What the service map says of one VIP, protocol and port.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServiceEntry {
    /// Index of the pool that serves it.
    pub pool: u32,
    /// Index of its counters; all ports of one service share it.
    pub service: u32,
    /// Stable hash of the service's name, so that a restarted agent finds its own.
    pub name_hash: u64,
}

/// One pool: where its table lies.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PoolEntry {
    /// The table in use; see [`TableRef`]. One word, so that a switch is atomic for readers.
    pub table: TableRef,
    /// Stable hash of the pool's name; 0 marks a free entry.
    pub name_hash: u64,
}

/// First page and number of slots of a table, in one word. Zero slots: the pool has no table.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct TableRef(u64);

impl TableRef {
    /// A table of `slots` slots that starts at page `first_page`.
    pub const fn new(first_page: u32, slots: u32) -> Self {
        Self((first_page as u64) << 32 | slots as u64)
    }

    /// Page of slot 0.
    #[inline]
    pub const fn first_page(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Number of slots, M.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the number of slots")]
    pub const fn slots(self) -> u32 {
        self.0 as u32
    }

    /// Number of pages the table fills, the last one perhaps in part.
    pub const fn pages(self) -> u32 {
        self.slots().div_ceil(SLOTS_PER_PAGE)
    }
}

/// Slots in one page of the table map: 1,024 words of 4 bytes, one memory page.
pub const SLOTS_PER_PAGE: u32 = 1 << SLOT_BITS;
/// log2 of [`SLOTS_PER_PAGE`].
pub const SLOT_BITS: u32 = 10;

/// One element of the table map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TablePage(pub [Slot; SLOTS_PER_PAGE as usize]);

/// Everything the program needs to send a packet to one backend: one cache line.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct BackendEntry {
    /// Ethernet destination: the next hop towards the backend.
    pub next_hop_mac: [u8; 6],
    /// Largest IP packet that fits towards it, bytes, outer header included.
    pub mtu_bytes: u16,
    /// Ethernet source: the egress interface's address.
    pub source_mac: [u8; 6],
    /// How packets are wrapped: see [`BackendEntry::ENCAP_IPIP_V4`] and its like. 0: free entry.
    pub encapsulation: u8,
    /// Bit set of [`BackendEntry::NEXT_HOP_KNOWN`].
    pub flags: u8,
    /// Outer destination: the backend's address.
    pub outer_destination: [u8; 16],
    /// Outer source: the node's address of the same family.
    pub outer_source: [u8; 16],
    /// Interface the packet must leave by.
    pub egress_ifindex: u32,
    /// Index of the pool the backend belongs to.
    pub pool: u32,
    /// Stable hash of "pool/backend"; 0 marks a free entry.
    pub name_hash: u64,
}

impl BackendEntry {
    /// IP in IPv4 (RFC 2003, RFC 4213).
    pub const ENCAP_IPIP_V4: u8 = 1;
    /// IP in IPv6 (RFC 2473).
    pub const ENCAP_IPIP_V6: u8 = 2;

    /// The next hop's link-layer address, egress interface and MTU are resolved.
    pub const NEXT_HOP_KNOWN: u8 = 1 << 0;
    /// It is up: flows that belong to it go to it, even while it drains.
    pub const USABLE: u8 = 1 << 1;
    /// It takes new flows: it is in its pool's table.
    pub const ACCEPTS_NEW: u8 = 1 << 2;
}

/// Packets and bytes, as counted on one CPU. Bytes are those of the received frame.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames as received, link-layer header included.
    pub bytes: u64,
}

/// Bytes of `address` in network order, zero-filled to 16, and its family.
pub const fn address_bytes(address: core::net::IpAddr) -> ([u8; 16], Family) {
    match address {
        core::net::IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            ([a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Family::V4)
        }
        core::net::IpAddr::V6(v6) => (v6.octets(), Family::V6),
    }
}

/// The two native words of a 16-byte address.
#[inline]
pub const fn address_words(bytes: [u8; 16]) -> [u64; 2] {
    zerocopy::transmute!(bytes)
}

#[cfg(test)]
mod tests;
