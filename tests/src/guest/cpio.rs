//! An initramfs: a cpio archive in the "newc" form
//! (Documentation/driver-api/early-userspace/buffer-format.rst of the kernel).
//!
//! Written here and not by cpio(1), because everything in it belongs to root whoever runs the
//! tests, and its directories are made on the way.

use std::collections::BTreeSet;
use std::io::{self, Write};

/// Type bits of `st_mode`.
const DIRECTORY: u32 = 0o040_000;
/// Type bits of `st_mode`.
const FILE: u32 = 0o100_000;
/// Name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";
/// Header and name together, and content, are padded to a multiple of this.
const ALIGNMENT: usize = 4;

/// Writes an archive. Paths are absolute, and the directories above them come by themselves.
pub(super) struct Archive<W> {
    out: W,
    written: BTreeSet<String>,
}

impl<W: Write> Archive<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, written: BTreeSet::new() }
    }

    /// Adds a directory, unless it is there.
    pub(super) fn directory(&mut self, path: &str) -> io::Result<()> {
        if path.is_empty() || self.written.contains(path) {
            return Ok(());
        }
        self.parent_of(path)?;
        self.entry(path, DIRECTORY | 0o755, &[])
    }

    /// Adds an executable file; the first of a path stays.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        if self.contains(path) {
            return Ok(());
        }
        self.parent_of(path)?;
        self.entry(path, FILE | 0o755, content)
    }

    /// True if this path was added.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.written.contains(path)
    }

    /// Ends the archive and gives back what it was written to.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry(TRAILER, 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parent_of(&mut self, path: &str) -> io::Result<()> {
        path.rsplit_once('/').map_or(Ok(()), |(parent, _)| self.directory(parent))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        self.written.insert(path.to_owned());
        let name = path.trim_start_matches('/');
        let number = u32::try_from(self.written.len()).map_err(io::Error::other)?;
        let bytes = u32::try_from(content.len()).map_err(io::Error::other)?;
        let name_bytes = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
        let links = 1;
        let header = [number, mode, 0, 0, links, 0, bytes, 0, 0, 0, 0, name_bytes, 0];
        let mut head = b"070701".to_vec();
        for field in header {
            write!(head, "{field:08x}")?;
        }
        head.extend(name.bytes().chain([0]));
        self.padded(&head)?;
        self.padded(content)
    }

    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        let padding = bytes.len().next_multiple_of(ALIGNMENT) - bytes.len();
        self.out.write_all(&vec![0; padding])
    }
}

#[cfg(test)]
mod tests;
