//! Traffic of every kind at once, and what became of it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_tests::flows::{Fates, Flows, connections, datagrams};
use lb_tests::http::Tally;
use lb_tests::http::load::Load;
use lb_tests::topology::{Host, Topology, VIP_V4, VIP_V6, port_80};

use crate::LIMIT;

/// Connections and UDP flows that begin together.
const CONNECTIONS: usize = 40;
const DATAGRAMS: usize = 20;
/// Requests that show where new connections go.
const SOME: u64 = 200;
/// Pause between two requests of one thread.
const PAUSE: Duration = Duration::from_millis(2);
/// Rounds after which every flow has surely spoken since.
const ROUNDS: u64 = 2;

/// Everything that is under way.
pub(crate) struct Traffic {
    client: Host,
    connections: Vec<Flows>,
    silent: Vec<Flows>,
    datagrams: Vec<Flows>,
    load: Load,
    /// Dropped after the flows that they answer.
    _counters: Vec<datagrams::Counter>,
}

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) connections: Fates,
    pub(crate) silent: Fates,
    pub(crate) datagrams: Fates,
    pub(crate) requests: Tally,
}

fn vips() -> [SocketAddr; 2] {
    [port_80(VIP_V4), port_80(VIP_V6)]
}

impl Traffic {
    /// Starts servers, requests and the first flows of each kind.
    pub(crate) fn start(topology: &Topology) -> Result<Self> {
        let counters: Result<_> = topology.origins.iter().map(datagrams::Counter::start).collect();
        let mut traffic = Self {
            client: topology.client.clone(),
            connections: Vec::new(),
            silent: Vec::new(),
            datagrams: Vec::new(),
            load: Load::start(&topology.client, &vips(), PAUSE),
            _counters: counters?,
        };
        traffic.begin_more()?;
        Ok(traffic)
    }

    /// Begins as many flows of each kind again.
    pub(crate) fn begin_more(&mut self) -> Result<()> {
        let open = || connections::open(&self.client, &vips(), CONNECTIONS);
        self.connections.push(Flows::start(open()?)?);
        self.silent.push(Flows::silent(open()?)?);
        self.datagrams.push(Flows::start(datagrams::open(&self.client, DATAGRAMS)?)?);
        Ok(())
    }

    /// Waits until every flow that is not silent has spoken again.
    pub(crate) fn rounds(&self) -> Result<()> {
        self.connections.iter().chain(&self.datagrams).try_for_each(|flows| {
            flows.wait_rounds(ROUNDS)?;
            Ok(())
        })
    }

    /// Waits until every flow has spoken again, and gives the requests begun since this call.
    pub(crate) fn look(&self) -> Result<Tally> {
        let before = self.load.settle()?;
        self.load.wait_for(SOME, LIMIT)?;
        self.rounds()?;
        Ok(self.load.snapshot().since(&before))
    }

    /// Waits for `count` more requests.
    pub(crate) fn wait_requests(&self, count: u64) -> Result<()> {
        self.load.wait_for(count, LIMIT).map(drop)
    }

    /// What became of the flows so far.
    pub(crate) fn connections(&self) -> Fates {
        merged(self.connections.iter().map(Flows::fates))
    }

    /// Every flow speaks once more and ends.
    pub(crate) fn stop(self) -> Result<Outcome> {
        let stop = |flows: Vec<Flows>| -> Result<Fates> {
            let fates: Result<Vec<_>> = flows.into_iter().map(Flows::stop).collect();
            Ok(merged(fates?))
        };
        Ok(Outcome {
            connections: stop(self.connections)?,
            silent: stop(self.silent)?,
            datagrams: stop(self.datagrams)?,
            requests: self.load.stop()?,
        })
    }
}

impl Outcome {
    /// Fails unless every flow was kept and every request answered.
    pub(crate) fn expect_no_harm(&self) -> Result<()> {
        let Self { connections, silent, datagrams, requests } = self;
        let harmed = [connections, silent, datagrams].map(Fates::harmed).iter().sum::<u64>()
            + requests.failed();
        ensure!(
            harmed == 0,
            "connections: {connections}\nsilent ones: {silent}\nUDP flows: {datagrams}\n\
             requests: {requests}"
        );
        Ok(())
    }
}

fn merged(all: impl IntoIterator<Item = Fates>) -> Fates {
    all.into_iter().fold(Fates::default(), |mut sum, fates| {
        sum.merge(&fates);
        sum
    })
}
