//! Health checks against real servers: what fails them is left, and taken back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::flows::{Flows, connections};
use lb_tests::http::load::Load;
use lb_tests::process::wait_until;
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{Agent, Topology, VIP_V4, on_topology, port_80};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);
const SOME: u64 = 200;
/// Quick checks, so that the tests are.
const QUICK: &str = "type: http, path: /, interval: 100ms, timeout: 50ms, rise: 2, fall: 2";

/// The pool `web`, checked like this.
pub(crate) fn checked(check: &str) -> String {
    let pool = "- name: web\n";
    web([WEIGHT; 3]).replacen(pool, &format!("{pool}    health: {{ {check} }}\n"), 1)
}

fn state(agent: &Agent, backend: &str) -> Result<String> {
    let backend = agent.backend(backend)?;
    let state = backend.get("state").and_then(|state| state.as_str());
    state.map(str::to_owned).with_context(|| format!("no state in {backend}"))
}

pub(crate) fn wait_for(agent: &Agent, backend: &str, wanted: &str) -> Result<()> {
    wait_until(&format!("{backend} to be {wanted}"), LIMIT, || {
        Ok((state(agent, backend)? == wanted).then_some(()))
    })
}

/// An agent whose backends have all passed their first check.
pub(crate) fn started(topology: &Topology, check: &str) -> Result<Agent> {
    let agent = topology.start_agent(&checked(check))?;
    for backend in ["web/origin1", "web/origin2", "web/origin3"] {
        wait_for(&agent, backend, "active")?;
    }
    Ok(agent)
}

#[test]
fn a_server_that_hangs_is_left_and_taken_back_when_it_answers() -> Result<()> {
    on_topology("hung", |topology| {
        let agent = started(topology, QUICK)?;
        topology.origins[1].nginx.signal(Signal::SIGSTOP)?;
        wait_for(&agent, "web/origin2", "down")?;
        let tally = topology.expect_answers(port_80(VIP_V4), 100)?;
        ensure!(tally.of("origin2") == 0, "sent to a server that is down: {tally}");

        topology.origins[1].nginx.signal(Signal::SIGCONT)?;
        wait_for(&agent, "web/origin2", "active")?;
        let tally = topology.expect_answers(port_80(VIP_V4), 100)?;
        ensure!(tally.of("origin2") > 0, "not taken back: {tally}");
        Ok(())
    })
}

#[test]
fn flows_of_other_backends_do_not_notice_one_that_dies() -> Result<()> {
    on_topology("dies", |topology| {
        let agent = started(topology, QUICK)?;
        let lasting = connections::open(&topology.client, &[port_80(VIP_V4)], 60)?;
        let lasting = Flows::start(lasting)?;
        let before = lasting.fates();
        topology.origins[1].nginx.kill_now()?;
        wait_for(&agent, "web/origin2", "down")?;
        let load = Load::start(&topology.client, &[port_80(VIP_V4)], PAUSE);
        load.wait_for(SOME, LIMIT)?;
        let tally = load.stop()?;
        let after = lasting.stop()?;
        ensure!(before.kept_by("origin2") > 0, "no connection was at origin2: {before}");
        for origin in ["origin1", "origin3"] {
            ensure!(after.kept_by(origin) == before.kept_by(origin), "{before}, then {after}");
        }
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        ensure!(tally.of("origin2") == 0, "sent to a server that is down: {tally}");
        Ok(())
    })
}

#[test]
fn what_is_down_stays_down_over_a_crash_of_the_agent() -> Result<()> {
    on_topology("down-crash", |topology| {
        let mut agent = started(topology, QUICK)?;
        topology.origins[1].nginx.kill_now()?;
        wait_for(&agent, "web/origin2", "down")?;
        let load = Load::start(&topology.client, &[port_80(VIP_V4)], PAUSE);
        load.wait_for(SOME, LIMIT)?;
        agent.process.kill_now()?;
        load.wait_for(SOME, LIMIT)?;
        let next = topology.start_agent_with(agent.files.clone())?;
        load.wait_for(SOME, LIMIT)?;
        let after = state(&next, "web/origin2")?;
        ensure!(after == "down" || after == "waiting", "{after} without a check");
        let tally = load.stop()?;
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        Ok(())
    })
}

#[test]
fn a_check_that_fails_everywhere_takes_nothing_out() -> Result<()> {
    on_topology("panic", |topology| {
        let mut agent = started(topology, QUICK)?;
        let load = Load::start(&topology.client, &[port_80(VIP_V4)], PAUSE);
        load.wait_for(SOME, LIMIT)?;
        // Nobody listens there.
        agent
            .files
            .write_configuration(&checked(&format!("{QUICK}, port: 81, panic_threshold: 70")))?;
        agent.reload()?;
        wait_until("all checks to fail", LIMIT, || {
            let log = agent.process.output();
            Ok((log.matches("backend_down").count() >= 3).then_some(()))
        })?;
        load.wait_for(SOME, LIMIT)?;
        let tally = load.stop()?;
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        agent.stop()
    })
}

#[test]
fn no_backend_is_in_service_before_its_first_check() -> Result<()> {
    on_topology("first-check", |topology| {
        let never = "type: tcp, port: 81, interval: 1h, timeout: 1s, panic_threshold: 0";
        let agent = topology.start_agent(&checked(never))?;
        for backend in ["web/origin1", "web/origin2", "web/origin3"] {
            let state = state(&agent, backend)?;
            ensure!(state == "waiting" || state == "down", "{backend} is {state}");
        }
        ensure!(topology.requests(port_80(VIP_V4), 1)?.answered() == 0, "somebody answered");
        ensure!(agent.packets("no_backend")? > 0, "no packet came");
        Ok(())
    })
}
