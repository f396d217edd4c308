//! Pins: flows that are fixed to a backend while their slot is in transition.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::BackendIndex;

/// One flow's place, kept while its slot is in transition, or for good in a pool whose scheduler
/// pins every flow.
///
/// ```text
///  63 .. 32   31 .. 30   29 .. 15   14 .. 0
/// +----------+----------+----------+-----------+
/// | tag      | state    | backend  | last seen |
/// +----------+----------+----------+-----------+
/// ```
/// The tag is the high half of the flow hash, from which the slot is taken too: so the agent can
/// tell a pin's slot from the pin alone. The bucket is taken from the low half.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Pin(pub u64);

/// What a pin's flow is known to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum PinState {
    /// TCP, and more than its opening packet has been seen.
    Established = 0,
    /// TCP, and only its opening packet has been seen: the first to give way.
    Embryonic = 1,
    /// UDP.
    Udp = 2,
    /// TCP, and the client has closed or reset it. It is kept like any other, for the rest of what
    /// is under way, but no longer counts as load.
    Closing = 3,
}

impl Pin {
    /// A free place.
    pub const EMPTY: Self = Self(0);
    const STATE_SHIFT: u32 = 30;
    const STATE_MASK: u64 = 3 << Self::STATE_SHIFT;
    const BACKEND_SHIFT: u32 = 15;

    /// A pin of the flow of `hash`, seen at `now`, established.
    #[inline]
    pub const fn new(hash: u64, backend: BackendIndex, now: Ticks) -> Self {
        let backend = (backend.value() as u64) << Self::BACKEND_SHIFT;
        Self(hash >> 32 << 32 | backend | now.0 as u64)
    }

    /// The same pin in another state.
    #[inline]
    #[must_use]
    pub const fn in_state(self, state: PinState) -> Self {
        Self(self.0 & !Self::STATE_MASK | (state as u64) << Self::STATE_SHIFT)
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

    /// What its flow is known to be.
    #[inline]
    pub const fn state(self) -> PinState {
        match (self.0 & Self::STATE_MASK) >> Self::STATE_SHIFT {
            0 => PinState::Established,
            1 => PinState::Embryonic,
            2 => PinState::Udp,
            _ => PinState::Closing,
        }
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
