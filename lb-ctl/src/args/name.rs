//! Names of services, pools and backends as they are typed.
//!
//! A name that got here is made of letters, digits, `.`, `_` and `-`, so it can stand in the path
//! of a request without escaping. Whether it exists is for the agent to say.

use std::fmt;
use std::str::FromStr;

use lb_common::config::{NAME_MAX_BYTES, is_name};
use thiserror::Error;

/// Why a name cannot be one.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub(crate) enum NameError {
    /// Empty, too long, or with other characters.
    #[error("names have 1 to {NAME_MAX_BYTES} letters, digits, '.', '_' or '-'")]
    Spelling,
    /// A backend without its pool, or with too many parts.
    #[error("a backend is named POOL/NAME, as in `lb-ctl backend list -o name`")]
    NotABackend,
}

/// Name of a service or pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ObjectName(String);

impl FromStr for ObjectName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(NameError::Spelling) }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A backend: its pool and its name in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BackendRef {
    pool: ObjectName,
    name: ObjectName,
}

impl FromStr for BackendRef {
    type Err = NameError;

    /// Reads `POOL/NAME`, and `backend/POOL/NAME` as `-o name` prints it.
    fn from_str(text: &str) -> Result<Self, NameError> {
        let text = match text.strip_prefix("backend/") {
            Some(rest) if rest.contains('/') => rest,
            _ => text,
        };
        match text.split_once('/') {
            Some((pool, name)) if !name.contains('/') => {
                Ok(Self { pool: pool.parse()?, name: name.parse()? })
            }
            _ => Err(NameError::NotABackend),
        }
    }
}

impl fmt::Display for BackendRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.name)
    }
}
