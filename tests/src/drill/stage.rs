//! What a drill works on: the network, the agent, and all the load that is watched.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::requests::{Requests, Timeline};
use super::tap::{Capture, Tap};
use super::{LIMIT, Span};
use crate::flows::{Fates, Flows, connections};
use crate::process::{now, wait_until};
use crate::topology::{Agent, Topology, VIP_V4, VIP_V6, port_80};

/// Connections that last, opened together.
const CONNECTIONS: usize = 30;
/// Time the balancer gets to find out what it has to; bounds are far below it.
const STATE_LIMIT: Duration = Duration::from_secs(4);
/// Requests before the harm, and after the end: a second's worth.
const CALM: usize = 200;

/// A drill's network with load on it.
#[derive(Debug)]
pub struct Stage<'t> {
    /// The network.
    pub topology: &'t mut Topology,
    /// The agent that runs.
    pub agent: Agent,
    start: Instant,
    spans: Vec<Span>,
    excesses: Vec<String>,
    requests: Requests,
    lasting: Vec<Flows>,
    tap: Tap,
}

/// What was watched.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Each harm, until it was mended.
    pub(super) spans: Vec<Span>,
    /// The requests.
    pub(super) timeline: Timeline,
    /// What became of the connections.
    pub(super) fates: Fates,
    /// What was sent to whom.
    pub(super) capture: Capture,
    /// What the drill itself found fault with.
    pub(super) excesses: Vec<String>,
}

impl<'t> Stage<'t> {
    /// Starts the load.
    pub(super) fn set(topology: &'t mut Topology, agent: Agent) -> Result<Self> {
        let start = now();
        let vips = [port_80(VIP_V4), port_80(VIP_V6)];
        let tap = Tap::start(&topology.router, start)?;
        let requests = Requests::start(&topology.client, &vips, start);
        let (spans, excesses, lasting) = (Vec::new(), Vec::new(), Vec::new());
        let mut stage = Self { topology, agent, start, spans, excesses, requests, lasting, tap };
        stage.open_connections()?;
        Ok(stage)
    }

    /// Opens more connections that last. Each is asked by a thread of its own, so that one without an
    /// answer keeps no other from being asked.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open_connections(&mut self) -> Result<()> {
        let vips = [port_80(VIP_V4), port_80(VIP_V6)];
        for connection in connections::open(&self.topology.client, &vips, CONNECTIONS)? {
            self.lasting.push(Flows::start(vec![connection])?);
        }
        Ok(())
    }

    /// What is done after this is a harm.
    pub fn harm(&mut self) {
        let span = Span { from: self.elapsed(), until: Duration::MAX };
        self.spans.push(span);
    }

    /// The harm is over.
    pub fn mended(&mut self) {
        let at = self.elapsed();
        if let Some(span) = self.spans.last_mut() {
            span.until = at;
        }
    }

    /// Notes what may not be.
    pub fn note(&mut self, excess: String) {
        self.excesses.push(excess);
    }

    /// Waits for some more requests.
    ///
    /// # Errors
    /// They make no progress.
    pub fn calm(&self) -> Result<()> {
        self.requests.wait_for(CALM, LIMIT)
    }

    /// Waits until requests have gone on for `time` more. That they go on, and not an event, is what
    /// an outage of a certain length is about.
    ///
    /// # Errors
    /// The clock does not go on.
    pub fn last(&self, time: Duration) -> Result<()> {
        let until = self.elapsed() + time;
        wait_until("time to pass", LIMIT, || Ok((self.elapsed() >= until).then_some(())))
    }

    /// The requests that have ended so far.
    pub fn timeline(&self) -> Timeline {
        self.requests.so_far()
    }

    /// The time since the load began.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits until a backend has this state. If it does not come to that, the drill goes on, and its
    /// bound is not kept.
    pub fn expect(&mut self, backend: &str, state: &str) {
        if let Err(error) = wait_for(&self.agent, backend, state) {
            self.note(format!("{error:#}"));
        }
    }

    /// Starts the next agent on what the last one left.
    ///
    /// # Errors
    /// The next does not start, or takes nothing over.
    pub fn next_agent(&mut self) -> Result<()> {
        self.agent = self.topology.start_agent_with(self.agent.files.clone())?;
        let adopted = self.agent.status()?.get("adopted") == Some(&Value::Bool(true));
        ensure!(adopted, "the next agent has adopted nothing");
        Ok(())
    }

    /// Ends the load.
    pub(super) fn clear(self) -> Result<Outcome> {
        let Self { spans, excesses, requests, lasting, tap, .. } = self;
        let timeline = requests.stop()?;
        let capture = tap.stop()?;
        let mut fates = Fates::default();
        for flow in lasting {
            fates.merge(&flow.stop()?);
        }
        Ok(Outcome { spans, timeline, fates, capture, excesses })
    }
}

/// Waits until a backend of an agent has this state.
pub(super) fn wait_for(agent: &Agent, backend: &str, state: &str) -> Result<()> {
    let mut last = Value::Null;
    wait_until(&format!("{backend} to be {state}"), STATE_LIMIT, || {
        last = agent.backend(backend)?.get("state").cloned().unwrap_or_default();
        Ok((last == state).then_some(()))
    })
    .with_context(|| format!("{backend} is {last}"))
}
