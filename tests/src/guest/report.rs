//! What a guest tells the host: one line of JSON for each check, and one when it is through.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The kernel took a BPF program.
    Verified {
        /// Name in the list of programs.
        check: String,
        /// Instructions the verifier walked.
        instructions: u32,
        /// Length of the translated program.
        bytes: u32,
    },
    /// A check passed that has no figures.
    Passed {
        /// Name of the check.
        check: String,
        /// What was seen.
        remark: String,
        /// Time it took.
        milliseconds: u64,
    },
    /// A check failed.
    Failed {
        /// Name of the check.
        check: String,
        /// Why, with all causes.
        error: String,
    },
    /// Nothing comes after this.
    Finished,
}

impl Report {
    /// Name of the check that it is about.
    pub fn check(&self) -> Option<&str> {
        match self {
            Self::Verified { check, .. }
            | Self::Passed { check, .. }
            | Self::Failed { check, .. } => Some(check),
            Self::Finished => None,
        }
    }
}

/// The guest's end: a serial port that nobody else writes to.
#[derive(Debug)]
pub(super) struct Reporter(File);

impl Reporter {
    /// Opens the port.
    pub(super) fn open(port: &Path) -> Result<Self> {
        let file = File::options().write(true).open(port);
        file.map(Self).with_context(|| format!("opening {}", port.display()))
    }

    /// Sends one report.
    pub(super) fn send(&mut self, report: &Report) -> Result<()> {
        let mut line = serde_json::to_string(report).context("writing a report")?;
        line.push('\n');
        self.0.write_all(line.as_bytes()).context("sending a report")
    }
}

/// The host's end: all reports in what came out of the port.
///
/// # Errors
/// When a line is no report. The last line may be cut short by a machine that was stopped.
pub fn parse(text: &str) -> Result<Vec<Report>> {
    let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let lines = complete.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a report: {line}")))
        .collect()
}

#[cfg(test)]
mod tests;
