//! Step 1b: over IPv6's extension headers, to the ports or whatever follows.

use super::Part;
use crate::frame::Frame;
use crate::wire::ipv6::{self, Extension, FragmentHeader};
use crate::wire::protocol;

/// Most extension headers that are followed before the ports.
///
/// RFC 8200 §4.1 names six kinds, of which one may come twice; fewer bounds the verifier's work.
const MAX_EXTENSIONS: usize = 6;

/// Where a chain of extension headers leads, in one word, so that a function can return it.
///
/// ```text
///  63 .. 32                22, 23    21 .. 8           7 .. 0
/// +------------------+---+---------+-----------------+----------+
/// | datagram         | 0 | outcome | transport at    | protocol |
/// +------------------+---+---------+-----------------+----------+
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Walked(u64);

impl Walked {
    const AT_SHIFT: u32 = 8;
    /// Farther from the front nothing is followed.
    const AT_MASK: u64 = (1 << 14) - 1;
    const OUTCOME_SHIFT: u32 = 22;
    const OUTCOME_MASK: u64 = 3;
    const FIRST: u64 = 1;
    const LATER: u64 = 2;
    const MALFORMED: u64 = 3;
    const DATAGRAM_SHIFT: u32 = 32;

    /// A chain that is cut short, or leads too far.
    const NOWHERE: Self = Self(Self::MALFORMED << Self::OUTCOME_SHIFT);

    #[inline(always)]
    const fn new(kind: u8, at: usize, outcome: u64, datagram_id: u32) -> Self {
        if at as u64 > Self::AT_MASK {
            return Self::NOWHERE;
        }
        Self(
            kind as u64
                | (at as u64) << Self::AT_SHIFT
                | outcome << Self::OUTCOME_SHIFT
                | (datagram_id as u64) << Self::DATAGRAM_SHIFT,
        )
    }

    /// The word itself.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// What a word that was one says.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// Whether the chain is cut short or leads too far: nothing else is said then.
    #[inline(always)]
    pub(super) const fn is_nowhere(self) -> bool {
        self.outcome() == Self::MALFORMED
    }

    /// The protocol behind the chain.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the field is the lowest byte")]
    pub(super) const fn protocol(self) -> u8 {
        self.0 as u8
    }

    /// Where it begins, from the front of the frame.
    #[inline(always)]
    pub(super) const fn transport_at(self) -> usize {
        (self.0 >> Self::AT_SHIFT & Self::AT_MASK) as usize
    }

    /// The part of a datagram that the packet is.
    #[inline(always)]
    pub(super) const fn part(self) -> Part {
        match self.outcome() {
            Self::FIRST => Part::FirstFragment,
            Self::LATER => Part::LaterFragment,
            _ => Part::Whole,
        }
    }

    /// Identification of that datagram.
    #[inline(always)]
    pub(super) const fn datagram_id(self) -> u32 {
        (self.0 >> Self::DATAGRAM_SHIFT) as u32
    }

    #[inline(always)]
    const fn outcome(self) -> u64 {
        self.0 >> Self::OUTCOME_SHIFT & Self::OUTCOME_MASK
    }
}

/// Follows the extension headers from the one of kind `first` that begins at `at`.
#[inline(always)]
pub fn walk_extensions<F: Frame>(frame: &F, first: u8, at: usize) -> Walked {
    let (mut kind, mut at) = (first, at);
    let (mut outcome, mut datagram_id) = (0, 0);
    if at as u64 > Walked::AT_MASK {
        return Walked::NOWHERE;
    }
    // The bound is hidden from the compiler, which would write the loop out.
    for _ in 0..core::hint::black_box(MAX_EXTENSIONS) {
        if kind == protocol::FRAGMENT {
            let Some(header) = frame.header::<FragmentHeader>(at) else { return Walked::NOWHERE };
            let id = header.identification.get();
            kind = header.next_header;
            at += size_of::<FragmentHeader>();
            if header.is_later_fragment() {
                return Walked::new(kind, at, Walked::LATER, id);
            }
            // An only fragment is the whole datagram (RFC 6946), and needs no other to be known.
            if header.has_more() {
                (outcome, datagram_id) = (Walked::FIRST, id);
            }
            continue;
        }
        if !ipv6::is_extension(kind) {
            break;
        }
        let Some(header) = frame.header::<Extension>(at) else { return Walked::NOWHERE };
        let Some(bytes) = header.bytes(kind) else { return Walked::NOWHERE };
        at += bytes;
        kind = header.next_header;
    }
    Walked::new(kind, at, outcome, datagram_id)
}
