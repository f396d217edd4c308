//! The agent's one loop: it owns the state, takes every event in turn, and carries out the result.
//!
//! Events are API calls, results of checks, changes of routes and neighbours, signals, and ticks. Each leads
//! through the same steps: prepare (pure: what should the maps hold, and what is the plan), attach
//! what is new, remember (on the disk), commit (to the maps), detach what is left over. Killing
//! this process at any point leaves forwarding as it was.

#![expect(
    clippy::result_large_err,
    reason = "a problem document is an answer: one is made for a request, none on the way"
)]

mod agent;
mod change;
mod doctor;
mod drain;
mod error;
mod events;
mod flows;
mod health;
mod interfaces;
mod next_hops;
mod program;
mod socket;
mod sweep;
mod trace;
mod views;

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info};

pub use error::AgentError;

use crate::io::api_server::{self, Call};
use crate::io::probes::{self, Prober};
use agent::Agent;
use next_hops::Lookout;

/// How often next hops are verified again: the kernel does not see our packets use them.
const NEXT_HOP_REFRESH: Duration = Duration::from_secs(5);
/// How often pins are swept while any slot is in transition: about their unit of time.
const SWEEP: Duration = Duration::from_secs(1);
/// Calls that may wait while the loop is busy.
const CALLS_QUEUED: usize = 64;

/// Time that followers of events get to read the last one.
const FAREWELL: Duration = Duration::from_millis(500);

/// Results of checks that lead to one change of the maps.
const RESULTS_AT_ONCE: usize = 1024;

/// Where everything is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunOptions {
    /// Configuration file.
    pub config: PathBuf,
    /// Unix socket of the control API.
    pub socket: PathBuf,
    /// Directory of pins, on a bpffs.
    pub pin_dir: PathBuf,
    /// Directory of what must survive a restart.
    pub state_dir: PathBuf,
    /// Level of the data plane's own log, 0 (none) to 5 (trace).
    pub datapath_log_level: u8,
}

/// Runs the agent until it is told to stop.
///
/// # Errors
/// It cannot start. Once it runs, errors are logged and answered, and it goes on.
#[expect(
    clippy::cognitive_complexity,
    reason = "the macros of tokio and tracing count as branches"
)]
pub async fn run(options: RunOptions) -> Result<(), AgentError> {
    // First of all: a signal during the start must not end this process half-way.
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    probes::raise_open_files();
    let (mut agent, mut changes, mut socket) = Agent::start(options).await?;
    let (calls, mut called) = mpsc::channel(CALLS_QUEUED);
    // Whoever connected during the start is answered from here on.
    if let Some(listener) = socket.take() {
        let journal = Arc::clone(&agent.journal);
        tokio::spawn(async move {
            if let Err(error) = api_server::serve(listener, calls, journal).await {
                error!(%error, "the control API has stopped");
            }
        });
    }
    agent.follow_log();

    let mut tick = interval(NEXT_HOP_REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sweep_tick = interval(SWEEP);
    sweep_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (prober, mut finished) = Prober::start()?;
    let mut batch = Vec::new();
    let mut lookout = Lookout::default();
    info!(socket = %socket.path().display(), "ready");
    agent.raise_started();
    let why = loop {
        tokio::select! {
            call = called.recv() => {
                let Some(Call { request, answer }) = call else { break "the API has stopped" };
                // A client that has gone needs no answer.
                let _ = answer.send(agent.handle(request).await);
            }
            () = until(agent.next_probe()) => agent.send_probes(&prober),
            _ = finished.recv_many(&mut batch, RESULTS_AT_ONCE) => {
                agent.take_results(batch.drain(..));
            }
            Some(scope) = changes.next() => lookout.look(&agent, scope),
            ended = lookout.ended() => lookout.take(&mut agent, ended).await,
            _ = sweep_tick.tick() => {
                agent.apply_health();
                agent.force_drains();
                agent.sweep();
                agent.watch_drains();
            }
            _ = tick.tick() => lookout.refresh(&agent),
            _ = hangup.recv() => agent.reload().await,
            _ = terminate.recv() => break "SIGTERM",
            _ = interrupt.recv() => break "SIGINT",
        }
    };
    agent.raise_stopping(why);
    agent.journal.close(FAREWELL).await;
    // The socket's file goes with the agent; programs, maps and links stay.
    drop(socket);
    info!("stopped; forwarding goes on, `lb-agent detach` ends it");
    Ok(())
}

/// Waits until it is `due`, or for ever.
async fn until(due: Option<Duration>) {
    match due {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}
