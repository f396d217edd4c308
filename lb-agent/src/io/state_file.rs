//! What the agent must remember over a restart and the maps do not hold: overrides and generation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
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
}

/// The state could not be kept.
#[derive(Debug, Error)]
pub enum StateError {
    /// The file or its directory.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text is not what this agent wrote.
    #[error("{path} is not a state file of this agent", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

/// The state file of a state directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateFile(PathBuf);

impl StateFile {
    /// The file in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(dir: &Path) -> Result<Self, StateError> {
        fs::create_dir_all(dir).map_err(|source| FileError {
            operation: "create",
            path: dir.to_owned(),
            source,
        })?;
        Ok(Self(dir.join("state.json")))
    }

    /// The stored state; the default if none was ever stored.
    ///
    /// # Errors
    /// The file cannot be read, or makes no sense. It is not guessed at: overrides may hold a
    /// server out of service for a reason.
    pub fn load(&self) -> Result<State, StateError> {
        let text = match files::read(&self.0) {
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                return Ok(State::default());
            }
            other => other?,
        };
        serde_json::from_str(&text)
            .map_err(|source| StateError::Malformed { path: self.0.clone(), source })
    }

    /// Stores the state, to survive a crash from here on.
    ///
    /// # Errors
    /// The file cannot be written; the stored state is then the old one.
    pub fn store(&self, state: &State) -> Result<(), StateError> {
        let text = serde_json::to_string_pretty(state)
            .map_err(|source| StateError::Malformed { path: self.0.clone(), source })?;
        Ok(files::replace(&self.0, &text)?)
    }
}

#[cfg(test)]
mod tests;
