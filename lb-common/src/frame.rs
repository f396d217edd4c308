//! A received frame, as the pipeline sees it: headers at offsets, and room at the front.
//!
//! Every access is checked here and nowhere else. A header is handed out by reference, so the
//! borrow checker proves what the kernel's verifier demands: no reference survives a move of the
//! frame's front.

use crate::datapath::{Walked, walk_extensions};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Plain bytes of a fixed size, at any alignment: what can lie in a packet.
pub trait Header: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned {}

impl<T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned> Header for T {}

/// A frame whose headers can be read and written, and whose front can be moved.
pub trait Frame {
    /// Bytes from the front to the end.
    fn len(&self) -> usize;

    /// The header `at` bytes from the front, if all of it is inside.
    fn header<T: Header>(&self, at: usize) -> Option<&T>;

    /// The header `at` bytes from the front, to write, if all of it is inside.
    fn header_mut<T: Header>(&mut self, at: usize) -> Option<&mut T>;

    /// Adds `bytes` of unspecified content at the front; `None`, and no change, without room.
    fn push_front(&mut self, bytes: usize) -> Option<()>;

    /// Takes `bytes` away at the front; `None`, and no change, if the frame is too short.
    fn pull_front(&mut self, bytes: usize) -> Option<()>;

    /// Takes away everything behind the first `bytes`; `None`, and no change, if there are fewer.
    fn truncate(&mut self, bytes: usize) -> Option<()>;

    /// Where the extension headers lead from the one of kind `first` that begins at `at`:
    /// [`walk_extensions`], unless an implementation has a better place to run it in.
    #[inline]
    fn walk_extensions(&self, first: u8, at: usize) -> Walked
    where
        Self: Sized,
    {
        walk_extensions(self, first, at)
    }

    /// Whether nothing is left.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
