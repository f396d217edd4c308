//! Nothing breaks when backends change: connections, UDP flows and requests under way.
//!
//! Each test has a topology of its own with the real agent. Traffic of every kind runs while
//! backends come, go, drain and change weight, and while the agent is killed; at the end every flow
//! must still be with the origin that took it. What tests see besides is in the maps: pins, slots
//! in transition, backends. They need root and the binaries of `cargo xtask build`.

#[path = "transitions/changes.rs"]
mod changes;
#[path = "transitions/drain.rs"]
mod drain;
#[path = "transitions/ends.rs"]
mod ends;
#[path = "transitions/maps.rs"]
mod maps;
#[path = "transitions/openings.rs"]
mod openings;
#[path = "transitions/schedulers.rs"]
mod schedulers;
#[path = "transitions/traffic.rs"]
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result};
use lb_tests::flows::datagrams;
use lb_tests::topology::configuration::{Backend, WEIGHT, backends, text};
use lb_tests::topology::{Agent, ORIGINS_V4, Topology, VIP_V4, VIP_V6};

/// Time a condition may take that needs no time-out to pass.
const LIMIT: Duration = Duration::from_secs(20);
/// An idle time-out that no test reaches, however slow the machine: silent flows wait for its end.
const LONG: &str = "5m";
/// Pins of the test's agent: enough, and quick to count.
const PINS: u32 = 65_536;

/// The origins with these numbers, from 1, all of the same weight.
fn only(numbers: &[usize]) -> Vec<Backend> {
    let all = (1..).zip(backends(ORIGINS_V4, [WEIGHT; 3]));
    all.filter(|(number, _)| numbers.contains(number)).map(|(_, backend)| backend).collect()
}

/// A pool `web` of these backends, HTTP and UDP services on both VIPs.
fn configuration(backends: &[Backend], flow_idle_timeout: &str) -> String {
    let http = [("web", VIP_V4.into(), "web"), ("web6", VIP_V6.into(), "web")];
    let plain = text(&[("web", backends)], &http);
    let pool = format!("  - name: web\n    flow_idle_timeout: {flow_idle_timeout}\n");
    let limits = format!("limits: {{ pins: {PINS} }}\npools:\n");
    let port = datagrams::PORT;
    let udp = [("udp", VIP_V4.to_string()), ("udp6", VIP_V6.to_string())].map(|(name, vip)| {
        format!(
            "  - {{ name: {name}, vip: \"{vip}\", protocol: udp, ports: [{port}], pool: web }}\n"
        )
    });
    plain.replacen("  - name: web\n", &pool, 1).replacen("pools:\n", &limits, 1) + &udp.concat()
}

/// Makes `text` the running configuration, as an operator does.
fn apply(topology: &Topology, agent: &Agent, text: &str) -> Result<()> {
    let file = topology.dir().join("next.yaml");
    std::fs::write(&file, text).context("writing the next configuration")?;
    let file = file.to_str().context("the name of the next configuration")?;
    agent.ctl(&["config", "apply", file, "--yes", "--max-moved", "100"]).map(drop)
}
