//! The control socket, from before anything is loaded until the agent ends, however it ends.

use std::fs;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tracing::warn;

use crate::io::api_server::{self, ApiError};

/// A socket that this process listens on; its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl Socket {
    /// Takes the place. Whoever connects waits until somebody serves the listener.
    pub(super) async fn listen(path: &Path) -> Result<Self, ApiError> {
        let listener = Some(api_server::listen(path).await?);
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The listener, once.
    pub(super) const fn take(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            warn!(%error, socket = %self.path.display(), "cannot remove the socket");
        }
    }
}
