//! Exit codes: what a script may branch on.
//!
//! One enum is the source of the process's status, of the table in `lb-ctl --help` and of the
//! tests. The numbers never change their meaning. `main` is the only place that turns one into a
//! process status; everything else passes the value around.

use std::fmt::Write as _;
use std::process::ExitCode;

/// How a run of `lb-ctl` ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Exit {
    /// Done as asked.
    Ok,
    /// Failed for a reason without a code of its own.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// No agent answers on the socket.
    Unreachable,
    /// A named object does not exist.
    NotFound,
    /// The configuration is not valid.
    InvalidConfig,
    /// Something else changed the configuration first.
    Conflict,
    /// The caller may not do this.
    Permission,
    /// No answer within `--timeout`, or not done by the deadline.
    TimedOut,
    /// `config diff` found differences.
    Differences,
}

impl Exit {
    /// Every way to end, in the order of the codes.
    pub(crate) const ALL: [Self; 10] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::Unreachable,
        Self::NotFound,
        Self::InvalidConfig,
        Self::Conflict,
        Self::Permission,
        Self::TimedOut,
        Self::Differences,
    ];

    /// The status of the process.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotFound => 4,
            Self::InvalidConfig => 5,
            Self::Conflict => 6,
            Self::Permission => 7,
            Self::TimedOut => 8,
            Self::Differences => 10,
        }
    }

    /// What the code means, for `--help`.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "done",
            Self::Failed => "failed",
            Self::Usage => "the command line makes no sense",
            Self::Unreachable => "no agent answers on the socket",
            Self::NotFound => "no such service, pool or backend",
            Self::InvalidConfig => "the configuration is not valid",
            Self::Conflict => "conflict, or the generation is stale",
            Self::Permission => "permission denied",
            Self::TimedOut => "no answer within --timeout, or flows left at the deadline",
            Self::Differences => "`config diff` found differences",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What stands below the options in `lb-ctl --help`.
pub(crate) fn help_text() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:>2}  {}", exit.code(), exit.meaning());
    }
    text.push_str(
        "\nExamples:\n  \
         lb-ctl status\n  \
         lb-ctl backend drain web/web-1\n  \
         lb-ctl config diff edge.yaml && echo unchanged\n  \
         lb-ctl backend list web -o json",
    );
    text
}
