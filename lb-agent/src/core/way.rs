//! The way to a backend: what the kernel's routes and neighbours say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Ways by backend address.
pub type Ways = BTreeMap<IpAddr, Way>;

/// The ways as the program takes them. It is attached below VLAN devices and keeps the tags of what
/// comes in, so a way by the device of a VLAN is one by its parent where the program is attached to
/// that (`links`): for clients in the same VLAN.
#[must_use]
pub fn below_vlans(ways: &Ways, links: &BTreeSet<u32>) -> Ways {
    let below = |way: &Way| match way {
        Way::Known { gateway, link, mac, mtu_bytes } if !links.contains(&link.index) => {
            let parent = match link.kind {
                LinkKind::Vlan { parent } => parent.filter(|parent| links.contains(parent)),
                LinkKind::Plain | LinkKind::Veth | LinkKind::Bond { .. } => None,
            };
            let index = parent.unwrap_or(link.index);
            let link = Link { index, ..link.clone() };
            Way::Known { gateway: *gateway, link, mac: *mac, mtu_bytes: *mtu_bytes }
        }
        Way::Known { .. } | Way::Unknown { .. } => way.clone(),
    };
    ways.iter().map(|(address, way)| (*address, below(way))).collect()
}

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
    /// What it is made of.
    pub kind: LinkKind,
}

/// What an interface is made of, as far as that matters to XDP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkKind {
    /// A driver's own, or a kind of which nothing special is known.
    Plain,
    /// One end of a pair.
    Veth,
    /// The frames with one tag of another interface.
    Vlan {
        /// The kernel's number of that interface.
        parent: Option<u32>,
    },
    /// Several interfaces as one.
    Bond {
        /// How they share the work, as `ip link` writes it.
        mode: String,
    },
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

#[cfg(test)]
mod tests;
