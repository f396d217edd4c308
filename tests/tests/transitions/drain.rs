//! A drain as an operation: it has a deadline, says how far it is, has an end that a script can wait
//! for, and survives the agent.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::flows::{Fates, Flows, connections};
use lb_tests::process::wait_until;
use lb_tests::topology::{Agent, Topology, VIP_V4, VIP_V6, on_topology, port_80};

use crate::{configuration, only};

/// An idle time-out that a test can sit out.
const SHORT: &str = "2s";
const LIMIT: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 60;
const NOT_IN_TIME: i32 = 8;

fn start(topology: &Topology) -> Result<(Agent, Flows, u64)> {
    let agent = topology.start_agent(&configuration(&only(&[1, 2, 3]), SHORT))?;
    let vips = [port_80(VIP_V4), port_80(VIP_V6)];
    let flows = Flows::start(connections::open(&topology.client, &vips, CONNECTIONS)?)?;
    let at_origin2 = flows.wait_rounds(1)?.kept_by("origin2");
    ensure!(at_origin2 > 0, "no connection is at origin2");
    Ok((agent, flows, at_origin2))
}

fn drain_state(agent: &Agent) -> Result<String> {
    let backend = agent.backend("web/origin2")?;
    let state = backend.pointer("/drain/state").and_then(|state| state.as_str());
    state.map(str::to_owned).context("no drain is shown")
}

#[test]
fn drain_is_an_operation_with_a_deadline_and_an_end() -> Result<()> {
    on_topology("drain-deadline", |topology| {
        let (agent, flows, _) = start(topology)?;
        let line = ["backend", "drain", "web/origin2", "--deadline", "3s", "--wait"];
        let late = agent.files.ctl(&line)?.with_code(NOT_IN_TIME)?;
        ensure!(late.stderr.contains("left at the deadline"), "{late:?}");
        ensure!(drain_state(&agent)? == "overdue", "{:?}", drain_state(&agent));
        let Fates { moved, broken, .. } = flows.wait_rounds(2)?;
        ensure!(moved.is_empty() && broken.is_empty(), "harmed: {moved:?}, {broken:?}");

        drop(flows);
        let line = ["backend", "drain", "web/origin2", "--deadline", "1m", "--wait"];
        let done = agent.files.ctl(&line)?.with_code(0)?;
        ensure!(done.stdout.contains("done: nothing leads to it any more"), "{done:?}");
        ensure!(drain_state(&agent)? == "done", "{:?}", drain_state(&agent));

        agent.ctl(&["backend", "undrain", "web/origin2"])?;
        let backend = agent.backend("web/origin2")?;
        ensure!(backend["drain"].is_null(), "{backend}");
        // Another drain, of flows that nobody has counted yet: not the one that was done.
        let again = agent.files.ctl_json(&["backend", "drain", "web/origin2"])?;
        let drain = again.pointer("/item/drain").context("no drain is shown")?;
        ensure!(drain["state"] == "draining" && drain["flows_left"].is_null(), "{drain}");
        Ok(())
    })
}

#[test]
fn flows_left_at_the_deadline_end_by_force_though_the_agent_was_killed() -> Result<()> {
    on_topology("drain-forced", |topology| {
        let (mut agent, flows, at_origin2) = start(topology)?;
        let line = ["--deadline", "6s", "--force-at-deadline"];
        agent.ctl(&[&["backend", "drain", "web/origin2"], &line[..]].concat())?;
        ensure!(flows.wait_rounds(1)?.harmed() == 0, "before the deadline");
        agent.process.kill_now()?;
        let agent = topology.start_agent_with(agent.files.clone())?;

        agent.ctl(&["backend", "drain", "web/origin2", "--wait"])?;
        let backend = agent.backend("web/origin2")?;
        ensure!(backend["state"] == "drained", "{backend}");
        let packets = || -> Result<u64> {
            let shown = agent.backend("web/origin2")?;
            shown["traffic"]["packets"].as_u64().context("no count of packets")
        };
        let before = packets()?;
        wait_until("the flows of origin2 to end", LIMIT, || {
            Ok((flows.fates().harmed() == at_origin2).then_some(()))
        })?;
        let fates = flows.wait_rounds(1)?;
        ensure!(fates.harmed() == at_origin2 && fates.kept_by("origin2") == 0, "{fates}");
        ensure!(packets()? == before, "packets went to a backend that is drained");
        topology.expect_answers(port_80(VIP_V4), 50).map(drop)
    })
}
