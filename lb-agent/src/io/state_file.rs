//! What the agent must remember over a restart and the maps do not hold: overrides and generation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lb_common::name_hash::{NAME_SEED, stable_hash};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::files::{self, FileError};
use crate::core::overrides::Overrides;

/// The contents of `state.json`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Number of accepted changes, over all runs.
    pub generation: u64,
    /// What operators changed by command.
    pub overrides: Overrides,
    /// Stable hash of the text of the running configuration: by it a start sees that the file
    /// changed while no agent ran. 0 if none was ever stored.
    #[serde(default)]
    pub configuration: u64,
}

/// Field of the file that is not the state's: [`stable_hash`] of the rest as JSON without white space,
/// in hexadecimal digits. An agent of before wrote none.
const CHECKSUM: &str = "checksum";

/// The state could not be kept.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file or its directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another agent keeps its state there.
    #[error("another agent keeps its state in {dir}", dir = .dir.display())]
    Locked {
        /// The state directory.
        dir: PathBuf,
    },
    /// The text is not what this agent wrote.
    #[error("{path} is not a state file of this agent", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The text is not as it was written.
    #[error("{path} is damaged: its checksum is another", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// The state file of a state directory, which belongs to this process as long as this lives.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    _lock: Flock<fs::File>,
}

impl StateFile {
    /// The file in `dir`, which is made if it is not there, and locked.
    ///
    /// # Errors
    /// The directory cannot be made, or another agent holds it.
    pub fn new(dir: &Path) -> Result<Self, StateError> {
        let failed =
            |operation| move |source| FileError { operation, path: dir.to_owned(), source };
        fs::create_dir_all(dir).map_err(failed("create"))?;
        let opened = fs::File::open(dir).map_err(failed("open"))?;
        let lock =
            Flock::lock(opened, FlockArg::LockExclusiveNonblock).map_err(
                |(_, errno)| match errno {
                    Errno::EWOULDBLOCK => StateError::Locked { dir: dir.to_owned() },
                    other => failed("lock")(other.into()).into(),
                },
            )?;
        Ok(Self { path: dir.join("state.json"), _lock: lock })
    }

    /// The stored state; the default if none was ever stored.
    ///
    /// # Errors
    /// The file cannot be read, or makes no sense. It is not guessed at: overrides may hold a
    /// server out of service for a reason.
    pub fn load(&self) -> Result<State, StateError> {
        let text = match files::read(&self.path) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                return Ok(State::default());
            }
            other => other?,
        };
        let malformed = |source| StateError::Malformed { path: self.path.clone(), source };
        let mut stored: Value = serde_json::from_str(&text).map_err(malformed)?;
        let checksum = stored.as_object_mut().and_then(|fields| fields.remove(CHECKSUM));
        let state = serde_json::from_value(stored).map_err(malformed)?;
        let expected = checksum_of(&state).map_err(malformed)?;
        if checksum.is_some_and(|checksum| checksum != expected) {
            return Err(StateError::Damaged { path: self.path.clone() });
        }
        Ok(state)
    }

    /// Stores the state, to survive a crash from here on.
    ///
    /// # Errors
    /// The file cannot be written; the stored state is then the old one.
    pub fn store(&self, state: &State) -> Result<(), StateError> {
        let malformed = |source| StateError::Malformed { path: self.path.clone(), source };
        let mut stored = serde_json::to_value(state).map_err(malformed)?;
        if let Some(fields) = stored.as_object_mut() {
            fields.insert(CHECKSUM.to_owned(), checksum_of(state).map_err(malformed)?.into());
        }
        let text = serde_json::to_string_pretty(&stored).map_err(malformed)?;
        Ok(files::replace(&self.path, &text)?)
    }
}

fn checksum_of(state: &State) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(state)?;
    Ok(format!("{:016x}", stable_hash(NAME_SEED, text.as_bytes())))
}

#[cfg(test)]
mod tests;
