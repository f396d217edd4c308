//! HTTP through the balancer on a guest's kernel, unwrapped by what that kernel has.
//!
//! To add a case: a row in [`SCENARIOS`].

use std::fmt::{self, Display};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::decapsulation::{Decapsulator, Encapsulation, Family, Tunnel};
use crate::http;
use crate::process::wait_until;
use crate::topology::configuration::{self, WEIGHT, backends};
use crate::topology::{
    Agent, CLIENT_V4, CLIENT_V6, ORIGIN_NAMES, ORIGINS_V4, ORIGINS_V6, Topology, VIP_V4, VIP_V6,
    port_80,
};

/// Requests of one scenario: an origin gets none of so many once in a million runs.
const REQUESTS: usize = 40;
/// Many full segments.
const UPLOAD_BYTES: usize = 256 * 1024;

/// The backends are checked like this; the emulated machine is slow.
const CHECK: &str =
    "type: http, path: /, via: tunnel, interval: 2s, timeout: 1900ms, rise: 1, fall: 10";
/// Time until all of them have passed.
const CHECKS_LIMIT: Duration = Duration::from_secs(30);

/// One case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// What the balancer sends.
    pub tunnel: Tunnel,
    /// What takes it apart.
    pub decapsulator: Decapsulator,
    /// How far the case goes.
    pub extent: Extent,
}

/// How far a case goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Requests and an upload are answered, and the decapsulator has counted them.
    Http,
    /// The decapsulator can be set up and removed. For what the balancer does not send yet.
    SetUp,
}

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    http(Encapsulation::Ipip, Family::V4, Family::V4, Decapsulator::Device),
    http(Encapsulation::Ipip, Family::V6, Family::V4, Decapsulator::Device),
    http(Encapsulation::Ipip, Family::V4, Family::V6, Decapsulator::Device),
    http(Encapsulation::Ipip, Family::V6, Family::V6, Decapsulator::Device),
    http(Encapsulation::Ipip, Family::V4, Family::V4, Decapsulator::LbOrigin),
    http(Encapsulation::Ipip, Family::V6, Family::V4, Decapsulator::LbOrigin),
    http(Encapsulation::Ipip, Family::V4, Family::V6, Decapsulator::LbOrigin),
    http(Encapsulation::Ipip, Family::V6, Family::V6, Decapsulator::LbOrigin),
    http(Encapsulation::Gue, Family::V4, Family::V4, Decapsulator::Device),
    http(Encapsulation::Gue, Family::V6, Family::V4, Decapsulator::Device),
    http(Encapsulation::Gue, Family::V4, Family::V6, Decapsulator::Device),
    http(Encapsulation::Gue, Family::V6, Family::V6, Decapsulator::Device),
    http(Encapsulation::Gre, Family::V4, Family::V4, Decapsulator::Device),
    http(Encapsulation::Gre, Family::V6, Family::V4, Decapsulator::Device),
    http(Encapsulation::Gre, Family::V4, Family::V6, Decapsulator::Device),
    http(Encapsulation::Gre, Family::V6, Family::V6, Decapsulator::Device),
    http(Encapsulation::Gue, Family::V4, Family::V6, Decapsulator::LbOrigin),
    http(Encapsulation::Gre, Family::V6, Family::V4, Decapsulator::LbOrigin),
];

const fn http(
    encapsulation: Encapsulation,
    inner: Family,
    outer: Family,
    decapsulator: Decapsulator,
) -> Scenario {
    Scenario { tunnel: Tunnel { encapsulation, inner, outer }, decapsulator, extent: Extent::Http }
}

/// The scenario's name, as in `ipip 4in6, device, http`.
impl Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tunnel { encapsulation, inner, outer } = self.tunnel;
        let extent = match self.extent {
            Extent::Http => "http",
            Extent::SetUp => "set-up only",
        };
        write!(f, "{} {inner}in{outer}, {}, {extent}", encapsulation.name(), self.decapsulator)
    }
}

impl Scenario {
    /// Goes through it and says what was seen; leaves the topology as it was.
    ///
    /// # Errors
    /// When something does not work.
    pub fn run(self, topology: &Topology) -> Result<String> {
        let (tunnel, origins) = (self.tunnel, &topology.origins);
        let attached =
            origins.iter().try_for_each(|origin| self.decapsulator.attach(tunnel, origin));
        let outcome = attached.and_then(|()| match self.extent {
            Extent::Http => self.carries_http(topology),
            Extent::SetUp => Ok("no traffic".to_owned()),
        });
        let detached =
            origins.iter().try_for_each(|origin| self.decapsulator.detach(tunnel, origin));
        outcome.and_then(|remark| detached.map(|()| remark))
    }

    fn carries_http(self, topology: &Topology) -> Result<String> {
        let mut agent = topology.start_agent(&self.configuration())?;
        let before = self.unwrapped(topology)?;
        let outcome = checks_pass(&agent)
            .and_then(|()| self.requests(topology))
            .and_then(|seen| self.trace(&agent).map(|()| seen));
        agent.stop()?;
        agent.detach()?;
        let answered = outcome?;
        for ((name, before), after) in
            ORIGIN_NAMES.iter().zip(before).zip(self.unwrapped(topology)?)
        {
            ensure!(after > before, "{name} answered, but its decapsulator unwrapped nothing");
        }
        Ok(answered)
    }

    fn requests(self, topology: &Topology) -> Result<String> {
        let vip = self.vip();
        // One first: when nothing works, waiting for all of them takes minutes.
        topology.expect_answers(vip, 1)?;
        let tally = topology.expect_answers(vip, REQUESTS)?;
        ensure!(tally.answers.len() == ORIGIN_NAMES.len(), "not every origin answered: {tally}");
        let upload = vec![b'x'; UPLOAD_BYTES];
        topology.client.enter(|| http::fetch(vip, &upload))?.map_err(anyhow::Error::msg)?;
        Ok(tally.to_string())
    }

    /// The kernel runs the program on a packet that is not there, and the agent's model agrees.
    fn trace(self, agent: &Agent) -> Result<()> {
        let vip = self.vip();
        let client = if vip.is_ipv4() { CLIENT_V4.into() } else { IpAddr::from(CLIENT_V6) };
        let trace = agent.trace(SocketAddr::new(client, 1), vip)?;
        ensure!(trace.get("model_agrees") == Some(&true.into()), "the model disagrees: {trace}");
        let outer = trace.get("outer_destination").and_then(Value::as_str).unwrap_or_default();
        let outer: IpAddr = outer.parse().with_context(|| format!("no tunnel in {trace}"))?;
        ensure!(outer.is_ipv4() == (self.tunnel.outer == Family::V4), "the tunnel goes to {outer}");
        Ok(())
    }

    /// Packets that each origin's decapsulator has counted.
    fn unwrapped(self, topology: &Topology) -> Result<Vec<u64>> {
        let count = |origin| self.decapsulator.packets(self.tunnel, origin);
        topology.origins.iter().map(count).collect()
    }

    fn vip(self) -> SocketAddr {
        match self.tunnel.inner {
            Family::V4 => port_80(VIP_V4),
            Family::V6 => port_80(VIP_V6),
        }
    }

    fn configuration(self) -> String {
        let addresses = match self.tunnel.outer {
            Family::V4 => ORIGINS_V4.map(IpAddr::from),
            Family::V6 => ORIGINS_V6.map(IpAddr::from),
        };
        let backends = backends(addresses, [WEIGHT; 3]);
        let encapsulation = self.tunnel.encapsulation.name();
        let text = configuration::tunnelled(encapsulation, &backends, self.vip().ip());
        let pool = "  - name: web\n";
        text.replacen(pool, &format!("{pool}    health: {{ {CHECK} }}\n"), 1)
    }
}

/// Waits until every backend is up by checks that came back through the tunnel.
fn checks_pass(agent: &Agent) -> Result<()> {
    wait_until("checks through the tunnel to pass", CHECKS_LIMIT, || {
        let list = agent.files.ctl_json(&["health", "list"])?;
        let checks = list.get("items").and_then(Value::as_array).context("no items")?;
        let is_up = |check: &Value| check.get("condition").and_then(Value::as_str) == Some("up");
        let are_up = checks.len() == ORIGIN_NAMES.len() && checks.iter().all(is_up);
        Ok(are_up.then_some(()))
    })
}
