//! Where requests go: spread, weights, drains, tunnels, next hops, and what is not balanced.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::http;
use lb_tests::process::wait_until;
use lb_tests::topology::configuration::{WEIGHT, backends, text, web};
use lb_tests::topology::{
    Agent, BALANCER_V4, BALANCER_V6, ORIGIN_NAMES, ORIGINS_V4, ORIGINS_V6, Topology, VIP_V4,
    VIP_V6, on_topology, port_80, receive,
};
use serde_json::Value;

/// Requests after which a share is known to about a fifth of itself.
const MANY: usize = 600;
const LIMIT: Duration = Duration::from_secs(10);
const EQUAL: [u32; 3] = [WEIGHT; 3];

fn vips() -> [SocketAddr; 2] {
    [port_80(VIP_V4), port_80(VIP_V6)]
}

#[test]
fn http_reaches_every_origin_over_ipv4_and_ipv6() -> Result<()> {
    on_topology("every-origin", |topology| {
        let _agent = topology.start_agent(&web(EQUAL))?;
        for vip in vips() {
            let tally = topology.expect_answers(vip, MANY)?;
            for origin in ORIGIN_NAMES {
                let share = tally.share(origin);
                ensure!((0.23..0.43).contains(&share), "{origin} got {share:.3} of {tally}");
            }
        }
        Ok(())
    })
}

#[test]
fn all_four_tunnel_family_combinations_carry_http() -> Result<()> {
    let (v4, v6) = (backends(ORIGINS_V4, EQUAL), backends(ORIGINS_V6, EQUAL));
    let pools: &[(&str, &[_])] = &[("over4", &v4), ("over6", &v6)];
    for [pool_of_v4, pool_of_v6] in [["over4", "over6"], ["over6", "over4"]] {
        let services = [("web", VIP_V4.into(), pool_of_v4), ("web6", VIP_V6.into(), pool_of_v6)];
        on_topology("tunnels", |topology| {
            let agent = topology.start_agent(&text(pools, &services))?;
            for (vip, pool) in vips().into_iter().zip([pool_of_v4, pool_of_v6]) {
                carries_http(topology, &agent, vip, pool == "over4")
                    .with_context(|| format!("{vip} by pool {pool}"))?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Requests of all sizes to `vip` are answered, through a tunnel of the family expected.
fn carries_http(
    topology: &Topology,
    agent: &Agent,
    vip: SocketAddr,
    outer_is_v4: bool,
) -> Result<()> {
    let tally = topology.expect_answers(vip, 100)?;
    ensure!(tally.answers.len() == ORIGIN_NAMES.len(), "not every origin answered: {tally}");
    // Full segments fill the client's MTU of 1500; wrapped they need the tunnel's 1600.
    let upload = vec![b'x'; 256 * 1024];
    topology.client.enter(|| http::fetch(vip, &upload))?.map_err(anyhow::Error::msg)?;
    let source = SocketAddr::new(if vip.is_ipv4() { "10.1.0.2" } else { "fd00:1::2" }.parse()?, 1);
    let trace = agent.trace(source, vip)?;
    let outer = trace.get("outer_destination").and_then(Value::as_str).context("no tunnel")?;
    let outer: IpAddr = outer.parse().context(outer.to_owned())?;
    ensure!(outer.is_ipv4() == outer_is_v4, "the tunnel goes to {outer}");
    Ok(())
}

#[test]
fn weight_change_shifts_the_spread() -> Result<()> {
    on_topology("weight", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        for vip in vips() {
            let before = topology.expect_answers(vip, MANY)?;
            ensure!(before.share("origin1") > 0.23, "before the change: {before}");
        }
        agent.ctl(&["backend", "weight", "web/origin1", "10"])?;
        for vip in vips() {
            let after = topology.expect_answers(vip, MANY)?;
            let share = after.share("origin1");
            // 10 of 210 is 0.048.
            ensure!((0.01..0.10).contains(&share), "weights 10:100:100 gave {after}");
        }
        agent.ctl(&["backend", "weight", "web/origin1", "--reset"])?;
        let reset = topology.expect_answers(port_80(VIP_V4), MANY)?;
        ensure!(reset.share("origin1") > 0.23, "after --reset: {reset}");
        Ok(())
    })
}

#[test]
fn drained_backend_gets_no_new_connection() -> Result<()> {
    on_topology("drain", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        agent.ctl(&["backend", "drain", "web/origin2"])?;
        for vip in vips() {
            let tally = topology.expect_answers(vip, MANY)?;
            ensure!(tally.of("origin2") == 0, "a drained backend was reached: {tally}");
            ensure!(tally.answers.len() == 2, "only one backend took over: {tally}");
        }
        let state = agent.backend("web/origin2")?;
        ensure!(state.get("state") == Some(&"draining".into()), "{state}");
        agent.ctl(&["backend", "undrain", "web/origin2"])?;
        let tally = topology.expect_answers(port_80(VIP_V4), MANY)?;
        ensure!(tally.share("origin2") > 0.23, "after undrain: {tally}");
        Ok(())
    })
}

#[test]
fn trace_names_the_backend_that_real_traffic_reaches() -> Result<()> {
    on_topology("trace", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        for vip in vips() {
            for _ in 0..10 {
                let request = topology.client.enter(|| http::fetch_from(vip, &[]))?;
                let (origin, source) = request.map_err(anyhow::Error::msg)?;
                let trace = agent.trace(source, vip)?;
                let backend = trace.get("backend").and_then(Value::as_str).unwrap_or_default();
                ensure!(
                    backend == format!("web/{origin}"),
                    "{source} was answered by {origin}, but the trace says: {trace:#}"
                );
                ensure!(trace.get("model_agrees") == Some(&true.into()), "{trace:#}");
            }
        }
        Ok(())
    })
}

#[test]
fn traffic_not_for_a_service_passes_to_the_kernel() -> Result<()> {
    on_topology("passes", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        let before = agent.packets("no_service")?;
        for address in [IpAddr::from(BALANCER_V4), IpAddr::from(BALANCER_V6)] {
            echoes(topology, (address, 22)).with_context(|| format!("port 22 of {address}"))?;
            let socket = topology.balancer.udp_socket((address, 53))?;
            let client = topology.client.udp_socket((unspecified(address), 0))?;
            client.send_to(b"question", (address, 53)).context("asking over UDP")?;
            let received = receive(&socket, LIMIT)?;
            ensure!(received.as_deref() == Some(b"question"), "over UDP: {received:?}");
        }
        let after = agent.packets("no_service")?;
        ensure!(after > before, "the program did not count what it let pass: {before}, {after}");
        topology.expect_answers(port_80(VIP_V4), 20).map(drop)
    })
}

/// A TCP connection from the client to a server on the balancer itself carries data both ways.
fn echoes(topology: &Topology, address: (IpAddr, u16)) -> Result<()> {
    let listener = topology.balancer.tcp_listener(address)?;
    let server = thread::spawn(move || -> Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut line = [0; 5];
        stream.read_exact(&mut line)?;
        stream.write_all(&line)?;
        Ok(())
    });
    let answer = topology.client.enter(|| -> Result<_> {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::from(address), LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(b"hello")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        Ok(answer)
    })??;
    ensure!(&answer == b"hello", "{answer:?}");
    server.join().map_err(|_panic| anyhow::anyhow!("the server panicked"))?
}

fn unspecified(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() }
}

#[test]
fn next_hop_mac_change_is_followed() -> Result<()> {
    const NEW_MAC: &str = "02:00:00:00:00:99";
    on_topology("next-hop", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        topology.expect_answers(port_80(VIP_V4), 20)?;
        let mac = || -> Result<Option<String>> {
            let backend = agent.backend("web/origin1")?;
            Ok(backend.pointer("/next_hop/mac").and_then(Value::as_str).map(str::to_owned))
        };
        let old = mac()?;
        ensure!(old.is_some() && old.as_deref() != Some(NEW_MAC), "next hop before: {old:?}");
        topology.router.ip(&format!("link set dev balancer address {NEW_MAC}\n"))?;
        // The router asks for the balancer's address anew, which tells the balancer its own.
        topology.requests(port_80(VIP_V4), 1)?;
        wait_until("the agent to learn the router's new address", LIMIT, || {
            Ok((mac()?.as_deref() == Some(NEW_MAC)).then_some(()))
        })?;
        let tally = topology.expect_answers(port_80(VIP_V4), 100)?;
        ensure!(tally.answers.len() == ORIGIN_NAMES.len(), "not every origin answered: {tally}");
        Ok(())
    })
}
