//! The control API: HTTP on a Unix socket, each request handed to the agent's loop and answered.
//!
//! Handlers parse and pass on; what a request means is decided in the loop, one at a time. Only
//! events and liveness are told without the loop, and all of it on a thread of its own. Every
//! error, axum's own included, leaves as a problem document (RFC 9457). The `OpenAPI` document is
//! made from the handlers and served beside them.

mod connections;
mod events;
mod live;
mod metrics;
mod problem;
mod routes;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use lb_common::api::Problem;
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

pub use routes::openapi;

use crate::io::journal::Journal;
use crate::io::metrics::Scraper;
use crate::io::pulse::Pulse;

/// What a client wants of the agent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// The agent as a whole.
    Status,
    /// All services.
    Services,
    /// One service.
    Service {
        /// Its name.
        name: String,
    },
    /// All backends, or those of one pool.
    Backends {
        /// The pool.
        pool: Option<String>,
    },
    /// One backend.
    Backend {
        /// Its pool.
        pool: String,
        /// Its name.
        name: String,
    },
    /// The checks of all backends, or of those of one pool.
    Health {
        /// The pool.
        pool: Option<String>,
    },
    /// The last results of the checks of a pool.
    HealthHistory {
        /// The pool.
        pool: String,
    },
    /// Set a backend's weight, or take the configured one again.
    Weight {
        /// Its pool.
        pool: String,
        /// Its name.
        name: String,
        /// The weight, not yet checked.
        weight: Option<u32>,
    },
    /// Drain a backend.
    Drain {
        /// Its pool.
        pool: String,
        /// Its name.
        name: String,
        /// Until when.
        request: lb_common::api::DrainRequest,
    },
    /// Stop draining a backend.
    Undrain {
        /// Its pool.
        pool: String,
        /// Its name.
        name: String,
    },
    /// The running configuration.
    Config,
    /// The configurations that were in force.
    History,
    /// One of them.
    Version {
        /// The generation that it began.
        generation: u64,
    },
    /// What another configuration would change.
    Diff(lb_common::api::ConfigRequest),
    /// Change to another configuration.
    Apply(lb_common::api::ConfigRequest),
    /// Everything that another agent has to be told.
    Export,
    /// Take over what another agent, or this one, knew.
    Import(lb_common::api::StateBackup),
    /// Where a packet would go.
    Trace(lb_common::api::TraceRequest),
    /// What is wrong.
    Doctor,
}

/// An answer: a document, or why there is none.
pub type Answer = Result<serde_json::Value, Problem>;

/// What the loop is called for, with the way back to whoever asked.
#[derive(Debug)]
pub struct Call {
    /// What is wanted.
    pub wanted: Wanted,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// What the loop is called for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// A request that it answers by itself.
    Request(Request),
    /// A probe by hand, answered when it has come to something.
    Trial {
        /// The backend's pool.
        pool: String,
        /// The backend's name.
        name: String,
    },
}

/// Where answers come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The agent's loop.
    pub calls: mpsc::Sender<Call>,
    /// The same, for metrics.
    pub scraper: Scraper,
    /// Events.
    pub journal: Arc<Journal>,
    /// Whether the loop is alive.
    pub pulse: Arc<Pulse>,
}

/// The API cannot be served.
#[derive(Debug, Error)]
pub enum ApiError {
    /// Another agent answers on the socket.
    #[error("another agent is listening on {path}", path = .path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {path}", path = .path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Listens on `path`. A socket that nobody answers on, as a killed agent leaves, is replaced.
///
/// # Errors
/// Another agent is there, or the path cannot be used.
pub async fn listen(path: &Path) -> Result<UnixListener, ApiError> {
    let failed = |source| ApiError::Listen { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(failed)?;
    }
    if UnixStream::connect(path).await.is_ok() {
        return Err(ApiError::InUse { path: path.to_owned() });
    }
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Owner and group: whoever may use the socket may steer all traffic.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Serves the API until the listener breaks. Clients that hang keep nobody out.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: UnixListener, sources: Sources) -> io::Result<()> {
    connections::serve(listener, sources, connections::LIMITS).await
}

/// Serves the API on a thread of its own, so that events, metrics and whether the loop is alive are
/// told while that is busy, or hangs.
///
/// # Errors
/// There can be no thread, or no event loop for it.
pub fn spawn(listener: UnixListener, sources: Sources) -> io::Result<()> {
    let listener = listener.into_std()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let run = async move { serve(UnixListener::from_std(listener)?, sources).await };
    let until_broken = move || {
        if let Err(error) = runtime.block_on(run) {
            error!(error = &error as &dyn std::error::Error, "the control API has stopped");
        }
    };
    thread::Builder::new().name("api".to_owned()).spawn(until_broken).map(drop)
}

#[cfg(test)]
mod tests;
