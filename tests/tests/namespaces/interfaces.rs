//! Interfaces that come, go and change their names under a running agent, and the pins of links.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use lb_common::abi::map;
use lb_tests::process::{run, wait_until};
use lb_tests::topology::configuration::{WEIGHT, backends, tunnelled, web};
use lb_tests::topology::{
    Agent, COMMAND_LIMIT, ORIGINS_V4, Topology, VIP_V4, binary, on_topology, port_80,
};

const LIMIT: Duration = Duration::from_secs(20);
const EQUAL: [u32; 3] = [WEIGHT; 3];

/// The configuration with a second interface.
fn with_interface(entry: &str) -> String {
    let eth0 = "  - { name: eth0, mode: native }\n";
    web(EQUAL).replace(eth0, &format!("{eth0}  - {{ {entry} }}\n"))
}

fn wait_for_program(topology: &Topology, interface: &str) -> Result<()> {
    wait_until(&format!("a program on {interface}"), LIMIT, || {
        Ok(topology.balancer.xdp_program_id(interface)?.map(drop))
    })
}

fn wait_for_warning(agent: &Agent, words: &str) -> Result<()> {
    wait_until(&format!("the warning {words:?}"), LIMIT, || {
        Ok(agent.status()?.to_string().contains(words).then_some(()))
    })
}

#[test]
fn a_lost_interface_is_told_and_attached_when_it_comes_back() -> Result<()> {
    on_topology("lost", |topology| {
        // A dot, as VLAN interfaces have one.
        topology.balancer.ip("link add bond0.7 type veth peer name peer\n")?;
        let mut agent = topology.start_agent(&with_interface("name: bond0.7"))?;
        wait_for_program(topology, "bond0.7")?;
        topology.balancer.ip("link del bond0.7\n")?;
        wait_for_warning(&agent, "bond0.7 is not attached: there is no such interface")?;
        let doctor = agent.files.ctl(&["doctor"])?;
        ensure!(doctor.stdout.contains("bring the interface back"), "{doctor:?}");

        // It stands in the way neither of other changes nor of the next start.
        agent.files.write_configuration(&with_interface("name: bond0.7").replace("100", "50"))?;
        let generation = agent.generation()?;
        agent.reload()?;
        wait_until("the new generation", LIMIT, || {
            Ok((agent.generation()? > generation).then_some(()))
        })?;
        agent.stop()?;
        let agent = topology.start_agent_with(agent.files.clone())?;
        wait_for_warning(&agent, "bond0.7 is not attached: there is no such interface")?;

        topology.balancer.ip("link add bond0.7 type veth peer name peer\n")?;
        wait_for_program(topology, "bond0.7")?;
        topology.expect_answers(port_80(VIP_V4), 50).map(drop)
    })
}

#[test]
fn a_pin_that_somebody_removed_is_made_again() -> Result<()> {
    on_topology("pin-removed", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        let links = agent.files.links();
        let before = topology.balancer.list(&links)?;
        ensure!(before.len() == 1, "{before:?}");
        let removed = links.join(&before[0]);
        topology.balancer.enter(|| fs::remove_file(&removed))??;
        wait_until("the pin", LIMIT, || {
            Ok((topology.balancer.list(&links)? == before).then_some(()))
        })?;
        agent.stop()?;
        ensure!(topology.balancer.xdp_program_id("eth0")? == program, "forwarding ended");
        Ok(())
    })
}

#[test]
fn without_its_maps_pins_the_program_is_not_exchanged() -> Result<()> {
    on_topology("maps-unpinned", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        let pin = agent.files.maps().join(map::SERVICES);
        topology.balancer.enter(|| fs::remove_file(&pin))??;

        // Another encapsulation is another program.
        let gue = tunnelled("gue", &backends(ORIGINS_V4, EQUAL), VIP_V4.into());
        agent.files.write_configuration(&gue)?;
        let file = agent.files.configuration.display().to_string();
        let refused = agent.files.ctl(&["config", "apply", "--yes", &file])?;
        ensure!(refused.code == Some(1), "{refused:?}");
        ensure!(refused.stderr.contains("SERVICES not pinned"), "{refused:?}");
        ensure!(topology.balancer.xdp_program_id("eth0")? == program, "exchanged");
        topology.expect_answers(port_80(VIP_V4), 50)?;

        agent.stop()
    })
}

#[test]
fn a_renamed_interface_keeps_forwarding_over_a_restart_by_its_new_name() -> Result<()> {
    on_topology("renamed", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        agent.stop()?;
        let links = topology.balancer.list(&agent.files.links())?;
        // Addresses and routes stay: the name alone changes.
        topology.balancer.ip("link set dev eth0 name wan.0\n")?;

        // By its old name it is not there; that ends nothing.
        let mut agent = topology.start_agent_with(agent.files.clone())?;
        wait_for_warning(&agent, "eth0 is not attached: there is no such interface")?;
        topology.expect_answers(port_80(VIP_V4), 50)?;
        agent.stop()?;

        agent.files.write_configuration(&web(EQUAL).replace("eth0", "wan.0"))?;
        let agent = topology.start_agent_with(agent.files.clone())?;
        ensure!(topology.balancer.list(&agent.files.links())? == links, "another link");
        topology.expect_answers(port_80(VIP_V4), 50).map(drop)
    })
}

#[test]
fn detach_removes_nothing_that_no_agent_made() -> Result<()> {
    on_topology("detach-foreign", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        agent.stop()?;
        let foreign = agent.files.pin_dir.join("theirs");
        topology.balancer.enter(|| fs::create_dir(&foreign))??;
        let program = topology.balancer.xdp_program_id("eth0")?;
        let command = |dir: &std::path::Path| -> Result<_> {
            let mut command = topology.balancer.command(binary("lb-agent")?);
            command.arg("detach").arg("--pin-dir").arg(dir);
            run(command, COMMAND_LIMIT)
        };

        let refused = command(&agent.files.pin_dir)?.with_code(6)?;
        ensure!(refused.stderr.contains("is not a pin directory of lb-agent"), "{refused:?}");
        ensure!(topology.balancer.xdp_program_id("eth0")? == program, "it is detached");
        let elsewhere = topology.dir().join("v3/maps");
        fs::create_dir_all(&elsewhere)?;
        command(topology.dir())?.with_code(1)?;
        ensure!(elsewhere.exists(), "a directory elsewhere was emptied");
        topology.expect_answers(port_80(VIP_V4), 50).map(drop)
    })
}
