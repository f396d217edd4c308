//! How transitions end: backends are let go when their flows end, and not before.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_common::abi::BackendIndex;
use lb_tests::flows::{Flows, connections};
use lb_tests::process::wait_until;
use lb_tests::topology::{Agent, Topology, VIP_V4, VIP_V6, on_topology, port_80};

use crate::maps::Maps;
use crate::{apply, configuration, only};

/// An idle time-out that a test can sit out.
const SHORT: &str = "2s";
/// Time in which what waits for that time-out happens: a window, then pins, each in whole ticks
/// and found by a sweep.
const LIMIT: Duration = Duration::from_secs(30);
const CONNECTIONS: usize = 60;

/// Connections that speak, and the origin they must be kept by.
fn connect(topology: &Topology) -> Result<Flows> {
    let vips = [port_80(VIP_V4), port_80(VIP_V6)];
    Flows::start(connections::open(&topology.client, &vips, CONNECTIONS)?)
}

/// Waits until only pins keep flows at origin2: every slot has forgotten its previous backend.
fn wait_until_only_pins_hold(maps: &Maps, origin2: BackendIndex) -> Result<()> {
    ensure!(maps.open_windows()? > 0, "no slot is in transition");
    wait_until("the windows to close", LIMIT, || Ok((maps.open_windows()? == 0).then_some(())))?;
    let pins = maps.pins_to(origin2)?;
    ensure!(pins > 0, "no flow is pinned to origin2");
    Ok(())
}

/// Every connection is with its origin, and some are with origin2.
fn expect_kept(flows: &Flows) -> Result<()> {
    let fates = flows.wait_rounds(2)?;
    ensure!(fates.harmed() == 0, "connections: {fates}");
    ensure!(fates.kept_by("origin2") > 0, "no connection was ever at origin2: {fates}");
    Ok(())
}

fn start(topology: &Topology) -> Result<(Agent, Maps, BackendIndex)> {
    let agent = topology.start_agent(&configuration(&only(&[1, 2, 3]), SHORT))?;
    let maps = Maps::open(topology, &agent)?;
    let origin2 = maps.backend("origin2")?.context("origin2 is not in the maps")?;
    ensure!(maps.restless()? == 0, "a new table is in transition");
    Ok((agent, maps, origin2))
}

#[test]
fn a_drained_backend_is_let_go_when_its_flows_end() -> Result<()> {
    on_topology("drain-ends", |topology| {
        let (agent, maps, origin2) = start(topology)?;
        let flows = connect(topology)?;
        agent.ctl(&["backend", "drain", "web/origin2"])?;
        wait_until_only_pins_hold(&maps, origin2)?;
        expect_kept(&flows)?;
        let held = maps.restless()?;
        ensure!(held > 0, "no slot waits for the flows of origin2");
        drop(flows);
        wait_until("the pins to go", LIMIT, || {
            Ok((maps.pins()?.is_empty() && maps.restless()? == 0).then_some(()))
        })
        .with_context(|| format!("{:?} pins, {:?} slots", maps.pins(), maps.restless()))
    })
}

#[test]
fn a_removed_backend_stays_until_its_flows_end() -> Result<()> {
    on_topology("removal-ends", |topology| {
        let (agent, maps, origin2) = start(topology)?;
        let flows = connect(topology)?;
        apply(topology, &agent, &configuration(&only(&[1, 3]), SHORT))?;
        wait_until_only_pins_hold(&maps, origin2)?;
        expect_kept(&flows)?;
        ensure!(maps.backend("origin2")? == Some(origin2), "origin2 was removed with its flows");
        drop(flows);
        wait_until("origin2 to leave the maps", LIMIT, || {
            Ok(maps.backend("origin2")?.is_none().then_some(()))
        })
        .with_context(|| format!("{:?} pins, {:?} slots", maps.pins(), maps.restless()))?;
        ensure!(maps.restless()? == 0, "slots are left in transition");
        Ok(())
    })
}

#[test]
fn windows_that_close_between_changes_break_nothing() -> Result<()> {
    on_topology("windows", |topology| {
        let (agent, maps, _) = start(topology)?;
        let mut born = vec![connect(topology)?];
        for numbers in [&[1, 3][..], &[1, 2, 3], &[2, 3], &[1, 2]] {
            apply(topology, &agent, &configuration(&only(numbers), SHORT))?;
            born.push(connect(topology)?);
            ensure!(maps.open_windows()? > 0, "no slot is in transition");
            wait_until("the windows to close", LIMIT, || {
                Ok((maps.open_windows()? == 0).then_some(()))
            })?;
        }
        for (change, flows) in born.into_iter().enumerate() {
            flows.wait_rounds(2)?;
            let fates = flows.stop()?;
            ensure!(fates.harmed() == 0, "connections born after change {change}: {fates}");
        }
        Ok(())
    })
}

/// Until the next agent has looked at the pins, nothing but them says that origin2 has flows.
#[test]
fn an_agent_that_starts_when_only_pins_hold_a_removed_backend_keeps_it() -> Result<()> {
    on_topology("removal-restart", |topology| {
        let (mut agent, maps, origin2) = start(topology)?;
        let flows = connect(topology)?;
        apply(topology, &agent, &configuration(&only(&[1, 3]), SHORT))?;
        wait_until_only_pins_hold(&maps, origin2)?;
        agent.process.kill_now()?;
        expect_kept(&flows)?;
        let _next = topology.start_agent_with(agent.files.clone())?;
        ensure!(maps.backend("origin2")? == Some(origin2), "origin2 was removed with its flows");
        expect_kept(&flows)
    })
}
