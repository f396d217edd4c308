//! Datagrams that the client's kernel takes apart and the origin's puts together.

use std::collections::BTreeSet;
use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use lb_tests::flows::large::{self, Echo, Large};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{ORIGIN_NAMES, VIP_V4, VIP_V6, on_topology};

/// Flows to each VIP: enough for every origin to have some.
const FLOWS: usize = 24;
/// Sizes of datagrams, the first of which fills two packets of 1500 bytes hardly more than one.
const SIZES_BYTES: [usize; 3] = [1_480, 4_000, 20_000];
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

#[test]
fn fragments_follow_their_first_so_that_datagrams_arrive_whole() -> Result<()> {
    on_topology("fragments", |topology| {
        let _servers: Vec<_> = topology.origins.iter().map(Echo::start).collect::<Result<_>>()?;
        let agent = topology.start_agent(&configuration())?;
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
            let fragments: usize =
                SIZES_BYTES.iter().map(|bytes| (bytes + 8).div_ceil(MOST_IN_A_PACKET_BYTES)).sum();
            let forwarded = agent.packets("forwarded")? - before;
            let least = u64::try_from(FLOWS * fragments)?;
            ensure!(forwarded >= least, "{forwarded} packets for {least} fragments");
        }
        Ok(())
    })
}
