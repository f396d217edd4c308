//! The layout of the BPF maps: the contract between the program in the kernel and the agent.
//!
//! Every type here is plain bytes without padding (zerocopy's derives refuse any). Entries are
//! built from 8-byte words, and the agent stores whole words. What the program reads with one load,
//! a table reference, a slot, a pin, it sees whole. A backend entry it reads field by field, so the
//! agent takes [`BackendEntry::NEXT_HOP_KNOWN`] from an entry in use while it changes the way to it;
//! a packet that has seen the flag already may still take a part of each. Any change of a type, a size or a meaning raises [`LAYOUT_VERSION`]; a golden test holds
//! the two together.
//!
//! Addresses are 16 bytes in network order; an IPv4 address fills the first four.

mod backend;
mod pin;
mod pool;
mod probe;
mod service;
mod slot;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use backend::{BackendEntry, Encapsulation};
pub use pin::{PINS_PER_BUCKET, Pin, PinBucket, PinState, Ticks, pin_bucket};
pub use pool::{PoolEntry, QuicKey, SLOT_BITS, SLOTS_PER_PAGE, Scheduler, TablePage, TableRef};
pub use probe::{ProbeCount, ProbeMark};
pub use service::{ServiceDirectory, ServiceEntry, ServiceHalf, ServiceKey, ServicePlace};
pub use slot::{BackendIndex, Slot};

/// Version of everything in this file. Pinned maps live in a directory that carries it.
pub const LAYOUT_VERSION: u32 = 3;

/// Names of the maps, as the programs declare them and as they are pinned.
pub mod map {
    /// Memory-mapped array of one [`super::ServiceDirectory`].
    pub const SERVICE_DIRECTORY: &str = "SERVICE_DIRECTORY";
    /// Memory-mapped array: bucket number -> `u64`, the bucket's multiplier.
    pub const SERVICE_BUCKETS: &str = "SERVICE_BUCKETS";
    /// Memory-mapped array: place number -> [`super::ServicePlace`].
    pub const SERVICES: &str = "SERVICES";
    /// Array: pool index -> [`super::PoolEntry`].
    pub const POOLS: &str = "POOLS";
    /// Memory-mapped array: page number -> [`super::TablePage`].
    pub const TABLE_PAGES: &str = "TABLE_PAGES";
    /// Array: backend index -> [`super::BackendEntry`].
    pub const BACKENDS: &str = "BACKENDS";
    /// Memory-mapped array: bucket number -> [`super::PinBucket`].
    pub const PINS: &str = "PINS";
    /// Memory-mapped array: bucket number -> [`super::PinBucket`] of datagrams in fragments.
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// Memory-mapped array: backend index -> `u64`, flows pinned to it as far as is known.
    pub const LOADS: &str = "LOADS";
    /// Memory-mapped array: pool index -> `u64`, new flows that its scheduler has placed.
    pub const TURNS: &str = "TURNS";
    /// Hash: [`super::QuicKey`] -> `u64`, a backend index.
    pub const QUIC_SERVERS: &str = "QUIC_SERVERS";
    /// Device hash: interface index -> the same, of the interfaces that packets may leave by.
    pub const EGRESS: &str = "EGRESS";
    /// Per-CPU array: [`crate::verdict::Reply`] -> `u64`, when the next one is due, ns.
    pub const REPLY_BUDGETS: &str = "REPLY_BUDGETS";
    /// Program array of one element: the program for unusual packets.
    pub const UNUSUAL: &str = "UNUSUAL";
    /// Per-CPU array: [`crate::verdict::Reason`] -> [`super::Counter`].
    pub const REASON_COUNTERS: &str = "REASON_COUNTERS";
    /// Per-CPU array: service index -> [`super::Counter`].
    pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
    /// Per-CPU array: [`crate::verdict::PinEvent`] -> [`super::Counter`].
    pub const PIN_COUNTERS: &str = "PIN_COUNTERS";
    /// Per-CPU array: backend index -> [`super::Counter`].
    pub const BACKEND_COUNTERS: &str = "BACKEND_COUNTERS";

    /// Memory-mapped array of lb-probe: backend index -> [`super::ProbeCount`]. It is not pinned.
    pub const PROBE_COUNTS: &str = "PROBE_COUNTS";

    /// Prefix trie of lb-origin: [`super::PrefixKey`] of the balancers that may reach this origin.
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
    /// `u32`: number of buckets of the fragment table.
    pub const FRAGMENT_BUCKETS: &str = "FRAGMENT_BUCKETS";
    /// `u32`: [`super::Features`].
    pub const FEATURES: &str = "FEATURES";
    /// `u32`: UDP port that GUE packets are sent to, host order.
    pub const GUE_PORT: &str = "GUE_PORT";
    /// `u32`: bits of an IPv4 outer source that the flow hash fills, network-order bytes read as a
    /// native word.
    pub const SOURCE_SPREAD_V4: &str = "SOURCE_SPREAD_V4";
    /// `[u32; 4]`: the same of an IPv6 outer source.
    pub const SOURCE_SPREAD_V6: &str = "SOURCE_SPREAD_V6";
    /// `[u64; 2]`: [`crate::verdict::Reply`] -> nanoseconds from one reply to the next, on average
    /// and on one CPU; 0 for none at all.
    pub const REPLY_INTERVALS_NS: &str = "REPLY_INTERVALS_NS";
}

/// What a program is loaded with beyond plain forwarding. The verifier removes the rest, so that a
/// configuration does not pay for what it does not use.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Features(pub u32);

impl Features {
    /// [`Encapsulation::GueV4`] and [`Encapsulation::GueV6`].
    pub const GUE: Self = Self(1 << 0);
    /// [`Encapsulation::GreV4`] and [`Encapsulation::GreV6`].
    pub const GRE: Self = Self(1 << 1);
    /// [`Encapsulation::L2`].
    pub const L2: Self = Self(1 << 2);
    /// Schedulers that pin every flow.
    pub const SCHEDULERS: Self = Self(1 << 3);
    /// [`Scheduler::SourceHash`].
    pub const SOURCE_HASH: Self = Self(1 << 4);
    /// Outer sources that the flow hash fills.
    pub const SOURCE_SPREAD: Self = Self(1 << 5);
    /// QUIC packets that name their server.
    pub const QUIC: Self = Self(1 << 6);
    /// Packets that leave by another interface.
    pub const REDIRECT: Self = Self(1 << 7);
    /// Number of features.
    pub const COUNT: u32 = 8;
    /// All of them.
    pub const ALL: Self = Self((1 << Self::COUNT) - 1);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are among them.
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
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

/// Key of an address prefix: the family's four bytes, then the address, so that the bits of a prefix
/// are counted from the family's first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PrefixKey {
    /// [`Family`].
    pub family: u32,
    /// Address, network-order bytes read as native words.
    pub address: [u32; 4],
}

impl PrefixKey {
    /// Bits of the family.
    pub const FAMILY_BITS: u32 = 32;
    /// Bits of a whole key.
    pub const BITS: u32 = Self::FAMILY_BITS + 128;

    /// Key of one address.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "one half after the other")]
    pub const fn of(key: &AddressKey) -> Self {
        let [high, low] = key.address;
        let address = [high as u32, (high >> 32) as u32, low as u32, (low >> 32) as u32];
        Self { family: key.family as u32, address }
    }
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
