//! Which interface a way goes by for the program.

use super::*;

fn by(index: u32, kind: LinkKind) -> Ways {
    let gateway: IpAddr = "10.2.0.1".parse().unwrap();
    let link = Link { index, name: "eth0.5".into(), mac: [2; 6], mtu_bytes: 1500, up: true, kind };
    Ways::from([(gateway, Way::Known { gateway, link, mac: [4; 6], mtu_bytes: 1500 })])
}

fn taken(ways: &Ways, links: &[u32]) -> u32 {
    let ways = below_vlans(ways, &links.iter().copied().collect());
    let Some(Way::Known { link, .. }) = ways.into_values().next() else { panic!("lost") };
    link.index
}

#[test]
fn a_way_by_a_vlan_is_one_by_the_interface_below_if_the_program_is_there() {
    let vlan = by(9, LinkKind::Vlan { parent: Some(3) });
    assert_eq!(taken(&vlan, &[3]), 3);
    assert_eq!(taken(&vlan, &[4]), 9);
    assert_eq!(taken(&vlan, &[3, 9]), 9, "it is on the device itself");
    assert_eq!(taken(&by(9, LinkKind::Vlan { parent: None }), &[3]), 9);
}

#[test]
fn other_ways_stay_as_they_are() {
    for kind in [LinkKind::Plain, LinkKind::Veth, LinkKind::Bond { mode: "802.3ad".into() }] {
        assert_eq!(taken(&by(9, kind), &[3]), 9);
    }
    let problem = "no route".to_owned();
    let address: IpAddr = "10.2.0.9".parse().unwrap();
    let nowhere = Ways::from([(address, Way::Unknown { gateway: None, link: None, problem })]);
    assert_eq!(below_vlans(&nowhere, &BTreeSet::new()), nowhere);
}
