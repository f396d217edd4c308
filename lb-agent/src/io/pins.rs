//! The pin directory: maps and links that outlive the agent.
//!
//! ```text
//! PIN_DIR/v3/maps/SERVICES ...  one file per map
//! PIN_DIR/v3/links/native-7 ... one file per interface: mode, dash, kernel index
//! ```
//! The index, not the name: a bpffs refuses dots in names, and an interface may be renamed.
//! Nothing else may be in the directory, so that it is never somebody else's that is removed.
//!
//! The directory carries the layout version. Whoever holds the lock on `PIN_DIR` is the one agent
//! that may write to these maps. Nothing is adopted before type, sizes and flags of every pinned
//! map have been compared: a program that reads a map of another layout corrupts traffic.

mod error;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aya::maps::{MapInfo, MapType};
use lb_common::abi::LAYOUT_VERSION;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tracing::warn;

use super::sys;

pub use error::PinError;

/// What a pinned map must be like.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct MapShape {
    /// Name of the map.
    pub name: &'static str,
    /// `BPF_MAP_TYPE_*`.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_bytes: usize,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Number of elements.
    pub max_entries: u32,
    /// `BPF_F_*`.
    pub flags: u32,
}

/// The locked pin directory of a running agent.
#[derive(Debug)]
pub struct Pins {
    root: PathBuf,
    lock: Arc<Flock<fs::File>>,
    /// What was there before this process opened it.
    before: BTreeSet<PathBuf>,
}

impl Pins {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// It is not on a bpffs, another agent holds it, it has pins of another layout, or it is
    /// somebody else's.
    pub fn open(root: &Path) -> Result<Self, PinError> {
        require_bpffs(root)?;
        let existed = root.exists();
        fs::create_dir_all(root).map_err(|source| io_error("create", root, source))?;
        let lock = lock(root)?;
        let mut before = BTreeSet::from_iter(contents(root)?);
        if existed {
            before.insert(root.to_owned());
        }
        let pins = Self { root: root.to_owned(), lock, before };
        let ours = format!("v{LAYOUT_VERSION}");
        if let Some(found) = versions(root)?.into_iter().find(|version| *version != ours) {
            return Err(PinError::OtherLayout { dir: root.to_owned(), found });
        }
        for dir in [pins.maps_dir(), pins.links_dir()] {
            fs::create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        }
        Ok(pins)
    }

    /// A guard that removes whatever this process adds, unless it is told to keep it.
    pub fn undo_unless_kept(&self) -> NewPins {
        let (root, before) = (self.root.clone(), self.before.clone());
        NewPins { root, before, _lock: Arc::clone(&self.lock), keep: false }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps_dir().join(name)
    }

    /// Where the link of an interface is pinned.
    pub fn link(&self, ifindex: u32, generic: bool) -> PathBuf {
        self.links_dir().join(format!("{}-{ifindex}", mode_name(generic)))
    }

    /// The pinned links: whether generic, path. Whose interface it is, the kernel says.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn links(&self) -> Result<Vec<(bool, PathBuf)>, PinError> {
        let native = format!("{}-", mode_name(false));
        let link = |path: PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            (!name.starts_with(&native), path)
        };
        Ok(entries(&self.links_dir())?.into_iter().map(link).collect())
    }

    /// Compares every pinned map with the shape it should have; true if any was there.
    ///
    /// # Errors
    /// A map differs, or cannot be inspected. Nothing has been changed then.
    pub fn check(&self, shapes: &[MapShape]) -> Result<bool, PinError> {
        let mut any = false;
        for shape in shapes {
            let path = self.map(shape.name);
            if !path.exists() {
                continue;
            }
            any = true;
            let info = MapInfo::from_pin(&path)
                .map_err(|source| PinError::Inspect { map: shape.name.to_owned(), source })?;
            check_map(&info, shape)?;
        }
        Ok(any)
    }

    /// Makes sure that each of these maps is pinned: a program that is loaded now runs on the maps
    /// that it finds, and makes anew what it does not find.
    ///
    /// # Errors
    /// Some are missing.
    pub fn require(&self, shapes: &[MapShape]) -> Result<(), PinError> {
        let names = shapes.iter().map(|shape| shape.name);
        let missing: Vec<_> = names.filter(|name| !self.map(name).exists()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(PinError::Missing { maps: missing.join(", "), dir: self.root.clone() })
    }

    /// Unpins everything: links first, so that no program runs on maps that are going. A mount
    /// point stays.
    ///
    /// # Errors
    /// Something in the directory is no agent's (nothing has been removed then), or a file or
    /// directory cannot be removed.
    pub fn remove_all(self) -> Result<(), PinError> {
        versions(&self.root)?;
        for path in contents(&self.root)? {
            remove(&path).map_err(|source| io_error("remove", &path, source))?;
        }
        match fs::remove_dir(&self.root) {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => Ok(()),
            other => other.map_err(|source| io_error("remove", &self.root, source)),
        }
    }

    /// Locks a directory for removal; `None` if it does not exist. Any layout will do.
    ///
    /// # Errors
    /// It is not on a bpffs, or an agent holds it.
    pub fn open_for_removal(root: &Path) -> Result<Option<Self>, PinError> {
        if !root.exists() {
            return Ok(None);
        }
        require_bpffs(root)?;
        Ok(Some(Self { root: root.to_owned(), lock: lock(root)?, before: BTreeSet::new() }))
    }

    fn version_dir(&self) -> PathBuf {
        self.root.join(format!("v{LAYOUT_VERSION}"))
    }

    fn maps_dir(&self) -> PathBuf {
        self.version_dir().join("maps")
    }

    fn links_dir(&self) -> PathBuf {
        self.version_dir().join("links")
    }
}

/// Removes what a process has pinned when dropped, as it is when that process cannot start.
#[derive(Debug)]
pub struct NewPins {
    root: PathBuf,
    before: BTreeSet<PathBuf>,
    /// Held until the removal is done.
    _lock: Arc<Flock<fs::File>>,
    keep: bool,
}

impl NewPins {
    /// The process has started: nothing is removed.
    pub fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for NewPins {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let mut paths = contents(&self.root).unwrap_or_default();
        paths.push(self.root.clone());
        for path in paths.into_iter().filter(|path| !self.before.contains(path)) {
            if let Err(error) = remove(&path) {
                warn!(%error, path = %path.display(), "cannot remove what was new");
            }
        }
    }
}

/// `native` or `generic`.
pub const fn mode_name(generic: bool) -> &'static str {
    if generic { "generic" } else { "native" }
}

fn require_bpffs(root: &Path) -> Result<(), PinError> {
    let existing = root.ancestors().find(|dir| dir.exists()).unwrap_or(root);
    let on_bpffs = sys::is_bpffs(existing).map_err(|source| io_error("read", existing, source))?;
    on_bpffs.then_some(()).ok_or_else(|| PinError::NotBpffs { dir: existing.to_owned() })
}

fn lock(root: &Path) -> Result<Arc<Flock<fs::File>>, PinError> {
    let dir = fs::File::open(root).map_err(|source| io_error("open", root, source))?;
    let lock =
        Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => PinError::Locked { dir: root.to_owned() },
            other => io_error("lock", root, other.into()),
        })?;
    Ok(Arc::new(lock))
}

/// Names of the layouts in a pin directory, once it is certain that nothing else is in it.
fn versions(root: &Path) -> Result<Vec<String>, PinError> {
    let mut versions = Vec::new();
    for version in entries(root)? {
        let name = name_of(&version);
        let digits = name.strip_prefix('v').unwrap_or_default();
        let layout = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        refuse_unless(layout && is_dir(&version), root, &version)?;
        versions.push(name);
        for part in entries(&version)? {
            let known = matches!(name_of(&part).as_str(), "maps" | "links");
            refuse_unless(known && is_dir(&part), root, &part)?;
            for pin in entries(&part)? {
                refuse_unless(!is_dir(&pin), root, &pin)?;
            }
        }
    }
    Ok(versions)
}

fn refuse_unless(ours: bool, dir: &Path, found: &Path) -> Result<(), PinError> {
    let refusal = || PinError::NotOurs { dir: dir.to_owned(), found: found.to_owned() };
    ours.then_some(()).ok_or_else(refusal)
}

/// Everything below a directory, contents before what holds them, links before maps.
fn contents(dir: &Path) -> Result<Vec<PathBuf>, PinError> {
    let mut paths = Vec::new();
    for path in entries(dir)? {
        if is_dir(&path) {
            paths.extend(contents(&path)?);
        }
        paths.push(path);
    }
    Ok(paths)
}

/// What is in a directory, sorted.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, PinError> {
    let failed = |source| io_error("read", dir, source);
    let read = fs::read_dir(dir).map_err(failed)?;
    let paths: io::Result<BTreeSet<_>> = read.map(|entry| Ok(entry?.path())).collect();
    Ok(paths.map_err(failed)?.into_iter().collect())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A directory itself, not a symbolic link to one.
fn is_dir(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

fn remove(path: &Path) -> io::Result<()> {
    if is_dir(path) { fs::remove_dir(path) } else { fs::remove_file(path) }
}

fn check_map(info: &MapInfo, shape: &MapShape) -> Result<(), PinError> {
    let map_type = info
        .map_type()
        .map_err(|source| PinError::Inspect { map: shape.name.to_owned(), source })?;
    let properties = [
        ("type", map_type as u64, shape.map_type as u64),
        ("key size", u64::from(info.key_size()), shape.key_bytes as u64),
        ("value size", u64::from(info.value_size()), shape.value_bytes as u64),
        ("size", u64::from(info.max_entries()), u64::from(shape.max_entries)),
        ("flags", u64::from(info.map_flags()), u64::from(shape.flags)),
    ];
    match properties.into_iter().find(|(_, found, wanted)| found != wanted) {
        Some((what, found, wanted)) => {
            Err(PinError::Mismatch { map: shape.name.to_owned(), what, found, wanted })
        }
        None => Ok(()),
    }
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> PinError {
    PinError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
