//! The way to a backend: what the kernel's routes and neighbours say of it.

use std::net::IpAddr;

/// A network interface.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The kernel's number for it.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its own MAC address; all zero if it is not an Ethernet interface.
    pub mac: [u8; 6],
    /// Largest IP packet it sends.
    pub mtu_bytes: u32,
    /// Set up by the administrator, and with a carrier.
    pub up: bool,
}

/// What the kernel knows of the way to an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Way {
    /// Packets can be sent.
    Known {
        /// The next hop, or the destination itself if it is on the link.
        gateway: IpAddr,
        /// The interface to send on.
        link: Link,
        /// The next hop's MAC address.
        mac: [u8; 6],
        /// The smaller of the link's MTU and the route's.
        mtu_bytes: u32,
    },
    /// Packets cannot be sent now.
    Unknown {
        /// The next hop, if there is a route.
        gateway: Option<IpAddr>,
        /// The interface, if there is a route.
        link: Option<Link>,
        /// One sentence for the operator, naming the address it is about.
        problem: String,
    },
}
