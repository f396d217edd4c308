//! What netlink messages mean: which neighbour is usable, where a route leads, why one does not.
//!
//! Pure: messages in, values out, so that every decision is tested without a kernel. Called by the
//! requests in `netlink.rs` and by the filter of `changes.rs`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    InfoBond, InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use nix::errno::Errno;

use super::{Link, LinkKind, NO_MAC, Way};

/// Interface and address: link-local addresses repeat on every interface.
pub(super) type NeighbourKey = (u32, IpAddr);

/// All neighbours, with the MAC address where it may be used.
pub(super) type Neighbours = BTreeMap<NeighbourKey, Option<[u8; 6]>>;

/// Where the kernel would send a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Route {
    /// The next hop, or the destination itself if it is on the link.
    pub(super) gateway: IpAddr,
    pub(super) link_index: u32,
    /// The route's own MTU or the one learnt by path MTU discovery, if there is one.
    pub(super) mtu_bytes: Option<u32>,
}

/// The interface a message describes. A bridge reports its ports once more in messages of its own
/// family, whose removal does not mean that the interface is gone: these describe none.
pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let mut name = None;
    let mut mac = NO_MAC;
    let mut mtu_bytes = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(value) => name = Some(value.clone()),
            LinkAttribute::Mtu(value) => mtu_bytes = Some(*value),
            LinkAttribute::Address(value)
                if message.header.link_layer_type == LinkLayerType::Ether =>
            {
                mac = value.as_slice().try_into().unwrap_or(NO_MAC);
            }
            _ => {}
        }
    }
    Some(Link {
        index: message.header.index,
        name: name?,
        mac,
        mtu_bytes: mtu_bytes?,
        up: message.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        kind: kind(&message.attributes),
    })
}

/// What an interface is made of.
fn kind(attributes: &[LinkAttribute]) -> LinkKind {
    let infos = attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    let parent = attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Link(index) => Some(*index),
        _ => None,
    });
    let bond_mode = |info: &LinkInfo| match info {
        LinkInfo::Data(InfoData::Bond(bond)) => bond.iter().find_map(|field| match field {
            InfoBond::Mode(mode) => Some(mode.to_string()),
            _ => None,
        }),
        _ => None,
    };
    for info in infos.into_iter().flatten() {
        match info {
            LinkInfo::Kind(InfoKind::Veth) => return LinkKind::Veth,
            LinkInfo::Kind(InfoKind::Vlan) => return LinkKind::Vlan { parent },
            LinkInfo::Kind(InfoKind::Bond) => {
                let mode = infos.into_iter().flatten().find_map(bond_mode);
                return LinkKind::Bond { mode: mode.unwrap_or_else(|| "unknown".to_owned()) };
            }
            _ => {}
        }
    }
    LinkKind::Plain
}

/// The neighbour a message describes: its key, and its MAC address if it may be used.
pub(super) fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Option<[u8; 6]>)> {
    let mut address = None;
    let mut mac = None;
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(value)) => {
                address = Some(IpAddr::V4(*value));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(value)) => {
                address = Some(IpAddr::V6(*value));
            }
            NeighbourAttribute::LinkLayerAddress(value) => {
                mac = <[u8; 6]>::try_from(value.as_slice()).ok();
            }
            _ => {}
        }
    }
    let mac = mac.filter(|_| is_usable(message.header.state));
    Some(((message.header.ifindex, address?), mac))
}

/// Whether the MAC address of an entry in this state may be sent to. An old entry (STALE) and one
/// being verified (DELAY, PROBE) still are, as for the kernel's own packets: `NUD_VALID`.
pub(super) fn is_usable(state: NeighbourState) -> bool {
    matches!(
        state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    )
}

/// Where the answer to a route look-up leads, or the sentence that says why nowhere.
pub(super) fn route(destination: IpAddr, message: &RouteMessage) -> Result<Route, String> {
    if let Some(problem) = problem_of_kind(destination, message.header.kind) {
        return Err(problem);
    }
    let mut gateway = destination;
    let mut link_index = None;
    let mut mtu_bytes = None;
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => link_index = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(address))
            | RouteAttribute::Via(RouteVia::Inet(address)) => gateway = IpAddr::V4(*address),
            // An IPv4 route may have an IPv6 next hop (RFC 5549): that comes as `Via`.
            RouteAttribute::Gateway(RouteAddress::Inet6(address))
            | RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = IpAddr::V6(*address),
            RouteAttribute::Metrics(metrics) => mtu_bytes = metrics.iter().find_map(mtu),
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => {
                return Err(format!("the route to {destination} wants the kernel to encapsulate"));
            }
            _ => {}
        }
    }
    let link_index =
        link_index.ok_or_else(|| format!("the route to {destination} names no interface"))?;
    Ok(Route { gateway, link_index, mtu_bytes })
}

/// Zero means that the route sets none.
fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(bytes) if *bytes > 0 => Some(*bytes),
        _ => None,
    }
}

/// Why a route of this kind leads to no other machine.
fn problem_of_kind(destination: IpAddr, kind: RouteType) -> Option<String> {
    match kind {
        RouteType::Unicast => None,
        RouteType::Local | RouteType::Anycast => {
            Some(format!("{destination} is an address of this machine"))
        }
        RouteType::Broadcast => Some(format!("{destination} is a broadcast address")),
        RouteType::Multicast => Some(format!("{destination} is a multicast address")),
        RouteType::BlackHole => Some(format!("the route to {destination} is a blackhole")),
        RouteType::Unreachable => Some(format!("the route to {destination} says unreachable")),
        RouteType::Prohibit => Some(format!("the route to {destination} says prohibited")),
        other => Some(format!("the route to {destination} is of a kind not supported: {other:?}")),
    }
}

/// What an error of a route look-up says about the destination; `None` if it is a real error.
///
/// IPv4 answers routes that lead nowhere with an error (`fib_props` in
/// `net/ipv4/fib_semantics.c`),
/// IPv6 with the route itself, except where there is none.
pub(super) fn refusal(destination: IpAddr, errno: Errno) -> Option<String> {
    match errno {
        Errno::ENETUNREACH | Errno::ESRCH => Some(no_route_to(destination)),
        Errno::EHOSTUNREACH => problem_of_kind(destination, RouteType::Unreachable),
        Errno::EACCES => problem_of_kind(destination, RouteType::Prohibit),
        Errno::EINVAL => problem_of_kind(destination, RouteType::BlackHole),
        _ => None,
    }
}

/// The sentence for a destination that no route leads to.
pub(super) fn no_route_to(destination: IpAddr) -> String {
    format!("no route to {destination}")
}

/// Joins a route with the tables of links and neighbours.
pub(super) fn way(route: Route, links: &BTreeMap<u32, Link>, neighbours: &Neighbours) -> Way {
    let Route { gateway, link_index, mtu_bytes } = route;
    let unknown = |link, problem| Way::Unknown { gateway: Some(gateway), link, problem };
    let Some(link) = links.get(&link_index).cloned() else {
        return unknown(None, format!("the interface {link_index} towards {gateway} is gone"));
    };
    if !link.up {
        let problem = format!("{} is down, which leads to {gateway}", link.name);
        return unknown(Some(link), problem);
    }
    if link.mac == NO_MAC {
        let problem = format!("{} is no Ethernet interface, but leads to {gateway}", link.name);
        return unknown(Some(link), problem);
    }
    let Some(mac) = neighbours.get(&(link_index, gateway)).copied().flatten() else {
        let question = match gateway {
            IpAddr::V4(_) => "ARP",
            IpAddr::V6(_) => "neighbour discovery",
        };
        // True as soon as it was asked as well as after the kernel gave up: the sentence must not
        // alternate while the kernel asks again and again.
        let problem = format!("{gateway} on {} has not answered {question}", link.name);
        return unknown(Some(link), problem);
    };
    let mtu_bytes = mtu_bytes.map_or(link.mtu_bytes, |bytes| bytes.min(link.mtu_bytes));
    Way::Known { gateway, link, mac, mtu_bytes }
}
