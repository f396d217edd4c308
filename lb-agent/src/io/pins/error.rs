//! Why pins cannot be used, and what the operator can do.

use std::io;
use std::path::PathBuf;

use lb_common::abi::LAYOUT_VERSION;
use thiserror::Error;

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
    /// Something in it was not made by an agent.
    #[error("{dir} is not a pin directory of lb-agent: it holds {found}", dir = .dir.display(), found = .found.display())]
    NotOurs {
        /// The directory.
        dir: PathBuf,
        /// What no agent put there.
        found: PathBuf,
    },
    /// There are pins of another layout.
    #[error("{dir} holds pins of layout {found}, and this agent speaks layout v{LAYOUT_VERSION}", dir = .dir.display())]
    OtherLayout {
        /// The pin directory.
        dir: PathBuf,
        /// Name of the directory that was found.
        found: String,
    },
    /// Maps that are in use are pinned no longer.
    #[error("{maps} not pinned in {dir}", dir = .dir.display())]
    Missing {
        /// Names of the maps.
        maps: String,
        /// The pin directory.
        dir: PathBuf,
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
            Self::NotOurs { .. } => {
                "check --pin-dir: it must be a directory that no other program uses"
            }
            Self::OtherLayout { .. } => {
                "start the agent version that made them, or remove them with `lb-agent detach`: \
                 that stops forwarding until this agent has started"
            }
            Self::Mismatch { .. } => {
                "set the limits back to what they were, or remove the pins with `lb-agent detach`: \
                 that stops forwarding until this agent has started"
            }
            Self::Missing { .. } => {
                "somebody removed them, and another program would start on empty maps; restart the \
                 agent at a quiet time to pin them again"
            }
            Self::Inspect { .. } | Self::Io { .. } => "see the cause above",
        }
    }
}
