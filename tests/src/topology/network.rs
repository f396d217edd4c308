//! Addresses, links and routes of the topology.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};

use super::host::Host;

/// The client.
pub const CLIENT_V4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
/// The client.
pub const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 1, 0, 0, 0, 0, 0, 2);
/// The balancer's own address: outer source of what it sends.
pub const BALANCER_V4: Ipv4Addr = Ipv4Addr::new(10, 2, 0, 2);
/// The balancer's own address: outer source of what it sends.
pub const BALANCER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 2, 0, 0, 0, 0, 0, 2);
/// The origins' own addresses.
pub const ORIGINS_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 3, 0, 2), Ipv4Addr::new(10, 4, 0, 2), Ipv4Addr::new(10, 5, 0, 2)];
/// The origins' own addresses.
pub const ORIGINS_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 3, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xfd00, 4, 0, 0, 0, 0, 0, 2),
    Ipv6Addr::new(0xfd00, 5, 0, 0, 0, 0, 0, 2),
];
/// What tells the origins' subnets apart: the third part of the IPv4 one, the second of the IPv6.
pub(super) const ORIGIN_SUBNETS: [u8; 3] = [3, 4, 5];
/// The VIP that every origin holds.
pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The VIP that every origin holds.
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);

/// Prefix the router sends to the balancer.
const VIP_PREFIX_V4: &str = "203.0.113.0/24";
/// Prefix the router sends to the balancer.
const VIP_PREFIX_V6: &str = "2001:db8::/64";

/// Host name, and name of the router's interface towards it.
pub(super) const CLIENT: &str = "client";
/// Host name.
pub(super) const ROUTER: &str = "router";
/// What tells the balancer's subnet from others, as [`ORIGIN_SUBNETS`] do.
const BALANCER_SUBNET: u8 = 2;
/// Host name, and name of the router's interface towards it.
pub(super) const BALANCER: &str = "balancer";

/// MTU towards clients.
const CLIENT_MTU_BYTES: u32 = 1500;
/// MTU where tunnelled packets travel: 1500 and room for the outer header.
const TUNNEL_MTU_BYTES: u32 = 1600;

/// Where a host hangs on the router: the third part of its IPv4 subnet, the second of its IPv6.
struct Attachment<'a> {
    host: &'a Host,
    subnet: u8,
    mtu_bytes: u32,
}

/// Makes and addresses every link, and sets the routes.
pub(super) fn connect(
    client: &Host,
    router: &Host,
    balancer: &Host,
    origins: &[Host; 3],
) -> Result<()> {
    let mut attachments = vec![
        Attachment { host: client, subnet: 1, mtu_bytes: CLIENT_MTU_BYTES },
        Attachment { host: balancer, subnet: BALANCER_SUBNET, mtu_bytes: TUNNEL_MTU_BYTES },
    ];
    attachments.extend(ORIGIN_SUBNETS.into_iter().zip(origins).map(|(subnet, host)| Attachment {
        host,
        subnet,
        mtu_bytes: TUNNEL_MTU_BYTES,
    }));
    for host in attachments.iter().map(|attachment| attachment.host).chain([router]) {
        prepare(host)?;
    }
    router.set_parameters(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")])?;
    router.ip(&router_links(&attachments)).context("making the router's links")?;
    for attachment in &attachments {
        attachment.host.ip(&host_addresses(attachment.subnet))?;
    }
    router.ip(&vip_routes())?;
    let names: Vec<&str> = attachments
        .iter()
        .map(|attachment| attachment.host.name())
        .filter(|name| *name != CLIENT)
        .collect();
    router.compute_checksums(&names)
}

fn vip_routes() -> String {
    format!(
        "route add {VIP_PREFIX_V4} via {BALANCER_V4}\nroute add {VIP_PREFIX_V6} via {BALANCER_V6}\n"
    )
}

/// What the router loses when its end of the balancer's link goes down; IPv4 addresses stay.
pub(super) fn balancer_addresses_and_routes() -> String {
    format!("addr add fd00:{BALANCER_SUBNET}::1/64 dev {BALANCER} nodad\n{}", vip_routes())
}

/// Kernel parameters every host needs before it gets interfaces.
fn prepare(host: &Host) -> Result<()> {
    host.set_parameters(&[
        // Answers leave by another way than requests come in.
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        // Addresses are usable at once, and nobody waits for router advertisements.
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/dad_transmits", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
    ])
}

fn router_links(attachments: &[Attachment<'_>]) -> String {
    let mut batch = "link set lo up\n".to_owned();
    for Attachment { host, subnet, mtu_bytes } in attachments {
        let (name, path) = (host.name(), host.network_path());
        // Writing to a String cannot fail.
        let _ = write!(
            batch,
            "link add name {name} mtu {mtu_bytes} type veth \
             peer name eth0 mtu {mtu_bytes} netns {path}\n\
             addr add 10.{subnet}.0.1/24 dev {name}\n\
             addr add fd00:{subnet}::1/64 dev {name} nodad\n\
             link set {name} up\n"
        );
    }
    batch
}

fn host_addresses(subnet: u8) -> String {
    format!(
        "link set lo up\n\
         addr add 10.{subnet}.0.2/24 dev eth0\n\
         addr add fd00:{subnet}::2/64 dev eth0 nodad\n\
         link set eth0 up\n\
         route add default via 10.{subnet}.0.1\n\
         route add default via fd00:{subnet}::1\n"
    )
}
