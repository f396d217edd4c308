//! Why a command failed: its exit code, and one problem document that text and JSON are made of.
//!
//! Every failure becomes an [`api::Problem`](lb_common::api::Problem), the agent's own as it came.
//! `main` prints it on stderr: as lines for people, or as it is with `-o json`.

use std::io;

use lb_common::api::Problem;
use lb_common::config::ConfigError;
use thiserror::Error;

use crate::client::ClientError;
use crate::exit::Exit;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum CtlError {
    /// The command line makes no sense, in clap's words.
    #[error("{title}")]
    Usage {
        /// The first line, without `error: `.
        title: String,
        /// The rest.
        detail: Option<String>,
    },
    /// The agent is out of reach or says no.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The configuration file cannot be read.
    #[error("cannot read {origin}")]
    Read {
        /// Its name.
        origin: String,
        /// What the system says.
        source: io::Error,
    },
    /// A configuration is not valid.
    #[error("{} is not valid", .0.origin)]
    InvalidConfig(ConfigError),
    /// The plan removes something and nobody can be asked.
    #[error("the plan removes {removals} object{}, and nobody can be asked", plural(*.removals))]
    NeedsYes {
        /// How many objects go.
        removals: usize,
    },
    /// The plan moves more than it may.
    #[error(
        "{share} of the hash space of pool {pool} would move{since}, and at most {max_percent}% may"
    )]
    MovesTooMuch {
        /// The pool in which most would.
        pool: String,
        /// Why all of it would, if a service goes to another pool.
        since: String,
        /// How much.
        share: String,
        /// How much may.
        max_percent: u8,
    },
    /// A file is not what `state export` writes.
    #[error("{origin} is not a backup that `lb-ctl state export` wrote")]
    NoBackup {
        /// Its name.
        origin: String,
        /// What is wrong with it.
        source: serde_yaml::Error,
    },
    /// An import replaces everything and nobody can be asked.
    #[error("an import replaces configuration, weights and drains, and nobody can be asked")]
    ReplacesAll,
    /// There is nothing to go back to.
    #[error("no configuration before the running one is kept")]
    NoneBefore,
    /// The operator said no.
    #[error("not applied")]
    Declined,
    /// The configuration changed between plan and apply, or before.
    #[error("the running configuration has generation {found}, not {expected}")]
    Stale {
        /// What the caller wanted.
        expected: u64,
        /// What is running.
        found: u64,
    },
    /// Flows are left at the deadline of a drain.
    #[error("{backend} is not drained: {flows} flow{} left at the deadline", if *.flows == 1 { "" } else { "s" })]
    DrainOverdue {
        /// The backend.
        backend: String,
        /// How many have shown themselves.
        flows: u64,
    },
    /// Somebody took the drain back while it was waited for.
    #[error("{backend} is being drained no longer")]
    DrainTakenBack {
        /// The backend.
        backend: String,
    },
    /// The document cannot be written in the form asked for.
    #[error("cannot write the document as JSON")]
    Json {
        /// Why.
        source: serde_json::Error,
    },
    /// As above, for YAML.
    #[error("cannot write the document as YAML")]
    Yaml {
        /// Why.
        source: serde_yaml::Error,
    },
    /// Nothing can be written to stdout, or read from the terminal.
    #[error("cannot write or read the terminal")]
    Console {
        /// What the system says.
        source: io::Error,
    },
}

/// `s` unless there is one of it.
pub(crate) const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl CtlError {
    /// A mistake in the command line, from clap's text of several lines.
    pub(crate) fn usage(text: &str) -> Self {
        let text = text.trim_start_matches("error: ").trim();
        let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
        let rest: Vec<&str> = rest.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let detail = (!rest.is_empty()).then(|| rest.join("\n"));
        Self::Usage { title: title.to_owned(), detail }
    }

    /// The code to end with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } | Self::NeedsYes { .. } | Self::ReplacesAll => Exit::Usage,
            Self::Client(error) => client_exit(error),
            Self::InvalidConfig(_) => Exit::InvalidConfig,
            Self::Stale { .. } | Self::DrainTakenBack { .. } | Self::MovesTooMuch { .. } => {
                Exit::Conflict
            }
            Self::DrainOverdue { .. } => Exit::TimedOut,
            Self::NoneBefore => Exit::NotFound,
            Self::Read { .. }
            | Self::NoBackup { .. }
            | Self::Declined
            | Self::Json { .. }
            | Self::Yaml { .. }
            | Self::Console { .. } => Exit::Failed,
        }
    }

    /// The failure as a document.
    pub(crate) fn problem(&self) -> Problem {
        match self {
            Self::Client(ClientError::Refused(problem)) => return problem.as_ref().clone(),
            Self::InvalidConfig(error) => return Problem::from(error.clone()),
            _ => {}
        }
        let (kind, status) = kind(self.exit());
        let cause = self.cause().map(|cause| format!("cause: {cause}"));
        let cure = self.cure().map(|cure| format!("cure: {cure}"));
        let lines: Vec<String> = self.hint().into_iter().chain(cause).chain(cure).collect();
        Problem {
            kind: kind.to_owned(),
            title: self.to_string(),
            status,
            detail: (!lines.is_empty()).then(|| lines.join("\n")),
            did_you_mean: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Advice that clap has already put into words.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { detail, .. } => detail.clone(),
            _ => None,
        }
    }

    fn cause(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.cause(),
            Self::Read { source, .. } | Self::Console { source } => Some(source.to_string()),
            Self::Json { source } => Some(source.to_string()),
            Self::Yaml { source } | Self::NoBackup { source, .. } => Some(source.to_string()),
            Self::Usage { .. }
            | Self::Stale { .. }
            | Self::InvalidConfig(_)
            | Self::NeedsYes { .. }
            | Self::DrainOverdue { .. }
            | Self::DrainTakenBack { .. }
            | Self::MovesTooMuch { .. }
            | Self::NoneBefore
            | Self::ReplacesAll
            | Self::Declined => None,
        }
    }

    fn cure(&self) -> Option<&'static str> {
        match self {
            Self::Client(error) => error.cure(),
            Self::NeedsYes { .. } => Some("read the plan (--dry-run), then add --yes"),
            Self::Stale { .. } => Some("look at `lb-ctl config diff FILE` again"),
            Self::DrainOverdue { .. } => Some(
                "the drain goes on: wait longer with another --deadline, or end its flows with --force-at-deadline",
            ),
            Self::ReplacesAll => Some("look at the file, then add --yes"),
            Self::MovesTooMuch { .. } => {
                Some("if that is what you want, say so with --max-moved PERCENT")
            }
            Self::DrainTakenBack { .. } => {
                Some("somebody ran undrain; see `lb-ctl backend show POOL/NAME`")
            }
            Self::Usage { .. }
            | Self::Read { .. }
            | Self::InvalidConfig(_)
            | Self::NoneBefore
            | Self::NoBackup { .. }
            | Self::Declined
            | Self::Json { .. }
            | Self::Yaml { .. }
            | Self::Console { .. } => None,
        }
    }
}

fn client_exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Absent { .. }
        | ClientError::NotListening { .. }
        | ClientError::Connect { .. }
        | ClientError::Lost { .. } => Exit::Unreachable,
        ClientError::Denied { .. } => Exit::Permission,
        ClientError::TimedOut { .. } => Exit::TimedOut,
        ClientError::Refused(problem) => refused_exit(problem),
        ClientError::TooLarge { .. } => Exit::Usage,
        ClientError::Body { .. }
        | ClientError::Unexpected { .. }
        | ClientError::Undecodable { .. }
        | ClientError::OtherApi { .. }
        | ClientError::Encode { .. }
        | ClientError::Request { .. }
        | ClientError::Runtime { .. } => Exit::Failed,
    }
}

/// The kind of a problem is stable, so it decides; the HTTP status does for kinds added later.
fn refused_exit(problem: &Problem) -> Exit {
    match problem.kind.as_str() {
        "not_found" => Exit::NotFound,
        "invalid_request" => Exit::Usage,
        "invalid_config" => Exit::InvalidConfig,
        "conflict" => Exit::Conflict,
        "internal" => Exit::Failed,
        _ => match problem.status {
            400 => Exit::Usage,
            401 | 403 => Exit::Permission,
            404 => Exit::NotFound,
            408 | 504 => Exit::TimedOut,
            409 | 412 => Exit::Conflict,
            422 => Exit::InvalidConfig,
            _ => Exit::Failed,
        },
    }
}

/// Kind and status of a problem found on this side, in the agent's terms where it has one.
const fn kind(exit: Exit) -> (&'static str, u16) {
    match exit {
        Exit::Ok | Exit::Failed | Exit::Differences => ("failed", 500),
        Exit::Usage => ("invalid_request", 400),
        Exit::Unreachable => ("agent_unreachable", 503),
        Exit::NotFound => ("not_found", 404),
        Exit::InvalidConfig => ("invalid_config", 422),
        Exit::Conflict => ("conflict", 409),
        Exit::Permission => ("permission_denied", 403),
        Exit::TimedOut => ("timed_out", 504),
    }
}

#[cfg(test)]
mod tests;
