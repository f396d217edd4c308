//! What is wrong with a configuration, and where: one line for each problem.
//!
//! Callers: `read` and `validate` collect [`Findings`]; the agent and `lb-ctl` show the
//! [`ConfigError`] that comes of them.

use std::fmt;
use std::string::{String, ToString};
use std::vec::Vec;

use super::position::{Part, Path, Positions, Steps};

/// A configuration that was refused, with every problem that was found, in the text's order.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigError {
    /// Name of the file, or wherever the text came from.
    pub origin: String,
    /// The problems; at least one.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Line, from 1, where known.
    pub line: Option<usize>,
    /// Column in characters, from 1, where known.
    pub column: Option<usize>,
    /// Field, `pools[0].backends[2].weight`; empty for the document as a whole.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for ConfigError {
    /// `edge.yaml:12:9: pools[0].backends[2].weight: 1001 is not in 0..=1000`, one such a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let newline = if number == 0 { "" } else { "\n" };
            write!(f, "{newline}{}", self.origin)?;
            if let (Some(line), Some(column)) = (problem.line, problem.column) {
                write!(f, ":{line}:{column}")?;
            }
            if !problem.path.is_empty() {
                write!(f, ": {}", problem.path)?;
            }
            write!(f, ": {}", problem.message)?;
        }
        Ok(())
    }
}

/// Problems while they are being collected.
#[derive(Default)]
pub(super) struct Findings(Vec<Finding>);

struct Finding {
    steps: Steps,
    part: Part,
    message: String,
}

impl Findings {
    /// Notes that the value at `path` is wrong.
    pub(super) fn add(&mut self, path: &Path<'_>, message: impl Into<String>) {
        self.add_steps(path.steps(), Part::Value, message);
    }

    /// Notes a problem at a path that has been kept.
    pub(super) fn add_steps(&mut self, steps: Steps, part: Part, message: impl Into<String>) {
        self.0.push(Finding { steps, part, message: message.into() });
    }

    /// Whether nothing is wrong.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The error, with the places that `text` has the problems at.
    pub(super) fn into_error(self, origin: &str, text: &str) -> ConfigError {
        let positions = Positions::of(text);
        let mut problems: Vec<_> = self
            .0
            .into_iter()
            .map(|Finding { steps, part, message }| {
                let place = positions.find(&steps, part);
                Problem {
                    line: place.map(|(line, _)| line),
                    column: place.map(|(_, column)| column),
                    path: steps.to_string(),
                    message,
                }
            })
            .collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        ConfigError { origin: origin.to_string(), problems }
    }
}
