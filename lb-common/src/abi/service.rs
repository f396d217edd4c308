//! Services: the table that says which pool serves a VIP, protocol and port.
//!
//! Its arrays have two halves. One is current; the agent writes a new set of services to the other
//! and then says that it is current, in one store. Within a half every key has one place where it
//! can be, so a look-up reads one bucket and one place, whether the key is there or not:
//!
//! ```text
//! first      = address[0] * m[0] + selector * m[1]     (mod 2^64), high half xored into the low
//! hash       = first * m[2] + address[1] * m[3]        (mod 2^64)
//! multiplier = SERVICE_BUCKETS[first_bucket + high 32 bits of hash, scaled]
//! place      = SERVICES[first_place + high 32 bits of hash * multiplier, scaled]
//! ```
//! [`crate::services`] finds the multipliers. Hashing by multiplication: Dietzfelbinger, STACS 1996; a
//! displacement for each bucket: Belazzougui, Botelho and Dietzfelbinger, ESA 2009. A sum of products
//! alone would not do: words that differ in their last bytes only, as addresses of networks and hosts
//! may, give sums that differ in the highest bits only, and few of those.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::{Family, address_bytes, address_words};
use crate::hash::scaled;

/// What a service is known by.
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
    Default,
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

/// What the service table says of one VIP, protocol and port.
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

/// One place of the service table. A free one has the key of all zeros, which no packet has.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServicePlace {
    /// Whose place it is.
    pub key: ServiceKey,
    /// What is said of it.
    pub entry: ServiceEntry,
}

/// Where one half of the service table is, and how its keys are hashed.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServiceHalf {
    /// What the hash multiplies by, odd.
    pub multipliers: [u64; 4],
    /// Its first bucket.
    pub first_bucket: u32,
    /// Number of its buckets.
    pub buckets: u32,
    /// Its first place.
    pub first_place: u32,
    /// Number of its places.
    pub places: u32,
}

impl ServiceHalf {
    /// The hash of a key, from which its bucket and place follow.
    #[inline]
    pub const fn hash(&self, key: &ServiceKey) -> u64 {
        let [m0, m1, m2, m3] = self.multipliers;
        let [high, low] = key.address;
        let first = high.wrapping_mul(m0).wrapping_add(key.selector.wrapping_mul(m1));
        (first ^ first >> 32).wrapping_mul(m2).wrapping_add(low.wrapping_mul(m3))
    }

    /// Number of the bucket for keys of this hash.
    #[inline]
    pub const fn bucket(&self, hash: u64) -> u32 {
        self.first_bucket.wrapping_add(scaled(hash, self.buckets))
    }

    /// Number of the place for keys of this hash, whose bucket has this multiplier.
    #[inline]
    pub const fn place(&self, hash: u64, multiplier: u64) -> u32 {
        self.first_place.wrapping_add(scaled(hash.wrapping_mul(multiplier), self.places))
    }
}

/// Which half of the service table is current, and what both are like.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ServiceDirectory {
    /// Number of the current half, 0 or 1.
    pub current: u64,
    /// The halves.
    pub halves: [ServiceHalf; 2],
}
