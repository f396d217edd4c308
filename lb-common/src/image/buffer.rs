//! Frames on the host.

use std::vec;
use std::vec::Vec;

use crate::frame::{Frame, Header};

/// A frame in memory with room in front, as a driver would hand it over.
#[derive(Clone, Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    front: usize,
}

impl Buffer {
    /// What room gained at the front is filled with: whatever the pipeline does not overwrite
    /// shows in a test.
    pub(super) const POISON: u8 = 0xa5;

    /// A copy of `frame` with `headroom` bytes before it.
    pub fn new(frame: &[u8], headroom: usize) -> Self {
        let mut bytes = vec![Self::POISON; headroom];
        bytes.extend_from_slice(frame);
        Self { bytes, front: headroom }
    }

    /// The frame as it stands.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.front..).unwrap_or_default()
    }
}

impl Frame for Buffer {
    fn len(&self) -> usize {
        self.bytes.len() - self.front
    }

    fn header<T: Header>(&self, at: usize) -> Option<&T> {
        let bytes = self.bytes.get(self.front.checked_add(at)?..)?;
        T::ref_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    fn header_mut<T: Header>(&mut self, at: usize) -> Option<&mut T> {
        let bytes = self.bytes.get_mut(self.front.checked_add(at)?..)?;
        T::mut_from_prefix(bytes).ok().map(|(header, _)| header)
    }

    fn push_front(&mut self, bytes: usize) -> Option<()> {
        self.front = self.front.checked_sub(bytes)?;
        Some(())
    }

    fn pull_front(&mut self, bytes: usize) -> Option<()> {
        if bytes > self.len() {
            return None;
        }
        self.front += bytes;
        Some(())
    }

    fn truncate(&mut self, bytes: usize) -> Option<()> {
        if bytes > self.len() {
            return None;
        }
        self.bytes.truncate(self.front + bytes);
        Some(())
    }
}
