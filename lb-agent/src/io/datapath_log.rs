//! The data plane's own log lines, on their way from the kernel's ring buffer to our log.

use std::io;

use aya::Ebpf;
use aya_log::EbpfLogger;
use thiserror::Error;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

/// The data plane's log cannot be followed.
#[derive(Debug, Error)]
pub enum LogError {
    /// The object has no log map, or it cannot be read.
    #[error("cannot open the log map")]
    Map(#[from] aya_log::Error),
    /// It cannot be waited on.
    #[error("cannot wait for log lines")]
    Wait(#[from] io::Error),
}

/// Log lines are passed on as long as this lives.
#[derive(Debug)]
pub struct Forwarding(JoinHandle<()>);

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Passes on whatever the program logs.
///
/// # Errors
/// The log map cannot be read or waited on.
pub fn forward(ebpf: &mut Ebpf) -> Result<Forwarding, LogError> {
    let logger = EbpfLogger::init(ebpf)?;
    // SAFETY: the logger owns its ring buffer's descriptor and never closes or replaces it while
    // it lives; the `AsyncFd` owns the logger and deregisters before dropping it.
    let mut readable = unsafe { AsyncFd::register(logger) }.map_err(io::Error::from)?;
    Ok(Forwarding(tokio::spawn(async move {
        while let Ok(mut guard) = readable.readable_mut().await {
            guard.get_inner_mut().flush();
            guard.clear_ready();
        }
    })))
}
