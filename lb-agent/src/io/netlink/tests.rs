//! What the messages of the kernel decide, without a kernel; `lab.rs` runs the rest against one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroI32;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::link::{
    BondMode, InfoBond, InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
    LinkMessage,
};
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage, NeighbourState};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteLwEnCapType, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use nix::errno::Errno;
use rtnetlink::packet_core::ErrorMessage;

use super::parse::{self, Neighbours, Route};
use super::{Link, LinkKind, NO_MAC, NetlinkError, Way, Ways, note_refusal};

mod changes;
mod lab;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link_message(flags: LinkFlags) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 3;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = flags;
    message.attributes = vec![
        LinkAttribute::IfName("eth0".to_owned()),
        LinkAttribute::Mtu(1600),
        LinkAttribute::Address(MAC.to_vec()),
    ];
    message
}

fn eth0(up: bool) -> Link {
    let (index, name) = (3, "eth0".to_owned());
    Link { index, name, mac: MAC, mtu_bytes: 1600, up, kind: LinkKind::Plain }
}

#[test]
fn a_link_says_what_it_is_made_of() {
    let kind = |attributes: &[LinkAttribute]| {
        let mut message = link_message(LinkFlags::Up);
        message.attributes.extend_from_slice(attributes);
        parse::link(&message).unwrap().kind
    };
    let info = |infos: &[LinkInfo]| LinkAttribute::LinkInfo(infos.to_vec());
    assert_eq!(kind(&[]), LinkKind::Plain);
    assert_eq!(kind(&[info(&[LinkInfo::Kind(InfoKind::Dummy)])]), LinkKind::Plain);
    assert_eq!(kind(&[info(&[LinkInfo::Kind(InfoKind::Veth)])]), LinkKind::Veth);
    let vlan = info(&[LinkInfo::Kind(InfoKind::Vlan)]);
    assert_eq!(kind(&[LinkAttribute::Link(4), vlan]), LinkKind::Vlan { parent: Some(4) });
    let mode = InfoData::Bond(vec![InfoBond::MiiMon(100), InfoBond::Mode(BondMode::Ieee8023Ad)]);
    let bond = info(&[LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(mode)]);
    assert_eq!(kind(&[bond]), LinkKind::Bond { mode: "802.3ad".to_owned() });
}

fn neighbour_message(state: NeighbourState, mac: Option<[u8; 6]>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = 3;
    message.header.state = state;
    message.attributes = vec![NeighbourAttribute::Destination(address("10.2.0.1").into())];
    message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
    message
}

fn route_message(kind: RouteType, attributes: &[RouteAttribute]) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.kind = kind;
    message.attributes = attributes.to_vec();
    message
}

fn unicast(attributes: &[RouteAttribute]) -> Result<Route, String> {
    parse::route(address("10.3.0.2"), &route_message(RouteType::Unicast, attributes))
}

fn problem(way: &Way) -> &str {
    match way {
        Way::Unknown { problem, .. } => problem,
        Way::Known { .. } => panic!("the way is known: {way:?}"),
    }
}

#[test]
fn a_link_is_up_only_with_a_carrier() {
    let both = LinkFlags::Up | LinkFlags::LowerUp;
    assert_eq!(parse::link(&link_message(both)), Some(eth0(true)));
    assert_eq!(parse::link(&link_message(LinkFlags::Up)), Some(eth0(false)));
    assert_eq!(parse::link(&link_message(LinkFlags::LowerUp)), Some(eth0(false)));
}

#[test]
fn a_link_without_ethernet_addresses_has_no_mac() {
    let mut tunnel = link_message(LinkFlags::Up);
    tunnel.header.link_layer_type = LinkLayerType::Ipgre;
    assert_eq!(parse::link(&tunnel).unwrap().mac, NO_MAC);
}

#[test]
fn a_bridge_port_message_describes_no_link() {
    let mut port = link_message(LinkFlags::Up);
    port.header.interface_family = AddressFamily::Bridge;
    assert_eq!(parse::link(&port), None);
}

#[test]
fn only_states_with_a_valid_mac_are_usable() {
    for (state, usable) in [
        (NeighbourState::None, false),
        (NeighbourState::Incomplete, false),
        (NeighbourState::Reachable, true),
        (NeighbourState::Stale, true),
        (NeighbourState::Delay, true),
        (NeighbourState::Probe, true),
        (NeighbourState::Failed, false),
        (NeighbourState::Noarp, true),
        (NeighbourState::Permanent, true),
        (NeighbourState::Other(0x100), false),
    ] {
        let (key, mac) = parse::neighbour(&neighbour_message(state, Some(MAC))).unwrap();
        assert_eq!(key, (3, address("10.2.0.1")));
        assert_eq!(mac, usable.then_some(MAC), "{state:?}");
    }
}

#[test]
fn a_usable_state_without_a_six_byte_mac_is_not_usable() {
    let mut message = neighbour_message(NeighbourState::Noarp, None);
    assert_eq!(parse::neighbour(&message).unwrap().1, None);
    message.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![1, 2, 3, 4]));
    assert_eq!(parse::neighbour(&message).unwrap().1, None);
}

#[test]
fn a_route_without_gateway_leads_to_the_destination_itself() {
    let gateway = address("10.3.0.2");
    let expected = Route { gateway, link_index: 3, mtu_bytes: None };
    assert_eq!(unicast(&[RouteAttribute::Oif(3)]), Ok(expected));
}

#[test]
fn a_route_leads_to_its_gateway_of_either_family() {
    let link_local = address("fe80::1");
    let (v4, v6) = (address("10.2.0.1"), "fe80::1".parse().unwrap());
    for (attribute, gateway) in [
        (RouteAttribute::Gateway(RouteAddress::from(v4)), v4),
        (RouteAttribute::Gateway(RouteAddress::from(link_local)), link_local),
        (RouteAttribute::Via(RouteVia::Inet6(v6)), link_local),
    ] {
        let route = unicast(&[attribute, RouteAttribute::Oif(3)]).unwrap();
        assert_eq!(route, Route { gateway, link_index: 3, mtu_bytes: None });
    }
}

#[test]
fn a_route_mtu_of_zero_is_none() {
    for (bytes, expected) in [(0, None), (1400, Some(1400))] {
        let metrics =
            RouteAttribute::Metrics(vec![RouteMetric::Hoplimit(9), RouteMetric::Mtu(bytes)]);
        let route = unicast(&[RouteAttribute::Oif(3), metrics]).unwrap();
        assert_eq!(route.mtu_bytes, expected);
    }
}

#[test]
fn routes_that_lead_to_no_other_machine_say_why() {
    for (kind, expected) in [
        (RouteType::Local, "10.3.0.2 is an address of this machine"),
        (RouteType::Broadcast, "10.3.0.2 is a broadcast address"),
        (RouteType::Multicast, "10.3.0.2 is a multicast address"),
        (RouteType::BlackHole, "the route to 10.3.0.2 is a blackhole"),
        (RouteType::Unreachable, "the route to 10.3.0.2 says unreachable"),
        (RouteType::Prohibit, "the route to 10.3.0.2 says prohibited"),
        (RouteType::Nat, "the route to 10.3.0.2 is of a kind not supported: Nat"),
    ] {
        let message = route_message(kind, &[RouteAttribute::Oif(3)]);
        assert_eq!(parse::route(address("10.3.0.2"), &message), Err(expected.to_owned()));
    }
    assert_eq!(unicast(&[]), Err("the route to 10.3.0.2 names no interface".to_owned()));
    let tunnel = [RouteAttribute::Oif(3), RouteAttribute::EncapType(RouteLwEnCapType::Mpls)];
    let expected = "the route to 10.3.0.2 wants the kernel to encapsulate";
    assert_eq!(unicast(&tunnel), Err(expected.to_owned()));
}

#[test]
fn a_refused_look_up_is_a_sentence_and_any_other_error_stays_one() {
    let said = |errno| parse::refusal(address("10.3.0.2"), errno);
    assert_eq!(said(Errno::ENETUNREACH).unwrap(), "no route to 10.3.0.2");
    assert_eq!(said(Errno::EHOSTUNREACH).unwrap(), "the route to 10.3.0.2 says unreachable");
    assert_eq!(said(Errno::EACCES).unwrap(), "the route to 10.3.0.2 says prohibited");
    assert_eq!(said(Errno::EINVAL).unwrap(), "the route to 10.3.0.2 is a blackhole");
    assert_eq!(said(Errno::EPERM), None);
}

#[test]
fn a_way_is_known_by_link_and_neighbour_together() {
    let gateway = address("10.2.0.1");
    let route = Route { gateway, link_index: 3, mtu_bytes: Some(1400) };
    let links = BTreeMap::from([(3, eth0(true))]);
    // The same address on another interface must not answer for this one.
    let elsewhere = Neighbours::from([((4, gateway), Some(MAC))]);
    let way = parse::way(route, &links, &elsewhere);
    assert_eq!(problem(&way), "10.2.0.1 on eth0 has not answered ARP");
    assert_eq!(way.missing_neighbour(), Some((3, gateway)));

    let here = Neighbours::from([((3, gateway), Some(MAC))]);
    let known = |mtu_bytes| Way::Known { gateway, link: eth0(true), mac: MAC, mtu_bytes };
    assert_eq!(parse::way(route, &links, &here), known(1400));
    let wide = Route { mtu_bytes: Some(9000), ..route };
    assert_eq!(parse::way(wide, &links, &here), known(1600));
    assert_eq!(known(1600).missing_neighbour(), None);
}

#[test]
fn a_link_that_cannot_send_is_not_asked_for_neighbours() {
    let gateway = address("fe80::1");
    let route = Route { gateway, link_index: 3, mtu_bytes: None };
    let tunnel = Link { mac: NO_MAC, ..eth0(true) };
    for (links, expected) in [
        (BTreeMap::new(), "the interface 3 towards fe80::1 is gone"),
        (BTreeMap::from([(3, eth0(false))]), "eth0 is down, which leads to fe80::1"),
        (BTreeMap::from([(3, tunnel)]), "eth0 is no Ethernet interface, but leads to fe80::1"),
    ] {
        let way = parse::way(route, &links, &Neighbours::from([((3, gateway), Some(MAC))]));
        assert_eq!(problem(&way), expected);
        assert_eq!(way.missing_neighbour(), None);
    }
}

#[test]
fn a_refused_question_is_told_only_in_the_ways_that_wait_for_it() {
    let waits = |gateway| {
        let route = Route { gateway, link_index: 3, mtu_bytes: None };
        parse::way(route, &BTreeMap::from([(3, eth0(true))]), &Neighbours::new())
    };
    let [one, other] = ["10.2.0.1", "10.2.0.9"].map(address);
    let mut ways = Ways::from([(one, waits(one)), (other, waits(other))]);
    let mut refusal = ErrorMessage::default();
    refusal.code = NonZeroI32::new(-(Errno::ENOBUFS as i32));
    let source = rtnetlink::Error::NetlinkError(refusal);
    let error = NetlinkError::Request { operation: "test".to_owned(), source };
    note_refusal(&mut ways, (3, address("10.2.0.1")), &error);
    assert_eq!(
        problem(&ways[&one]),
        "the kernel does not ask for the MAC address of 10.2.0.1: No buffer space available"
    );
    assert_eq!(problem(&ways[&other]), "10.2.0.9 on eth0 has not answered ARP");
}
