//! The pin directory: maps and links that outlive the agent.
//!
//! ```text
//! PIN_DIR/v1/maps/SERVICES ...      one file per map
//! PIN_DIR/v1/links/native-eth0 ...  one file per interface: mode, dash, name
//! ```
//! The directory carries the layout version. Whoever holds the lock on `PIN_DIR` is the one agent
//! that may write to these maps. Nothing is adopted before type, sizes and flags of every pinned
//! map have been compared: a program that reads a map of another layout corrupts traffic.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{MapInfo, MapType};
use lb_common::abi::LAYOUT_VERSION;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

use super::sys;

/// Why the pin directory cannot be used.
#[derive(Debug, Error)]
pub enum PinError {
    /// The directory is not on a BPF file system.
    #[error("{dir} is not on a BPF file system, so nothing can be pinned there", dir = .dir.display())]
    NotBpffs {
        /// The directory, or the nearest one above it that exists.
        dir: PathBuf,
    },
    /// Another agent holds the lock.
    #[error("another agent is running on the pins in {dir}", dir = .dir.display())]
    Locked {
        /// The pin directory.
        dir: PathBuf,
    },
    /// There are pins of another layout.
    #[error("{dir} holds pins of layout {found}, and this agent speaks layout v{LAYOUT_VERSION}", dir = .dir.display())]
    OtherLayout {
        /// The pin directory.
        dir: PathBuf,
        /// Name of the directory that was found.
        found: String,
    },
    /// A pinned map is not what this agent would make.
    #[error("pinned map {map} has {what} {found}, and this agent needs {wanted}")]
    Mismatch {
        /// Name of the map.
        map: String,
        /// Which property differs.
        what: &'static str,
        /// What it is.
        found: u64,
        /// What it should be.
        wanted: u64,
    },
    /// A pinned map could not be inspected.
    #[error("cannot inspect pinned map {map}")]
    Inspect {
        /// Name of the map.
        map: String,
        /// Why.
        #[source]
        source: aya::maps::MapError,
    },
    /// A file operation failed.
    #[error("cannot {operation} {path}", path = .path.display())]
    Io {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl PinError {
    /// What the operator can do.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::NotBpffs { .. } => {
                "mount -t bpf bpf /sys/fs/bpf, or name a directory on a bpffs with --pin-dir"
            }
            Self::Locked { .. } => "stop the other agent, or give this one its own --pin-dir",
            Self::OtherLayout { .. } => {
                "start the agent version that made them, or remove them with `lb-agent detach`: \
                 that stops forwarding until this agent has started"
            }
            Self::Mismatch { .. } => {
                "set the limits back to what they were, or remove the pins with `lb-agent detach`: \
                 that stops forwarding until this agent has started"
            }
            Self::Inspect { .. } | Self::Io { .. } => "see the cause above",
        }
    }
}

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
    _lock: Flock<fs::File>,
}

impl Pins {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// It is not on a bpffs, another agent holds it, or it has pins of another layout.
    pub fn open(root: &Path) -> Result<Self, PinError> {
        let existing = root.ancestors().find(|dir| dir.exists()).unwrap_or(root);
        if !sys::is_bpffs(existing).map_err(|source| io_error("read", existing, source))? {
            return Err(PinError::NotBpffs { dir: existing.to_owned() });
        }
        fs::create_dir_all(root).map_err(|source| io_error("create", root, source))?;
        let lock = lock(root)?;
        let pins = Self { root: root.to_owned(), _lock: lock };
        pins.refuse_other_layouts()?;
        for dir in [pins.maps_dir(), pins.links_dir()] {
            fs::create_dir_all(&dir).map_err(|source| io_error("create", &dir, source))?;
        }
        Ok(pins)
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
    pub fn link(&self, interface: &str, generic: bool) -> PathBuf {
        self.links_dir().join(format!("{}-{interface}", mode_name(generic)))
    }

    /// The pinned links: interface, whether generic, path.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn links(&self) -> Result<Vec<(String, bool, PathBuf)>, PinError> {
        let dir = self.links_dir();
        let mut links = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|source| io_error("read", &dir, source))? {
            let entry = entry.map_err(|source| io_error("read", &dir, source))?;
            let file_name = entry.file_name().to_string_lossy().into_owned();
            if let Some((mode, interface)) = file_name.split_once('-') {
                links.push((interface.to_owned(), mode == mode_name(true), entry.path()));
            }
        }
        Ok(links)
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

    /// Unpins everything: links first, so that no program runs on maps that are going.
    ///
    /// # Errors
    /// A file or directory cannot be removed.
    pub fn remove_all(self) -> Result<(), PinError> {
        for version in versions(&self.root)? {
            let dir = self.root.join(version);
            for part in ["links", "maps"] {
                remove_dir(&dir.join(part))?;
            }
            remove_dir(&dir)?;
        }
        fs::remove_dir(&self.root).map_err(|source| io_error("remove", &self.root, source))
    }

    /// Locks a directory for removal; `None` if it does not exist. Any layout will do.
    ///
    /// # Errors
    /// An agent holds it.
    pub fn open_for_removal(root: &Path) -> Result<Option<Self>, PinError> {
        if !root.exists() {
            return Ok(None);
        }
        Ok(Some(Self { root: root.to_owned(), _lock: lock(root)? }))
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

    fn refuse_other_layouts(&self) -> Result<(), PinError> {
        let ours = format!("v{LAYOUT_VERSION}");
        match versions(&self.root)?.into_iter().find(|version| *version != ours) {
            Some(found) => Err(PinError::OtherLayout { dir: self.root.clone(), found }),
            None => Ok(()),
        }
    }
}

/// `native` or `generic`.
pub const fn mode_name(generic: bool) -> &'static str {
    if generic { "generic" } else { "native" }
}

fn lock(root: &Path) -> Result<Flock<fs::File>, PinError> {
    let dir = fs::File::open(root).map_err(|source| io_error("open", root, source))?;
    Flock::lock(dir, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        Errno::EWOULDBLOCK => PinError::Locked { dir: root.to_owned() },
        other => io_error("lock", root, other.into()),
    })
}

/// The directories in a pin directory.
fn versions(root: &Path) -> Result<Vec<String>, PinError> {
    let entries = fs::read_dir(root).map_err(|source| io_error("read", root, source))?;
    entries
        .map(|entry| {
            let entry = entry.map_err(|source| io_error("read", root, source))?;
            Ok(entry.file_name().to_string_lossy().into_owned())
        })
        .collect()
}

/// Removes a directory and the files in it.
fn remove_dir(dir: &Path) -> Result<(), PinError> {
    if !dir.exists() {
        return Ok(());
    }
    for name in versions(dir)? {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(|source| io_error("remove", &path, source))?;
    }
    fs::remove_dir(dir).map_err(|source| io_error("remove", dir, source))
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
