//! An invalid configuration as a problem document.
//!
//! Callers: the agent, for what clients send; `lb-ctl`, for what it checks itself. Both say the
//! same of the same file.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{Problem, ProblemItem};
use crate::config::{self, ConfigError};

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        let ConfigError { origin, problems } = error;
        let item = |problem: config::Problem| ProblemItem {
            file: origin.clone(),
            line: problem.line,
            column: problem.column,
            path: problem.path,
            message: problem.message,
        };
        Self {
            kind: String::from("invalid_config"),
            title: format!("{origin} is not valid"),
            status: 422,
            detail: None,
            did_you_mean: Vec::new(),
            errors: problems.into_iter().map(item).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
