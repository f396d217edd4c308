//! Datagrams that the client's kernel takes apart and the origin's puts together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use lb_tests::flows::large::{self, Echo, Large};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{Agent, ORIGIN_NAMES, Topology, VIP_V4, VIP_V6, on_topology};

/// Flows to each VIP: enough for every origin to have some.
const FLOWS: usize = 40;
/// Sizes of datagrams: the first is the smallest that no packet of 1500 bytes can carry, of either
/// IP version.
const SIZES_BYTES: [usize; 3] = [1_473, 4_000, 20_000];
/// Most of a datagram that one packet on a link of 1500 bytes can carry.
const MOST_IN_A_PACKET_BYTES: usize = 1_480;

/// The web configuration, with UDP services on both VIPs.
fn configuration() -> String {
    let port = large::PORT;
    let service = |name: &str, vip: IpAddr| {
        format!(
            "  - {{ name: {name}, vip: \"{vip}\", protocol: udp, ports: [{port}], pool: web }}\n"
        )
    };
    let services = [service("udp", VIP_V4.into()), service("udp6", VIP_V6.into())];
    web([WEIGHT; 3]) + &services.concat()
}

/// Datagrams of all sizes to both VIPs come back whole, each flow's from one origin, and each took
/// as many packets as fit a link of 1500 bytes, or more.
fn arrive_whole(topology: &Topology, agent: &Agent) -> Result<()> {
    let _servers: Vec<_> = topology.origins.iter().map(Echo::start).collect::<Result<_>>()?;
    for vip in [IpAddr::from(VIP_V4), VIP_V6.into()] {
        let before = agent.packets("forwarded")?;
        let mut origins = BTreeSet::new();
        for number in 0..FLOWS {
            let flow = Large::open(&topology.client, vip)?;
            let mut answered = BTreeSet::new();
            for bytes in SIZES_BYTES {
                let origin = flow.ask(bytes);
                answered.insert(origin.with_context(|| format!("flow {number} to {vip}"))?);
            }
            ensure!(answered.len() == 1, "a flow went to {answered:?}");
            origins.extend(answered);
        }
        ensure!(origins.len() == ORIGIN_NAMES.len(), "only {origins:?} were reached");
        let fragments = |bytes: &usize| (bytes + 8).div_ceil(MOST_IN_A_PACKET_BYTES);
        let least = FLOWS * SIZES_BYTES.iter().map(fragments).sum::<usize>();
        let forwarded = agent.packets("forwarded")? - before;
        ensure!(forwarded >= u64::try_from(least)?, "{forwarded} packets for {least} fragments");
    }
    Ok(())
}

#[test]
fn fragments_follow_their_first_so_that_datagrams_arrive_whole() -> Result<()> {
    on_topology("fragments", |topology| {
        let agent = topology.start_agent(&configuration())?;
        arrive_whole(topology, &agent)?;
        let reported = agent.packets("too_big_reported")?;
        ensure!(reported == 0, "{reported} fragments were too big");
        Ok(())
    })
}

/// A first fragment that does not fit once wrapped is reported, and the client makes smaller ones.
#[test]
fn fragments_adapt_to_a_narrow_link() -> Result<()> {
    on_topology("narrow-fragments", |topology| {
        topology.balancer.ip("link set dev eth0 mtu 1500\n")?;
        topology.router.ip("link set dev balancer mtu 1500\n")?;
        let agent = topology.start_agent(&configuration())?;
        arrive_whole(topology, &agent)?;
        ensure!(agent.packets("too_big_reported")? > 0, "nothing was too big");
        Ok(())
    })
}
