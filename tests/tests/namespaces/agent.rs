//! The agent's life: killed, adopted, detached, reloaded.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::http::load::Load;
use lb_tests::process::{tail, wait_until};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{AgentFiles, VIP_V4, VIP_V6, on_topology, port_80};

const LIMIT: Duration = Duration::from_secs(20);
/// Pause between two requests of one thread of background load.
const PAUSE: Duration = Duration::from_millis(1);
/// Requests in each part of a test under load.
const SOME: u64 = 200;
const EQUAL: [u32; 3] = [WEIGHT; 3];

#[test]
fn forwarding_survives_kill_dash_nine_and_the_next_agent_adopts_the_pins() -> Result<()> {
    on_topology("kill", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        ensure!(agent.status()?.get("adopted") == Some(&false.into()), "adopted from nobody");
        agent.ctl(&["backend", "weight", "web/origin1", "300"])?;
        let program = topology.balancer.xdp_program_id("eth0")?.context("no program")?;
        let load = Load::start(&topology.client, &[port_80(VIP_V4), port_80(VIP_V6)], PAUSE);
        load.wait_for(SOME, LIMIT)?;
        let forwarded = agent.packets("forwarded")?;
        agent.process.kill_now()?;
        load.wait_for(SOME, LIMIT)?;
        let orphan = topology.balancer.xdp_program_id("eth0")?;
        ensure!(orphan == Some(program), "program {program} before the kill, {orphan:?} after");
        let next = topology.start_agent_with(agent.files.clone())?;
        ensure!(next.status()?.get("adopted") == Some(&true.into()), "the pins were not adopted");
        load.wait_for(SOME, LIMIT)?;
        let grown = next.packets("forwarded")?;
        // Every request is several packets, and two parts of the load came after the first count.
        ensure!(grown > forwarded + 2 * SOME, "counter went from {forwarded} to {grown}");
        let tally = load.stop()?;
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        let weight = next.backend("web/origin1")?;
        ensure!(
            weight.get("weight_effective") == Some(&300.into()),
            "the operator's weight did not survive: {weight}"
        );
        Ok(())
    })
}

#[test]
fn a_stopped_agent_leaves_forwarding_in_place_and_detach_removes_everything() -> Result<()> {
    on_topology("detach", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        agent.stop()?;
        topology.expect_answers(port_80(VIP_V4), 50)?;
        ensure!(!topology.balancer.list(&agent.files.pin_dir)?.is_empty(), "no pins to adopt");
        agent.detach()?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        ensure!(program.is_none(), "program {program:?} is still attached");
        let pins = topology.balancer.list(&agent.files.pin_dir)?;
        ensure!(pins.is_empty(), "pins are left: {pins:?}");
        // And the way is free for a new one.
        let agent = topology.start_agent_with(agent.files.clone())?;
        ensure!(agent.status()?.get("adopted") == Some(&false.into()), "adopted from nobody");
        topology.expect_answers(port_80(VIP_V6), 50).map(drop)
    })
}

#[test]
fn sigterm_ends_forwarding_if_the_agent_was_told_not_to_keep_it() -> Result<()> {
    on_topology("no-keep", |topology| {
        let files = topology.agent_files("agent");
        files.write_configuration(&web(EQUAL))?;
        let started = |arguments: &[&'static str]| {
            let files = AgentFiles { arguments: arguments.to_vec(), ..files.clone() };
            topology.start_agent_with(files)
        };
        // The last one counts, as where a unit's arguments are followed by an operator's.
        started(&["--no-keep", "--keep"])?.stop()?;
        topology.expect_answers(port_80(VIP_V4), 50)?;
        let mut agent = started(&["--no-keep"])?;
        ensure!(agent.status()?.get("adopted") == Some(&true.into()), "nothing was kept");
        agent.process.kill_now()?;
        topology.expect_answers(port_80(VIP_V4), 50)?;

        started(&["--keep", "--no-keep"])?.stop()?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        ensure!(program.is_none(), "program {program:?} is still attached");
        ensure!(!files.pin_dir.exists() || topology.balancer.list(&files.pin_dir)?.is_empty());
        Ok(())
    })
}

#[test]
fn reload_on_sighup_applies_the_new_file() -> Result<()> {
    on_topology("reload", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        let generation = agent.generation()?;
        agent.files.write_configuration(&web([WEIGHT, 0, 0]))?;
        agent.reload()?;
        wait_until("a new generation", LIMIT, || {
            Ok((agent.generation()? > generation).then_some(()))
        })?;
        for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
            let tally = topology.expect_answers(vip, 100)?;
            ensure!(tally.of("origin1") == 100, "weights 100:0:0 gave {tally}");
        }
        Ok(())
    })
}

#[test]
fn broken_file_on_sighup_changes_nothing() -> Result<()> {
    on_topology("broken-reload", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        let generation = agent.generation()?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        let broken = web(EQUAL).replace("weight: 100", "weight: 1001");
        agent.files.write_configuration(&broken)?;
        agent.reload()?;
        let file = agent.files.configuration.display().to_string();
        wait_until("a complaint about the file", LIMIT, || {
            let log = agent.process.output();
            Ok((log.contains(&file) && log.contains("1001")).then_some(()))
        })
        .with_context(|| format!("the log says:\n{}", tail(&agent.process.output())))?;
        agent.process.expect_running()?;
        ensure!(agent.generation()? == generation, "the generation changed");
        ensure!(topology.balancer.xdp_program_id("eth0")? == program, "the program changed");
        let weight = agent.backend("web/origin1")?;
        ensure!(weight.get("weight_effective") == Some(&100.into()), "{weight}");
        topology.expect_answers(port_80(VIP_V4), 100).map(drop)
    })
}
