//! `health`: its commands as clap reads them.

use clap::Subcommand;

use super::{BackendRef, ObjectName};

#[derive(Subcommand, Debug)]
pub(super) enum HealthCommand {
    /// List the checks of one pool's backends, or of all, with their last results.
    #[command(after_help = "Examples:\n  lb-ctl health list\n  lb-ctl health list web -o wide")]
    List {
        /// Name of the pool.
        pool: Option<ObjectName>,
    },
    /// Show the checks of a pool's backends with their last five results each.
    #[command(after_help = "Example:\n  lb-ctl health show web")]
    Show {
        /// Name of the pool.
        pool: ObjectName,
    },
    /// Check one backend now and tell each step. Exits 0 if it passes, 1 if not.
    ///
    /// The backend's health does not change by it: only the agent's own checks decide.
    #[command(after_help = "Examples:\n  \
            lb-ctl health check web/web-1 --once\n  \
            lb-ctl health check web/web-1 --once -o json")]
    Check {
        /// Pool and name of the backend.
        #[arg(value_name = "POOL/NAME")]
        backend: BackendRef,
        /// Check once and stop; it does so without the word, too.
        #[arg(long)]
        once: bool,
    },
}
