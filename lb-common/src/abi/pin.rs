//! Pins: flows that are fixed to a backend while their slot is in transition.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::BackendIndex;

/// One flow's place, kept while its slot is in transition.
///
/// ```text
///  63 .. 32   31          30    29 .. 15   14 .. 0
/// +----------+-----------+-----+----------+-----------+
/// | tag      | embryonic | udp | backend  | last seen |
/// +----------+-----------+-----+----------+-----------+
/// ```
/// The tag is the high half of the flow hash, from which the slot is taken too: so the agent can
/// tell a pin's slot from the pin alone. The bucket is taken from the low half.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Pin(pub u64);

impl Pin {
    /// A free place.
    pub const EMPTY: Self = Self(0);
    const EMBRYONIC: u64 = 1 << 31;
    const UDP: u64 = 1 << 30;
    const BACKEND_SHIFT: u32 = 15;

    /// A pin of the flow of `hash`, seen at `now`.
    #[inline]
    pub const fn new(hash: u64, backend: BackendIndex, now: Ticks) -> Self {
        let backend = (backend.value() as u64) << Self::BACKEND_SHIFT;
        Self(hash >> 32 << 32 | backend | now.0 as u64)
    }

    /// The same pin, made by a packet that opens a connection and not confirmed by another yet.
    #[inline]
    #[must_use]
    pub const fn embryonic(self, embryonic: bool) -> Self {
        if embryonic { Self(self.0 | Self::EMBRYONIC) } else { Self(self.0 & !Self::EMBRYONIC) }
    }

    /// The same pin, of a UDP flow.
    #[inline]
    #[must_use]
    pub const fn udp(self, udp: bool) -> Self {
        if udp { Self(self.0 | Self::UDP) } else { self }
    }

    /// The same pin, seen at `now`.
    #[inline]
    #[must_use]
    pub const fn seen_at(self, now: Ticks) -> Self {
        Self(self.0 & !(Ticks::MASK as u64) | now.0 as u64)
    }

    /// Whether it is a pin of the flow of `hash`, in the bucket of `hash`.
    #[inline]
    pub const fn is_of(self, hash: u64) -> bool {
        (self.0 ^ hash) >> 32 == 0 && !self.is_empty()
    }

    /// The high half of the flow's hash, as a hash whose low half is zero.
    #[inline]
    pub const fn tag(self) -> u64 {
        self.0 >> 32 << 32
    }

    /// Whether the place is free.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.backend().value() == 0
    }

    /// Whether only the opening packet of its flow has been seen.
    #[inline]
    pub const fn is_embryonic(self) -> bool {
        self.0 & Self::EMBRYONIC != 0
    }

    /// Whether it is of a UDP flow.
    #[inline]
    pub const fn is_udp(self) -> bool {
        self.0 & Self::UDP != 0
    }

    /// The backend that the flow belongs to.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to 15 bits")]
    pub const fn backend(self) -> BackendIndex {
        BackendIndex::masked((self.0 >> Self::BACKEND_SHIFT) as u16)
    }

    /// When a packet of the flow was last seen.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to 15 bits")]
    pub const fn last_seen(self) -> Ticks {
        Ticks(self.0 as u16 & Ticks::MASK)
    }
}

/// Time as pins keep it: 15 bits of the monotonic clock in units of 2^30 ns, 1.07 s. Wraps after
/// 9.8 hours; pins live far shorter.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Ticks(u16);

impl Ticks {
    const MASK: u16 = (1 << 15) - 1;
    /// Nanoseconds of one tick, as a power of two.
    pub const NANOSECONDS_BITS: u32 = 30;

    /// The tick of a monotonic time.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "masked to 15 bits")]
    pub const fn at(monotonic_ns: u64) -> Self {
        Self((monotonic_ns >> Self::NANOSECONDS_BITS) as u16 & Self::MASK)
    }

    /// Ticks from `self` to `now`, which is later by less than one turn of the counter.
    #[inline]
    pub const fn until(self, now: Self) -> u16 {
        now.0.wrapping_sub(self.0) & Self::MASK
    }
}

/// Pins in one bucket.
pub const PINS_PER_BUCKET: usize = 8;

/// One element of the pin table: a cache line, since the map is page-aligned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PinBucket(pub [Pin; PINS_PER_BUCKET]);

/// The bucket of a flow: the low half of its hash, scaled to the number of buckets.
#[inline]
pub const fn pin_bucket(hash: u64, buckets: u32) -> u32 {
    (((hash & 0xffff_ffff) * buckets as u64) >> 32) as u32
}
