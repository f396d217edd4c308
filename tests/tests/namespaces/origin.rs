//! lb-origin unwraps what balancers send to VIPs, and nothing else.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::run;
use lb_tests::topology::{
    BALANCER_V4, BALANCER_V6, BPFFS, CLIENT_V4, CLIENT_V6, COMMAND_LIMIT, Datagram, ORIGINS_V4,
    ORIGINS_V6, Origin, VIP_V4, VIP_V6, binary, on_topology, receive,
};

const PORT: u16 = 9999;
/// Time a packet that should come may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Time after which a packet that should not come has had every chance to.
const SILENCE: Duration = Duration::from_millis(100);
/// How often what must not arrive is sent.
const ATTEMPTS: u64 = 3;

/// Outer source and destination of a tunnel from the balancer to the first origin.
fn tunnels() -> [(IpAddr, IpAddr); 2] {
    [(BALANCER_V4.into(), ORIGINS_V4[0].into()), (BALANCER_V6.into(), ORIGINS_V6[0].into())]
}

/// Fails unless lb-origin counted `expected` packets for `reason`.
fn counted(origin: &Origin, reason: &str, expected: u64) -> Result<()> {
    let packets = origin.packets(reason)?;
    ensure!(packets == expected, "{packets} packets counted as {reason}, expected {expected}");
    Ok(())
}

/// A datagram from the client to a VIP, one of each family.
fn to_vips(content: &[u8]) -> [Datagram<'_>; 2] {
    let datagram = |source, destination| Datagram { source, destination, port: PORT, content };
    [datagram(CLIENT_V4.into(), VIP_V4.into()), datagram(CLIENT_V6.into(), VIP_V6.into())]
}

/// Takes datagrams until silence; fails unless they are exactly `expected`.
fn receives_only(socket: &UdpSocket, expected: &[&str]) -> Result<()> {
    let mut received: Vec<String> = Vec::new();
    loop {
        let limit = if received.len() < expected.len() { LIMIT } else { SILENCE };
        let Some(content) = receive(socket, limit)? else { break };
        received.push(String::from_utf8_lossy(&content).into_owned());
    }
    ensure!(received == expected, "received {received:?}, expected {expected:?}");
    Ok(())
}

#[test]
fn origin_unwraps_what_the_balancer_sends_to_a_vip() -> Result<()> {
    on_topology("unwraps", |topology| {
        let socket = topology.origins[0].host.udp_socket(([0_u16; 8].into(), PORT))?;
        for (source, destination) in tunnels() {
            for datagram in to_vips(b"wanted") {
                topology.balancer.send_tunnelled(source, destination, datagram)?;
                receives_only(&socket, &["wanted"])
                    .with_context(|| format!("{datagram:?} to {destination}"))?;
            }
        }
        counted(&topology.origins[0], "decapsulated", 4)
    })
}

#[test]
fn origin_drops_tunnelled_traffic_from_strangers() -> Result<()> {
    on_topology("strangers", |topology| {
        let socket = topology.origins[0].host.udp_socket(([0_u16; 8].into(), PORT))?;
        for (balancer, origin) in tunnels() {
            let stranger =
                if origin.is_ipv4() { CLIENT_V4.into() } else { IpAddr::from(CLIENT_V6) };
            for (unwanted, wanted) in to_vips(b"unwanted").into_iter().zip(to_vips(b"wanted")) {
                for _ in 0..ATTEMPTS {
                    topology.client.send_tunnelled(stranger, origin, unwanted)?;
                }
                topology.balancer.send_tunnelled(balancer, origin, wanted)?;
                receives_only(&socket, &["wanted"])
                    .with_context(|| format!("from {stranger}: {unwanted:?}"))?;
            }
        }
        counted(&topology.origins[0], "unknown_source", 4 * ATTEMPTS)
    })
}

#[test]
fn origin_drops_tunnelled_traffic_for_addresses_that_are_no_vip() -> Result<()> {
    on_topology("no-vip", |topology| {
        let socket = topology.origins[0].host.udp_socket(([0_u16; 8].into(), PORT))?;
        for (balancer, origin) in tunnels() {
            for (inner, wanted) in to_vips(b"unwanted").into_iter().zip(to_vips(b"wanted")) {
                // The origin's own address would take it, were it unwrapped.
                let own = if inner.destination.is_ipv4() {
                    IpAddr::from(ORIGINS_V4[0])
                } else {
                    ORIGINS_V6[0].into()
                };
                let unwanted = Datagram { destination: own, ..inner };
                for _ in 0..ATTEMPTS {
                    topology.balancer.send_tunnelled(balancer, origin, unwanted)?;
                }
                topology.balancer.send_tunnelled(balancer, origin, wanted)?;
                receives_only(&socket, &["wanted"]).with_context(|| format!("{unwanted:?}"))?;
            }
        }
        counted(&topology.origins[0], "unknown_vip", 4 * ATTEMPTS)
    })
}

#[test]
fn origin_leaves_ordinary_traffic_alone_and_detaches_without_a_trace() -> Result<()> {
    on_topology("ordinary", |topology| {
        let origin = &topology.origins[0];
        let direct = lb_tests::topology::port_80(ORIGINS_V4[0]);
        topology.expect_answers(direct, 20)?;
        ensure!(origin.host.xdp_program_id("eth0")?.is_some(), "lb-origin is not attached");
        origin.detach()?;
        ensure!(origin.host.xdp_program_id("eth0")?.is_none(), "lb-origin is still attached");
        let pins = origin.host.list(&origin.pin_dir())?;
        ensure!(pins.is_empty(), "pins are left: {pins:?}");
        topology.expect_answers(direct, 20).map(drop)
    })
}

#[test]
fn a_mode_that_is_refused_leaves_lb_origin_attached_in_the_old_one() -> Result<()> {
    on_topology("origin-mode", |topology| {
        let pin_dir = std::path::Path::new(BPFFS).join("mode");
        let attach = |more: &[&str]| -> Result<_> {
            let mut command = topology.balancer.command(binary("lb-agent")?);
            command.args(["origin", "attach", "--interface", "lo", "--source", "10.2.0.2"]);
            command.args(["--vip", "203.0.113.10", "--pin-dir"]).arg(&pin_dir).args(more);
            run(command, COMMAND_LIMIT)
        };
        attach(&["--generic"])?.success()?;
        let pins = topology.balancer.list(&pin_dir)?;
        // The driver of lo cannot.
        attach(&[])?.with_code(1)?;
        ensure!(topology.balancer.xdp_program_id("lo")?.is_some(), "lo is no longer attached");
        ensure!(topology.balancer.list(&pin_dir)? == pins, "the pins changed");
        Ok(())
    })
}
