//! The supervisor that started the agent, systemd for one: told what becomes of it (`sd_notify(3)`).
//!
//! Without `NOTIFY_SOCKET` in the environment nobody wants to know, and nothing is sent. The
//! watchdog is fed by the agent's loop alone: a loop that hangs feeds it no more.

use std::io;
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// How often a watchdog is fed in the time that it waits.
const FEEDS: u32 = 2;

/// The way to the supervisor.
#[derive(Debug, Default)]
pub struct Supervisor {
    status: String,
}

impl Supervisor {
    /// How often the watchdog wants to be fed; none if there is no watchdog.
    pub fn watchdog_interval() -> Option<Duration> {
        let wait = sd_notify::watchdog_enabled()?;
        (!wait.is_zero()).then(|| wait / FEEDS)
    }

    /// The agent is up to date and answers.
    pub fn ready(&mut self, status: &str) {
        status.clone_into(&mut self.status);
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The configuration is being read again; [`Self::ready`] follows.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => tell(&[NotifyState::Reloading, now]),
            Err(error) => failed(&error),
        }
    }

    /// What there is to say about it, if that is news.
    pub fn status(&mut self, status: &str) {
        if self.status != status {
            status.clone_into(&mut self.status);
            tell(&[NotifyState::Status(status)]);
        }
    }

    /// The loop is alive.
    pub fn feed_watchdog(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// The agent is about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        failed(&error);
    }
}

fn failed(error: &io::Error) {
    warn!(error = error as &dyn std::error::Error, "cannot tell the supervisor");
}
