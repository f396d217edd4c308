//! Clients come in by one interface, and origins are reached by another.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::http;
use lb_tests::topology::configuration::{WEIGHT, backends, text};
use lb_tests::topology::{
    Agent, ORIGIN_NAMES, ORIGINS_V4, ORIGINS_V6, Topology, VIP_V4, VIP_V6, on_topology, port_80,
};

const LIMIT: Duration = Duration::from_secs(20);
/// Room for a client's 1500 bytes and any outer header.
const MTU_BYTES: u32 = 1600;
/// Requests after which every origin has surely had one.
const SOME: usize = 60;

/// Both VIPs, over tunnels of both versions, with the program on these interfaces.
pub(crate) fn configuration(interfaces: &[&str]) -> String {
    let (v4, v6) = (backends(ORIGINS_V4, [WEIGHT; 3]), backends(ORIGINS_V6, [WEIGHT; 3]));
    let services = [("web", VIP_V4.into(), "over4"), ("web6", VIP_V6.into(), "over6")];
    let text = text(&[("over4", &v4), ("over6", &v6)], &services);
    let entry = |name: &str| format!("  - {{ name: {name}, mode: native }}\n");
    let entries: String = interfaces.iter().map(|name| entry(name)).collect();
    text.replace(&entry("eth0"), &entries)
}

/// Requests and uploads to both VIPs are answered, by way of the other interface alone.
fn carries_http(topology: &Topology, agent: &Agent) -> Result<()> {
    let upload = vec![b'x'; 256 * 1024];
    for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
        let before = agent.packets("redirected")?;
        let tally = topology.expect_answers(vip, SOME)?;
        ensure!(tally.answers.len() == ORIGIN_NAMES.len(), "not every origin answered: {tally}");
        let sent = topology.client.enter(|| http::upload(vip, &upload, LIMIT))?;
        sent.map_err(anyhow::Error::msg).with_context(|| format!("uploading to {vip}"))?;
        let redirected = agent.packets("redirected")? - before;
        // A request is a SYN, the request itself and some acknowledgements; an upload as many
        // packets as fit no more than 1500 bytes.
        let least = 2 * SOME + upload.len() / 1500;
        ensure!(redirected >= u64::try_from(least)?, "{redirected} packets were redirected");
    }
    for reason in ["forwarded", "wrong_interface"] {
        let packets = agent.packets(reason)?;
        ensure!(packets == 0, "{packets} packets ended as {reason}");
    }
    Ok(())
}

#[test]
fn requests_leave_by_the_second_interface() -> Result<()> {
    on_topology("client-first", |topology| {
        topology.reach_origins_by_eth1(MTU_BYTES)?;
        let agent = topology.start_agent(&configuration(&["eth0", "eth1"]))?;
        carries_http(topology, &agent)
    })
}

#[test]
fn requests_leave_by_the_first_interface() -> Result<()> {
    on_topology("client-second", |topology| {
        topology.reach_origins_by_eth1(MTU_BYTES)?;
        let agent = topology.start_agent(&configuration(&["eth1", "eth0"]))?;
        carries_http(topology, &agent)
    })
}

/// Two are listed, so packets may leave by any that leads to a backend.
#[test]
fn requests_leave_by_an_interface_that_is_not_listed_beside_others() -> Result<()> {
    on_topology("not-listed", |topology| {
        topology.reach_origins_by_eth1(MTU_BYTES)?;
        topology.balancer.ip("link add spare0 type veth peer name spare1\n")?;
        let agent = topology.start_agent(&configuration(&["eth0", "spare0"]))?;
        ensure!(topology.balancer.xdp_program_id("eth1")?.is_none(), "eth1 has a program");
        carries_http(topology, &agent)
    })
}

#[test]
fn with_a_single_interface_origins_behind_another_are_out_of_reach_until_it_is_listed() -> Result<()>
{
    on_topology("out-of-reach", |topology| {
        topology.reach_origins_by_eth1(MTU_BYTES)?;
        let agent = topology.start_agent(&configuration(&["eth0"]))?;
        for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
            let before = agent.packets("wrong_interface")?;
            let tally = topology.requests(vip, 1)?;
            ensure!(tally.answered() == 0, "{tally}");
            ensure!(agent.packets("wrong_interface")? > before, "not counted as wrong_interface");
        }
        let doctor = agent.files.ctl(&["doctor"])?;
        ensure!(doctor.code == Some(1) && doctor.stdout.contains("eth1"), "{doctor:?}");

        let file = topology.dir().join("both.yaml");
        std::fs::write(&file, configuration(&["eth0", "eth1"]))?;
        agent.ctl(&["config", "apply", "--yes", &file.display().to_string()])?;
        for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
            topology.expect_answers(vip, SOME)?;
        }
        Ok(())
    })
}
