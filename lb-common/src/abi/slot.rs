//! Slots of a table, and the backend indices they hold.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One slot of a Maglev table.
///
/// ```text
///  31      30       29 .. 15      14 .. 0
/// +-------+--------+-------------+-------------+
/// |consult|reserved| previous    | current     |
/// +-------+--------+-------------+-------------+
/// ```
/// Index 0 means "none". `consult` = 0 sends every packet to `current`; only when it is set are
/// pins looked up and `previous` read ([`crate::datapath`]).
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Slot(u32);

impl Slot {
    /// Width of a backend index in a slot, bits.
    const INDEX_BITS: u32 = 15;
    const INDEX_MASK: u32 = (1 << Self::INDEX_BITS) - 1;
    const CONSULT: u32 = 1 << 31;

    /// A slot that nothing is moving in.
    pub const fn clean(current: BackendIndex) -> Self {
        Self(current.0 as u32)
    }

    /// A slot whose flows are on their way from `previous` to `current`; without a `previous`, one
    /// that only waits for its last pins to end.
    pub const fn in_transition(current: BackendIndex, previous: BackendIndex) -> Self {
        Self(current.0 as u32 | (previous.0 as u32) << Self::INDEX_BITS | Self::CONSULT)
    }

    /// The slot once its flows are to go to `current`.
    ///
    /// A clean slot remembers whom its flows belong to. In one that is in transition already, flows
    /// born since the change are pinned, and the older ones still belong to the same `previous`.
    #[must_use]
    pub const fn moved_to(self, current: BackendIndex) -> Self {
        if self.current().0 == current.0 {
            return self;
        }
        if self.previous().0 != 0 {
            return Self::in_transition(current, self.previous());
        }
        Self::in_transition(current, self.current())
    }

    /// The slot once no flow can be older than its change any more.
    #[must_use]
    pub const fn without_previous(self) -> Self {
        Self(self.0 & !(Self::INDEX_MASK << Self::INDEX_BITS))
    }

    /// The word itself.
    #[inline]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The slot of a word that was one.
    #[inline]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// Backend of new flows.
    #[inline]
    pub const fn current(self) -> BackendIndex {
        BackendIndex((self.0 & Self::INDEX_MASK) as u16)
    }

    /// Backend of the flows that are older than the last change; index 0 if there is none.
    #[inline]
    pub const fn previous(self) -> BackendIndex {
        BackendIndex(((self.0 >> Self::INDEX_BITS) & Self::INDEX_MASK) as u16)
    }

    /// Whether the flow table must be asked before `current` may be used.
    #[inline]
    pub const fn consult(self) -> bool {
        self.0 & Self::CONSULT != 0
    }
}

/// Place of a backend in the backend map, 1..=[`BackendIndex::MAX`]; 0 means "none".
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
#[repr(transparent)]
pub struct BackendIndex(u16);

impl BackendIndex {
    /// No backend.
    pub const NONE: Self = Self(0);
    /// The largest index a slot can hold.
    pub const MAX: u16 = (1 << Slot::INDEX_BITS) - 1;

    /// Index `value`, if it names a backend that a slot can hold.
    pub const fn new(value: u16) -> Option<Self> {
        if value == 0 || value > Self::MAX { None } else { Some(Self(value)) }
    }

    /// The index in the low 15 bits of `word`.
    #[inline]
    pub(super) const fn masked(word: u16) -> Self {
        Self(word & Self::MAX)
    }

    /// The number itself.
    #[inline]
    pub const fn value(self) -> u16 {
        self.0
    }
}
