//! What agent and lb-probe say to each other: the mark of a probe's packets, and what became of them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::BackendIndex;

/// Mark of the packets of a health check that goes through the tunnel (`SO_MARK`).
///
/// ```text
///  31 .. 16         15         14 .. 0
/// +----------------+----------+----------------+
/// | 0x4c42, "LB"   | 0        | backend index  |
/// +----------------+----------+----------------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeMark(u32);

impl ProbeMark {
    /// What all such marks have in common.
    pub const BASE: u32 = 0x4c42_0000;
    /// The bits in which they have it.
    pub const MASK: u32 = !(BackendIndex::MAX as u32);

    /// The mark of probes of this backend.
    pub const fn of(backend: BackendIndex) -> Self {
        Self(Self::BASE | backend.value() as u32)
    }

    /// Whether packets with this mark are lb-probe's business.
    #[inline]
    pub const fn is_one(mark: u32) -> bool {
        mark & Self::MASK == Self::BASE
    }

    /// The backend that such a mark names; [`BackendIndex::NONE`] if it names none.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the index")]
    pub const fn backend(mark: u32) -> BackendIndex {
        BackendIndex::masked(mark as u16)
    }

    /// The word itself.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// What became of the probes' packets for one backend, since the program was loaded.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ProbeCount {
    /// Packets sent to it, wrapped.
    pub wrapped: u64,
    /// Packets dropped.
    pub refused: u64,
    /// Why the last of them was: the index of a [`crate::verdict::Reason`].
    pub last_reason: u64,
}

impl ProbeCount {
    /// Words that it takes.
    pub const WORDS: usize = size_of::<Self>() / size_of::<u64>();
}
