//! The start of a QUIC packet, as far as its connection id (RFC 8999, the invariants of all
//! versions), and what QUIC-LB writes into one (draft-ietf-quic-load-balancers §3 and §5).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a packet with a long header up to its connection id's length, that byte included.
pub const LONG_PREFIX_BYTES: usize = size_of::<LongPrefix>();

/// The first byte.
///
/// ```text
/// +-+-------------+
/// |L|  version's  |   L = 1: long header, before the connection's keys are known
/// +-+-------------+
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct First(pub u8);

impl First {
    /// Whether a version and two connection ids with their lengths follow.
    #[inline]
    pub const fn is_long(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// A long header up to the destination connection id.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LongPrefix {
    /// See [`First`].
    pub first: u8,
    /// Version.
    pub version: [u8; 4],
    /// Bytes of the destination connection id.
    pub id_bytes: u8,
}

/// The first 16 bytes of a connection id.
///
/// ```text
/// +-----+---------+-------------------------+---------
/// |conf.| length  | server id (1..=15)      | nonce
/// +-----+---------+-------------------------+---------
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct ConnectionId(pub [u8; 16]);

impl ConnectionId {
    /// The configuration it was made by; 7 says that it names no server.
    #[inline]
    pub const fn config(&self) -> u8 {
        let [first, ..] = self.0;
        first >> 5
    }

    /// Its server id of `bytes` (1..=15), zero-filled, read as native words.
    #[inline]
    pub fn server_id(&self, bytes: u8) -> [u64; 2] {
        let words: [u64; 2] = zerocopy::transmute!(self.0);
        // The server id begins behind the first byte: everything moves one byte down.
        let [low, high] = words.map(u64::from_le);
        let shifted = [low >> 8 | high << 56, high >> 8];
        let bits = u32::from(bytes) * 8;
        let masks = if bits < 64 {
            [(1_u64 << bits) - 1, 0]
        } else {
            [u64::MAX, (1_u64 << (bits & 63)) - 1]
        };
        let [low, high] = [shifted[0] & masks[0], shifted[1] & masks[1]];
        [u64::to_le(low), u64::to_le(high)]
    }
}
