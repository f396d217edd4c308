//! Events: what has happened goes to the journal and to the log, from the same value.

use lb_common::api::{EventKind, Problem, Severity};
use tracing::{error, info, warn};

use super::AgentError;
use super::agent::Agent;
use crate::core::events::Occurrence;

/// What the agent is called in events.
const AGENT: &str = "agent";
/// What a configuration is called in events.
const CONFIGURATION: &str = "configuration";
/// As many mistakes of a refused configuration are told.
const MISTAKES: usize = 4;

impl Agent {
    /// Tells what has happened to whoever reads the log, and to whoever follows or asks later.
    pub(super) fn raise(&self, occurrence: Occurrence) {
        log(&occurrence, self.state.generation);
        self.journal.add(occurrence, self.state.generation);
    }

    /// Tells what has happened to several things.
    pub(super) fn raise_all(&self, occurrences: impl IntoIterator<Item = Occurrence>) {
        occurrences.into_iter().for_each(|occurrence| self.raise(occurrence));
    }

    /// The agent is up to date, and answers.
    pub(super) fn raise_started(&self) {
        let adopted = if self.datapath.adopted {
            "adopted the maps of an earlier agent"
        } else {
            "made new maps"
        };
        let occurrence = Occurrence::new(EventKind::AgentStarted, AGENT, adopted);
        self.raise(occurrence.now(&concat!("version ", env!("CARGO_PKG_VERSION"))));
    }

    /// The agent is about to end.
    pub(super) fn raise_stopping(&self, why: &str) {
        self.raise(Occurrence::new(EventKind::AgentStopping, AGENT, why));
    }

    /// A configuration is in force. `before` was the generation until then.
    pub(super) fn raise_configured(&self, kind: EventKind, before: u64, changes: usize) {
        let reason = format!("{changes} change{}", if changes == 1 { "" } else { "s" });
        let occurrence = Occurrence::new(kind, CONFIGURATION, reason);
        self.raise(occurrence.between(&before, &self.state.generation));
    }

    /// A configuration is not.
    pub(super) fn raise_refused(&mut self, reason: impl Into<String>) {
        self.refused += 1;
        self.raise(Occurrence::new(EventKind::ConfigRefused, CONFIGURATION, reason));
    }
}

#[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
fn log(occurrence: &Occurrence, generation: u64) {
    let Occurrence { kind, object, from, to, reason } = occurrence;
    let (from, to, kind) = (from.as_deref(), to.as_deref(), (kind.name(), kind.severity()));
    match kind {
        (kind, Severity::Ok) => info!(object, from, to, reason, generation, "{kind}"),
        (kind, Severity::Warning) => warn!(object, from, to, reason, generation, "{kind}"),
        (kind, Severity::Error) => error!(object, from, to, reason, generation, "{kind}"),
    }
}

/// An error with its causes, in one line.
pub(super) fn with_causes(error: &AgentError) -> String {
    let mut text = brief(&error.to_string());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The first of many mistakes, in one line: a file may have thousands of them.
pub(super) fn brief(text: &str) -> String {
    let mut lines = text.lines();
    let first: Vec<_> = lines.by_ref().take(MISTAKES).collect();
    let more = lines.count();
    let text = first.join("; ");
    if more > 0 { format!("{text}; {more} more") } else { text }
}

/// What a problem says, in one line.
pub(super) fn in_one_line(problem: &Problem) -> String {
    let Problem { title, detail, errors, .. } = problem;
    let mistakes =
        errors.iter().take(MISTAKES).map(|each| format!("{}: {}", each.path, each.message));
    let more = errors.len().saturating_sub(MISTAKES);
    let more = (more > 0).then(|| format!("{more} more"));
    let parts = [title.clone()].into_iter().chain(detail.clone()).chain(mistakes).chain(more);
    parts.collect::<Vec<_>>().join("; ")
}
