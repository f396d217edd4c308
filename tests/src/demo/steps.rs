//! The steps of the demo, in order. Each checks what it shows.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::http;
use lb_tests::topology::{Agent, Topology, VIP_V4, VIP_V6, port_80};
use serde_json::Value;

use crate::screen::Screen;
use crate::traffic::{Traffic, expect_no_failure};

/// Number of steps.
pub(crate) const COUNT: usize = 12;

/// The configuration the demo runs.
const CONFIGURATION: &str = include_str!("../../../docs/examples/demo.yaml");
/// How long each spread is shown.
const SHOW: Duration = Duration::from_millis(2500);
/// How long the balancer runs without its agent.
const WITHOUT_AGENT: Duration = Duration::from_secs(2);

/// Runs all steps.
pub(crate) fn run(screen: &mut Screen) -> Result<()> {
    let mut topology = screen.step(
        "Build a private network: client - router - balancer, router - three nginx origins",
        |_| Topology::new("demo"),
    )?;
    let result = on_network(screen, &topology);
    if result.is_err() {
        topology.keep_files();
        screen.line(&format!("\nWhat it left to look at: {}", topology.dir().display()));
    }
    result
}

fn on_network(screen: &mut Screen, topology: &Topology) -> Result<()> {
    screen.step("Attach lb-origin on each origin: it unwraps what the balancer sends", |_| {
        topology.attach_origins()
    })?;
    let mut agent = screen.step("Start the agent with docs/examples/demo.yaml", |screen| {
        let agent = topology.start_agent(CONFIGURATION)?;
        show(screen, &agent, &["service", "list"])?;
        show(screen, &agent, &["backend", "list"])?;
        Ok(agent)
    })?;
    screen.step("Status: the program is on the interface", |screen| {
        show(screen, &agent, &["status"])?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        ensure!(program.is_some(), "no XDP program on the balancer's eth0");
        Ok(())
    })?;
    let mut traffic = Traffic::start(&topology.client);
    balance(screen, &mut traffic, &agent)?;
    agent = lose_the_agent(screen, topology, &mut traffic, agent)?;
    screen.step("Trace: the program itself says where one connection goes", |screen| {
        trace(screen, topology, &agent)
    })?;
    screen.step("Doctor: is anything wrong?", |screen| show(screen, &agent, &["doctor"]))?;
    screen.step("Clean up: stop the agent, detach everything", |screen| {
        let all = traffic.stop()?;
        screen.note(&format!("all requests: {} answered, {} failed", all.answered(), all.failed()));
        clean_up(topology, &mut agent)
    })
}

/// Steady spread, another weight, a drain, and back.
fn balance(screen: &mut Screen, traffic: &mut Traffic, agent: &Agent) -> Result<()> {
    screen.step("HTTP over IPv4 and IPv6 through the VIPs, three equal weights", |screen| {
        traffic.look_at_backends(agent)?;
        let phase = traffic.watch(screen, SHOW)?;
        expect_no_failure(&phase)?;
        traffic.expect_spread(&phase)
    })?;
    screen.step("Weight of origin1: 100 -> 20, while traffic runs", |screen| {
        change(screen, traffic, agent, &["backend", "weight", "web/origin1", "20"])?;
        let phase = traffic.watch(screen, SHOW)?;
        expect_no_failure(&phase)?;
        traffic.expect_spread(&phase)
    })?;
    screen.step("Drain origin3: no new request reaches it", |screen| {
        change(screen, traffic, agent, &["backend", "drain", "web/origin3"])?;
        let phase = traffic.watch(screen, SHOW)?;
        expect_no_failure(&phase)?;
        let reached = phase.both().of("origin3");
        ensure!(reached == 0, "{reached} new requests reached origin3 although it is drained");
        traffic.expect_spread(&phase)
    })?;
    screen.step("Undrain origin3, give origin1 its configured weight again", |screen| {
        change(screen, traffic, agent, &["backend", "undrain", "web/origin3"])?;
        change(screen, traffic, agent, &["backend", "weight", "web/origin1", "--reset"])?;
        let phase = traffic.watch(screen, SHOW)?;
        expect_no_failure(&phase)?;
        traffic.expect_spread(&phase)
    })
}

/// Runs a command that moves flows, and says what became of the requests under way.
fn change(screen: &Screen, traffic: &mut Traffic, agent: &Agent, arguments: &[&str]) -> Result<()> {
    let before = traffic.mark()?;
    show(screen, agent, arguments)?;
    traffic.look_at_backends(agent)?;
    let failed = traffic.mark()?.since(&before).both().failed();
    if failed > 0 {
        screen.note(&format!(
            "{failed} request(s) under way during the change failed: connections are not pinned yet"
        ));
    }
    Ok(())
}

/// `kill -9`, a while without an agent, and a new one that adopts what it finds.
fn lose_the_agent(
    screen: &mut Screen,
    topology: &Topology,
    traffic: &mut Traffic,
    mut agent: Agent,
) -> Result<Agent> {
    screen.step("Kill the agent with -9; forward without it; let a new one adopt", |screen| {
        let before = traffic.mark()?;
        let forwarded = agent.packets("forwarded")?;
        agent.process.kill_now()?;
        screen.note("agent killed");
        let without = traffic.watch_from(&before, screen, WITHOUT_AGENT)?;
        expect_no_failure(&without)?;
        agent = topology.start_agent_with(agent.files.clone())?;
        let status = agent.status()?;
        let adopted = status.get("adopted").and_then(Value::as_bool);
        ensure!(adopted == Some(true), "the new agent did not adopt the pins: {status}");
        let now_forwarded = agent.packets("forwarded")?;
        ensure!(
            now_forwarded > forwarded,
            "the counter of forwarded packets did not grow: {forwarded}, then {now_forwarded}"
        );
        screen.note(&format!(
            "new agent: pid {}, pins adopted, forwarded packets {forwarded} -> {now_forwarded}",
            agent.process.pid()
        ));
        let all = traffic.mark()?.since(&before);
        expect_no_failure(&all)?;
        screen.note(&format!("{} requests meanwhile, 0 failed", all.both().answered()));
        Ok(agent)
    })
}

fn trace(screen: &Screen, topology: &Topology, agent: &Agent) -> Result<()> {
    for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
        let (origin, source) = topology
            .client
            .enter(|| http::fetch_from(vip, &[]))?
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("a request to {vip}"))?;
        screen.note(&format!("a request from {source} to {vip} was answered by {origin}"));
        let (from, to) = (source.to_string(), vip.to_string());
        show(screen, agent, &["trace", "--src", &from, "--dst", &to, "--proto", "tcp"])?;
        let trace = agent.trace(source, vip)?;
        let backend = trace.get("backend").and_then(Value::as_str);
        ensure!(
            backend == Some(&format!("web/{origin}")),
            "the trace says {backend:?}, the answer came from {origin}"
        );
    }
    Ok(())
}

fn clean_up(topology: &Topology, agent: &mut Agent) -> Result<()> {
    agent.stop()?;
    agent.detach()?;
    let program = topology.balancer.xdp_program_id("eth0")?;
    ensure!(program.is_none(), "XDP program {program:?} is still on the balancer's eth0");
    let pins = topology.balancer.list(&agent.files.pin_dir)?;
    ensure!(pins.is_empty(), "pins are left: {pins:?}");
    for origin in &topology.origins {
        origin.detach()?;
        let program = origin.host.xdp_program_id("eth0")?;
        ensure!(program.is_none(), "XDP program {program:?} is still on {}", origin.name());
    }
    Ok(())
}

fn show(screen: &Screen, agent: &Agent, arguments: &[&str]) -> Result<()> {
    let finished = agent.ctl(arguments)?;
    screen.command(arguments, &finished.stdout);
    Ok(())
}
