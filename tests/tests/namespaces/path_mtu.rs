//! Links narrower than the client's, on the way to the origin and on the way back.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use lb_tests::http;
use lb_tests::process::wait_until;
use lb_tests::topology::{
    Agent, CLIENT_V4, CLIENT_V6, Host, LARGE, LARGE_COPIES, Topology, VIP_V4, VIP_V6, on_topology,
    port_80,
};
use serde_json::Value;

use crate::two_interfaces::configuration;

const LIMIT: Duration = Duration::from_secs(20);
const UPLOAD_BYTES: usize = 256 * 1024;
/// What the client's link takes, and so its segments before it knows better.
const CLIENT_MTU_BYTES: u64 = 1500;
/// Outer headers, by the VIP's version: IPv4 for IPv4, IPv6 for IPv6.
const OVERHEADS_BYTES: [u64; 2] = [20, 40];

fn vips() -> [SocketAddr; 2] {
    [port_80(VIP_V4), port_80(VIP_V6)]
}

/// What a host believes to be the largest packet that reaches an address; nothing if nobody has
/// told it.
fn path_mtu(host: &Host, to: IpAddr) -> Result<Option<u64>> {
    let route = host.ip_json(&["route", "get", &to.to_string()])?;
    Ok(route.pointer("/0/metrics/0/mtu").and_then(Value::as_u64))
}

/// An upload to each VIP completes, in segments that fit a link of `mtu_bytes` once wrapped.
fn uploads_adapt(topology: &Topology, agent: &Agent, mtu_bytes: u64) -> Result<()> {
    let upload = vec![b'x'; UPLOAD_BYTES];
    for (vip, overhead_bytes) in vips().into_iter().zip(OVERHEADS_BYTES) {
        let before = agent.packets("too_big_reported")?;
        ensure!(path_mtu(&topology.client, vip.ip())?.is_none(), "the client knows already");
        let sent = topology.client.enter(|| http::upload(vip, &upload, LIMIT))?;
        sent.map_err(anyhow::Error::msg).with_context(|| format!("uploading to {vip}"))?;
        ensure!(agent.packets("too_big_reported")? > before, "nothing was too big");
        let known = path_mtu(&topology.client, vip.ip())?;
        ensure!(known == Some(mtu_bytes - overhead_bytes), "{vip}: the client was told {known:?}");
    }
    Ok(())
}

#[test]
fn an_upload_adapts_to_a_narrow_link_behind_the_balancer() -> Result<()> {
    const NARROW_MTU_BYTES: u32 = 1400;
    on_topology("narrow-behind", |topology| {
        topology.reach_origins_by_eth1(NARROW_MTU_BYTES)?;
        let agent = topology.start_agent(&configuration(&["eth0", "eth1"]))?;
        uploads_adapt(topology, &agent, NARROW_MTU_BYTES.into())
    })
}

/// One interface, whose link takes what a client sends, but not wrapped.
#[test]
fn an_upload_adapts_where_only_the_outer_header_is_too_much() -> Result<()> {
    on_topology("outer-too-much", |topology| {
        topology.balancer.ip(&format!("link set dev eth0 mtu {CLIENT_MTU_BYTES}\n"))?;
        topology.router.ip(&format!("link set dev balancer mtu {CLIENT_MTU_BYTES}\n"))?;
        let agent = topology.start_agent(&configuration(&["eth0"]))?;
        uploads_adapt(topology, &agent, CLIENT_MTU_BYTES)
    })
}

/// The same, seen before a packet is: of each backend, by name, and with what would cure it.
#[test]
fn a_way_that_is_too_narrow_for_a_backend_is_told_before_a_packet_is_too_big() -> Result<()> {
    on_topology("preflight", |topology| {
        let findings = |agent: &Agent| -> Result<Vec<(String, String)>> {
            let doctor = agent.files.ctl_json(&["doctor"])?;
            let items = doctor.get("items").and_then(Value::as_array).context("no items")?;
            let text = |item: &Value, field: &str| item[field].as_str().unwrap_or("").to_owned();
            let of_mtu = items.iter().filter(|item| item["check"] == "mtu");
            Ok(of_mtu.map(|item| (text(item, "message"), text(item, "cure"))).collect())
        };
        let agent = topology.start_agent(&configuration(&["eth0"]))?;
        let [(fits, _)] = &findings(&agent)?[..] else { bail!("{:?}", findings(&agent)) };
        ensure!(fits.contains("fit"), "{fits}");

        topology.balancer.ip(&format!("link set dev eth0 mtu {CLIENT_MTU_BYTES}\n"))?;
        let narrow = wait_until("the doctor to find the narrow link", LIMIT, || {
            let found = findings(&agent)?;
            Ok((found.len() > 1).then_some(found))
        })?;
        for (message, cure) in narrow {
            ensure!(message.contains("backend ") && message.contains("1500 bytes"), "{message}");
            ensure!(cure.contains("mtu 15"), "{cure}");
        }
        ensure!(agent.packets("too_big_reported")? == 0, "a packet was too big");
        Ok(())
    })
}

/// Origins answer the client directly. The router that cannot forward what they send says so to the
/// VIP, that is, to the balancer, which alone knows whose packet it was.
#[test]
fn a_download_adapts_to_a_narrow_link_before_the_client() -> Result<()> {
    const NARROW_MTU_BYTES: u64 = 1300;
    on_topology("narrow-before", |topology| {
        // The client's own end stays as it is, so that it asks for larger segments than arrive.
        topology.router.ip(&format!("link set dev client mtu {NARROW_MTU_BYTES}\n"))?;
        let _agent = topology.start_agent(&configuration(&["eth0"]))?;
        for (vip, client) in vips().into_iter().zip([CLIENT_V4.into(), IpAddr::from(CLIENT_V6)]) {
            let answer = topology.client.enter(|| http::download(vip, LARGE, LIMIT))?;
            let body = answer.map_err(anyhow::Error::msg);
            let body = body.with_context(|| format!("downloading from {vip}"))?;
            for origin in &topology.origins {
                let answered = body == origin.name().repeat(LARGE_COPIES);
                let wanted = answered.then_some(NARROW_MTU_BYTES);
                let known = path_mtu(&origin.host, client)?;
                ensure!(known == wanted, "{} was told {known:?}, not {wanted:?}", origin.name());
            }
        }
        Ok(())
    })
}
