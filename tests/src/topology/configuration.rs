//! Configuration texts for the balancer of the topology.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use super::network::{BALANCER_V4, BALANCER_V6, VIP_V4, VIP_V6};
use super::origin::ORIGIN_NAMES;

/// Weight of a backend for which nothing else is said.
pub const WEIGHT: u32 = 100;

/// One backend: name, address, weight.
pub type Backend = (&'static str, IpAddr, u32);

/// A pool `web` behind both VIPs, with the origins' IPv4 addresses and these weights.
pub fn web(weights: [u32; 3]) -> String {
    text(
        &[("web", &backends(super::ORIGINS_V4, weights))],
        &[("web", VIP_V4.into(), "web"), ("web6", VIP_V6.into(), "web")],
    )
}

/// The three origins at `addresses`, as backends.
pub fn backends<A: Into<IpAddr>>(addresses: [A; 3], weights: [u32; 3]) -> Vec<Backend> {
    ORIGIN_NAMES
        .into_iter()
        .zip(addresses)
        .zip(weights)
        .map(|((name, address), weight)| (name, address.into(), weight))
        .collect()
}

/// A whole file: `pools` are name and backends, `services` name, VIP and pool, TCP port 80.
pub fn text(pools: &[(&str, &[Backend])], services: &[(&str, IpAddr, &str)]) -> String {
    text_for_interface("eth0", pools, services)
}

/// Like [`text`], for an interface of another name.
pub fn text_for_interface(
    interface: impl Display,
    pools: &[(&str, &[Backend])],
    services: &[(&str, IpAddr, &str)],
) -> String {
    file(interface, None, pools, services)
}

/// One pool with these backends, reached by `encapsulation`, behind one VIP.
pub fn tunnelled(encapsulation: &str, backends: &[Backend], vip: IpAddr) -> String {
    file("eth0", Some(encapsulation), &[("web", backends)], &[("web", vip, "web")])
}

fn file(
    interface: impl Display,
    encapsulation: Option<&str>,
    pools: &[(&str, &[Backend])],
    services: &[(&str, IpAddr, &str)],
) -> String {
    let mut text = format!(
        "node:\n  name: edge-1\n  encap_source: {{ ipv4: {BALANCER_V4}, ipv6: \"{BALANCER_V6}\" }}\n\
         interfaces:\n  - {{ name: {interface}, mode: native }}\n\
         pools:\n"
    );
    // Writing to a String cannot fail.
    for (pool, backends) in pools {
        let _ = writeln!(text, "  - name: {pool}");
        if let Some(encapsulation) = encapsulation {
            let _ = writeln!(text, "    encapsulation: {encapsulation}");
        }
        let _ = writeln!(text, "    backends:");
        for (name, address, weight) in *backends {
            let _ = writeln!(
                text,
                "      - {{ name: {name}, address: \"{address}\", weight: {weight} }}"
            );
        }
    }
    let _ = writeln!(text, "services:");
    for (name, vip, pool) in services {
        let _ = writeln!(
            text,
            "  - {{ name: {name}, vip: \"{vip}\", protocol: tcp, ports: [80], pool: {pool} }}"
        );
    }
    text
}
