//! A second interface of the balancer, by which it reaches the origins.
//!
//! ```text
//!              +-- eth0 balancer   clients come in by it; 10.2.0.2, fd00:2::2
//!  router   ---+
//!              +-- eth1 balancer   origins are reached by it; 10.6.0.2, fd00:6::2
//! ```

use std::fmt::Write as _;

use anyhow::{Context, Result};

use super::Topology;
use super::network::ORIGIN_SUBNETS;

/// Third part of the link's IPv4 subnet, second of its IPv6.
const SUBNET: u8 = 6;
/// The router's end.
const ROUTERS_END: &str = "balancer1";

impl Topology {
    /// Adds the link, with this MTU at both ends, and sends what is for origins over it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn reach_origins_by_eth1(&self, mtu_bytes: u32) -> Result<()> {
        let balancer = self.balancer.network_path();
        self.router.ip(&format!(
            "link add name {ROUTERS_END} mtu {mtu_bytes} type veth \
             peer name eth1 mtu {mtu_bytes} netns {balancer}\n\
             addr add 10.{SUBNET}.0.1/24 dev {ROUTERS_END}\n\
             addr add fd00:{SUBNET}::1/64 dev {ROUTERS_END} nodad\n\
             link set {ROUTERS_END} up\n"
        ))?;
        let mut batch = format!(
            "addr add 10.{SUBNET}.0.2/24 dev eth1\n\
             addr add fd00:{SUBNET}::2/64 dev eth1 nodad\n\
             link set eth1 up\n"
        );
        for origin in ORIGIN_SUBNETS {
            // Writing to a String cannot fail.
            let _ = write!(
                batch,
                "route add 10.{origin}.0.0/24 via 10.{SUBNET}.0.1\n\
                 route add fd00:{origin}::/64 via fd00:{SUBNET}::1\n"
            );
        }
        self.balancer.ip(&batch)?;
        self.router.compute_checksums(&[ROUTERS_END])?;
        self.pass_all(ROUTERS_END).context("attaching the pass program")
    }
}
