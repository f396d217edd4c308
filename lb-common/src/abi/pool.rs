//! Pools: where their tables lie, and who takes a new flow.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Slot;

/// One pool.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct PoolEntry {
    /// The table in use; see [`TableRef`]. One word, so that a switch is atomic for readers.
    pub table: TableRef,
    /// The backends in the order in which [`Scheduler::Rotation`] takes them, with repetitions;
    /// laid out like a table.
    pub rotation: TableRef,
    /// Who takes a new flow: a [`Scheduler`].
    pub scheduler: u8,
    /// For each QUIC-LB configuration that a connection id can name, the bytes of its server ids;
    /// 0 if the pool does not use it.
    pub quic_server_id_bytes: [u8; PoolEntry::QUIC_CONFIGS],
    /// Stable hash of the pool's name; 0 marks a free entry.
    pub name_hash: u64,
}

impl PoolEntry {
    /// QUIC-LB configurations: the eighth code stands for none (draft-ietf-quic-load-balancers §3).
    pub const QUIC_CONFIGS: usize = 7;
}

/// Who takes a new flow: values of [`PoolEntry::scheduler`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Scheduler {
    /// The slot of the flow's hash.
    Maglev = 0,
    /// The slot of the client address's hash.
    SourceHash = 1,
    /// The next in the pool's rotation.
    Rotation = 2,
    /// A slot by chance.
    Random = 3,
    /// Of two slots by chance, the backend with fewer flows for its weight.
    LeastConnections = 4,
}

impl Scheduler {
    /// The scheduler that a pool's entry names; what it cannot name counts as [`Self::Maglev`].
    #[inline]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::SourceHash,
            2 => Self::Rotation,
            3 => Self::Random,
            4 => Self::LeastConnections,
            _ => Self::Maglev,
        }
    }

    /// Its value in a pool's entry.
    #[inline]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Whether a flow's hash alone does not say where it belongs, so that every flow is pinned.
    #[inline]
    pub const fn pins_every_flow(self) -> bool {
        match self {
            Self::Maglev | Self::SourceHash => false,
            Self::Rotation | Self::Random | Self::LeastConnections => true,
        }
    }
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

/// Key of the QUIC servers.
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
pub struct QuicKey {
    /// The server id, zero-filled to 16 bytes, read as native words.
    pub server_id: [u64; 2],
    /// Bits 0..32 the pool's index, 32..40 the QUIC-LB configuration, the rest zero.
    pub selector: u64,
}

impl QuicKey {
    /// Key of a server id, zero-filled, in a pool under a configuration below
    /// [`PoolEntry::QUIC_CONFIGS`].
    #[inline]
    pub const fn new(pool: u32, config: u8, server_id: [u64; 2]) -> Self {
        Self { server_id, selector: pool as u64 | (config as u64) << 32 }
    }

    /// The pool's index.
    #[expect(clippy::cast_possible_truncation, reason = "the low half is the pool's index")]
    pub const fn pool(&self) -> u32 {
        self.selector as u32
    }

    /// The QUIC-LB configuration.
    #[expect(clippy::cast_possible_truncation, reason = "8 bits, and nothing above them")]
    pub const fn config(&self) -> u8 {
        (self.selector >> 32) as u8
    }
}
