//! What may happen to the link between the router and the balancer.

use anyhow::Result;

use super::Topology;
use super::network::{BALANCER, balancer_addresses_and_routes};

impl Topology {
    /// Takes the router's end of the balancer's link down: the balancer loses its carrier, the router
    /// its routes to the VIPs.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn cut_balancer_off(&self) -> Result<()> {
        self.router.ip(&format!("link set {BALANCER} down\n"))
    }

    /// Takes it up again, and gives the router what it lost.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn reconnect_balancer(&self) -> Result<()> {
        let back = balancer_addresses_and_routes();
        self.router.ip(&format!("link set {BALANCER} up\n{back}"))
    }

    /// Gives the router another MAC address on the balancer's link. It forgets the balancer's, and
    /// asks for it from the new one.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn change_routers_mac(&self, address: &str) -> Result<()> {
        self.router.ip(&format!("link set {BALANCER} address {address}\n"))
    }
}
