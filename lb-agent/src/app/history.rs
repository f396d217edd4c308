//! What was in force: kept with each configuration, and shown.

use lb_common::api::{ConfigText, ConfigVersion, Problem};
use tracing::warn;

use super::agent::{Agent, text_hash, time_of_day};
use super::views::{self, rfc3339};
use crate::io::api_server::Answer;
use crate::io::history::{HistoryError, Version};

/// Why a configuration came into force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Source {
    /// The agent was started with it.
    Start,
    /// The agent's own file was read again.
    Reload,
    /// A client sent it; the agent's own file follows.
    Apply,
    /// The same, in a backup.
    Import,
}

impl Source {
    /// The name in the history and in the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Apply => "apply",
            Self::Import => "import",
        }
    }
}

impl Agent {
    /// Keeps the running configuration in the history.
    pub(super) fn keep_version(&self, source: Source, changes: usize) {
        let version = Version {
            generation: self.state.generation,
            applied_at: rfc3339(time_of_day()),
            source: source.name().to_owned(),
            changes,
            text: self.text.clone(),
        };
        if let Err(error) = self.history.keep(&version) {
            let error = &error as &dyn std::error::Error;
            warn!(error, "cannot keep the configuration in the history");
        }
    }

    /// Makes sure that the configuration of the start is in the history.
    pub(super) fn keep_first_version(&self) {
        let newest = self.history.generations().ok().and_then(|all| all.last().copied());
        let newest = newest.and_then(|newest| self.history.version(newest).ok().flatten());
        if newest.is_none_or(|newest| newest.text != self.text) {
            self.keep_version(Source::Start, 0);
        }
    }
}

/// All versions, the newest first.
pub(super) fn list(agent: &Agent) -> Answer {
    let mut versions = Vec::new();
    for generation in agent.history.generations().map_err(|error| unreadable(&error))?.iter().rev()
    {
        let version = match agent.history.version(*generation) {
            Ok(Some(version)) => version,
            Ok(None) => continue,
            Err(error) => {
                // One that is spoilt must not hide the others.
                warn!(error = &error as &dyn std::error::Error, "a kept configuration is left out");
                continue;
            }
        };
        // The newest of several with the same text.
        let is_running = text_hash(&version.text) == agent.state.configuration
            && !versions.iter().any(|version: &ConfigVersion| version.running);
        versions.push(ConfigVersion {
            generation: version.generation,
            applied_at: version.applied_at,
            source: version.source,
            changes: version.changes,
            running: is_running,
        });
    }
    views::list(agent, "ConfigVersionList", versions)
}

/// The text of one.
pub(super) fn show(agent: &Agent, generation: u64) -> Answer {
    let kept = agent.history.version(generation).map_err(|error| unreadable(&error))?;
    let version = kept.ok_or_else(|| {
        let title = format!("generation {generation} began with no configuration that is kept");
        views::problem("not_found", 404, title)
    })?;
    let file = format!("generation {generation}");
    views::item(agent, "Config", ConfigText { file, text: version.text })
}

fn unreadable(error: &HistoryError) -> Problem {
    let detail = std::error::Error::source(error).map(ToString::to_string);
    Problem { detail, ..views::problem("internal", 500, error.to_string()) }
}
