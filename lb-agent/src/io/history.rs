//! Configurations that were in force, to look at and to go back to.
//!
//! One file each in `STATE_DIR/history`, by generation, the newest [`KEPT`]. Losing one loses no
//! traffic: what cannot be stored is said in the log, and the change stands.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::files::{self, FileError};

/// Configurations may have secrets in them: the hash seed, the environment of commands.
const DIRECTORY_MODE: u32 = 0o700;

/// How many are kept.
pub const KEPT: usize = 32;

/// A configuration that was put in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version {
    /// Generation that it began.
    pub generation: u64,
    /// When, RFC 3339.
    pub applied_at: String,
    /// `start`, `reload`, `apply` or `import`.
    pub source: String,
    /// How many objects it changed.
    pub changes: usize,
    /// The whole file.
    pub text: String,
}

/// The history could not be kept or read.
#[derive(Debug, Error)]
pub enum HistoryError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is not what this agent wrote.
    #[error("{path} is not a configuration of this agent's history", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The directory.
#[derive(Debug)]
pub struct History {
    dir: PathBuf,
}

impl History {
    /// That of a state directory; made when the first version is kept.
    pub fn of(state_dir: &Path) -> Self {
        Self { dir: state_dir.join("history") }
    }

    /// Keeps a version, and forgets the oldest if there are too many.
    ///
    /// # Errors
    /// It cannot be written, or an old one not removed.
    pub fn keep(&self, version: &Version) -> Result<(), HistoryError> {
        let failed = |operation, path: &Path| {
            let path = path.to_owned();
            move |source| FileError { operation, path, source }
        };
        let mut made = fs::DirBuilder::new();
        made.recursive(true).mode(DIRECTORY_MODE);
        made.create(&self.dir).map_err(failed("create", &self.dir))?;
        let path = self.path(version.generation);
        let text = serde_json::to_string_pretty(version)
            .map_err(|source| HistoryError::Malformed { path: path.clone(), source })?;
        files::replace(&path, &text)?;
        let generations = self.generations()?;
        for old in generations.iter().rev().skip(KEPT) {
            let path = self.path(*old);
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok(())
    }

    /// The generations that are kept, the oldest first. Files of other names are nobody's here.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn generations(&self) -> Result<Vec<u64>, HistoryError> {
        let failed = |source| FileError { operation: "read", path: self.dir.clone(), source };
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut generations = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let generation = name.to_str().and_then(|name| name.strip_suffix(".json"));
            generations.extend(generation.and_then(|generation| generation.parse::<u64>().ok()));
        }
        generations.sort_unstable();
        Ok(generations)
    }

    /// The last of them; 0 if there is none, or none that can be read.
    pub fn newest(&self) -> u64 {
        self.generations().ok().and_then(|all| all.last().copied()).unwrap_or(0)
    }

    /// One of them; `None` if it is not kept.
    ///
    /// # Errors
    /// The file cannot be read, or makes no sense.
    pub fn version(&self, generation: u64) -> Result<Option<Version>, HistoryError> {
        let path = self.path(generation);
        let text = match files::read(&path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let version = serde_json::from_str(&text);
        version.map(Some).map_err(|source| HistoryError::Malformed { path, source })
    }

    fn path(&self, generation: u64) -> PathBuf {
        self.dir.join(format!("{generation}.json"))
    }
}

#[cfg(test)]
mod tests;
