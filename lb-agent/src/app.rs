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
mod backup;
mod change;
mod doctor;
mod drain;
mod error;
mod events;
mod flows;
mod health;
mod history;
mod interfaces;
mod metrics;
mod next_hops;
mod program;
mod socket;
mod supervision;
mod sweep;
mod trace;
mod tunnel;
mod views;

use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};
use tracing::info;

pub use error::AgentError;

use crate::io::api_server::{self, Call, Sources};
use crate::io::metrics::{Scrape, Scraper};
use crate::io::netlink::Changes;
use crate::io::probes::{self, Prober};
use crate::io::pulse::Moment;
use crate::io::supervisor::Supervisor;
use agent::Agent;
use next_hops::Lookout;

/// How often next hops are verified again: the kernel does not see our packets use them.
const NEXT_HOP_REFRESH: Duration = Duration::from_secs(5);
/// How often pins are swept while any slot is in transition: about their unit of time.
const SWEEP: Duration = Duration::from_secs(1);
/// Calls that may wait while the loop is busy.
const CALLS_QUEUED: usize = 64;
/// Scrapes that may wait.
const SCRAPES_QUEUED: usize = 8;

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
    /// Whether health checks may run commands.
    pub exec_checks: bool,
}

/// Runs the agent until a signal tells it to stop. What it has attached stays attached.
///
/// # Errors
/// It cannot start, or nobody serves the API any more. Other errors are logged and answered, and it
/// goes on.
pub async fn run(options: RunOptions) -> Result<(), AgentError> {
    // First of all: a signal during the start must not end this process half-way.
    let signals = Signals::listen()?;
    probes::raise_open_files();
    let (calls, called) = mpsc::channel(CALLS_QUEUED);
    let (wanted, scrapes) = mpsc::channel(SCRAPES_QUEUED);
    let metrics = Scraper::new(wanted);
    let (mut agent, changes, mut socket) = Agent::start(options, metrics.clone()).await?;
    // Whoever connected during the start is answered from here on.
    if let Some(listener) = socket.take() {
        let (journal, pulse) = (Arc::clone(&agent.journal), Arc::clone(&agent.pulse));
        let sources = Sources { calls, scraper: metrics, journal, pulse };
        api_server::spawn(listener, sources)?;
    }
    agent.follow_log();
    agent.keep_exporting().await;
    info!(socket = %socket.path().display(), "ready");
    agent.raise_started();
    agent.tell_ready();
    let why = turn(&mut agent, Inputs { signals, called, scrapes, changes }).await?;
    agent.supervisor.stopping();
    agent.raise_stopping(why);
    agent.journal.close(FAREWELL).await;
    // The socket's file goes with the agent; programs, maps and links stay.
    drop(socket);
    Ok(())
}

/// What the loop is woken by, besides time and what it asked for.
struct Inputs {
    signals: Signals,
    called: mpsc::Receiver<Call>,
    scrapes: mpsc::Receiver<Scrape>,
    changes: Changes,
}

/// The signals that mean something to the agent.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// The loop: takes every event in turn, until one of them says to stop; why.
#[expect(clippy::cognitive_complexity, reason = "the macros of tokio count as branches")]
async fn turn(agent: &mut Agent, inputs: Inputs) -> Result<&'static str, AgentError> {
    let Inputs { mut signals, mut called, mut scrapes, mut changes } = inputs;
    let mut tick = ticks(NEXT_HOP_REFRESH);
    let mut sweep_tick = ticks(SWEEP);
    let feeding = Supervisor::watchdog_interval();
    let mut feed_tick = ticks(feeding.unwrap_or(NEXT_HOP_REFRESH));
    let (prober, mut finished) = Prober::start()?;
    let mut batch = Vec::new();
    let mut lookout = Lookout::default();
    loop {
        tokio::select! {
            call = called.recv() => {
                let call = call.ok_or_else(|| io::Error::other("the API has stopped"))?;
                agent.take_call(call, &prober).await;
            }
            Some(scrape) = scrapes.recv() => drop(scrape.send(agent.snapshot())),
            () = until(agent.next_probe()) => agent.send_probes(&prober),
            () = until(agent.next_decision()) => agent.decide_again(),
            _ = finished.recv_many(&mut batch, RESULTS_AT_ONCE) => {
                agent.take_results(batch.drain(..));
            }
            Some(scope) = changes.next() => lookout.look(agent, scope),
            ended = lookout.ended() => lookout.take(agent, ended).await,
            due = sweep_tick.tick() => {
                agent.pulse.beat(Moment::now(), due.elapsed());
                agent.apply_health();
                agent.force_drains();
                agent.sweep();
                agent.watch_drains();
                agent.tell_status();
            }
            // Here and nowhere else: a loop that hangs must not be taken for one that runs.
            _ = feed_tick.tick(), if feeding.is_some() => agent.supervisor.feed_watchdog(),
            _ = tick.tick() => {
                lookout.refresh(agent);
                agent.keep_exporting().await;
            }
            _ = signals.hangup.recv() => {
                agent.supervisor.reloading();
                agent.reload().await;
                agent.tell_ready();
            }
            _ = signals.terminate.recv() => return Ok("SIGTERM"),
            _ = signals.interrupt.recv() => return Ok("SIGINT"),
        }
    }
}

/// Ticks; those that the loop came too late for are left out.
fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits until it is `due`, or for ever.
async fn until(due: Option<Duration>) {
    match due {
        Some(wait) => sleep(wait).await,
        None => pending().await,
    }
}
