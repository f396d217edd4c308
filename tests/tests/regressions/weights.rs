//! From a configuration's weights to new flows, by way of the agent's own plan.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_agent::core::effective::effective;
use lb_agent::core::health::Conditions;
use lb_agent::core::ids::Ids;
use lb_agent::core::overrides::Overrides;
use lb_agent::core::plan::{carry_out, plan};
use lb_agent::core::tables::Tables;
use lb_agent::core::target::{Ways, target};
use lb_agent::core::way::{Link, LinkKind, Way};
use lb_common::config::{self, Desired};
use lb_common::image::Image;
use lb_tests::fixture::INGRESS_IFINDEX;
use lb_tests::packet::SYN;

use crate::both::{Both, VIP, segments};

/// Schedulers that heed weights, and how far from its share of 1,100 flows a backend may be: what
/// takes turns is exact, what goes by chance has a standard deviation of 9.5 flows.
const SCHEDULERS: [(&str, i64); 4] =
    [("maglev", 40), ("weighted-round-robin", 0), ("random", 40), ("least-connections", 40)];
/// New flows to each pool.
const FLOWS: u16 = 1_100;
const LIGHT: [u8; 4] = [10, 3, 0, 1];
const HEAVY: [u8; 4] = [10, 3, 0, 2];

/// A pool for each scheduler, with backends of weights 1 and 10, at ports 1 and up of the VIP.
fn configuration() -> Desired {
    let pool = |(number, (scheduler, _)): (u16, (&str, i64))| {
        format!(
            "  - name: p{number}\n    scheduler: {scheduler}\n    table_slots: 16381\n    backends:\n\
             \x20     - {{ name: light, address: 10.3.0.1, weight: 1 }}\n\
             \x20     - {{ name: heavy, address: 10.3.0.2, weight: 10 }}\n"
        )
    };
    let service = |number| {
        format!(
            "  - name: s{number}\n    vip: {VIP}\n    protocol: tcp\n    ports: [{number}]\n\
             \x20   pool: p{number}\n"
        )
    };
    let node = "node: { name: edge-1, encap_source: { ipv4: 10.2.0.2 } }\n\
                interfaces: [ { name: eth0 } ]\n\
                limits: { table_slots: 147456, pools: 16, backends: 64 }\n";
    let pools: String = (1..).zip(SCHEDULERS).map(pool).collect();
    let services: String = (1..=SCHEDULERS.len()).map(service).collect();
    let text = format!("{node}pools:\n{pools}services:\n{services}");
    config::parse("weights", &text).unwrap()
}

/// What the agent writes for it.
fn image(desired: &Desired) -> Image {
    let mut image = Image::default();
    let ids = Ids::adopt(&image).assign(desired).unwrap();
    let mut tables = Tables::default();
    tables
        .update(desired, &effective(desired, &Overrides::default(), &Conditions::default()), &ids)
        .unwrap();
    let links = BTreeSet::from([INGRESS_IFINDEX]);
    let target = target(desired, &ids, &tables, &ways(), &links);
    for op in plan(&image, &target, &desired.limits, &BTreeSet::new()).unwrap() {
        carry_out(&mut image, &op);
    }
    image
}

fn ways() -> Ways {
    let link = Link {
        index: INGRESS_IFINDEX,
        name: "eth0".to_owned(),
        mac: [2, 0xee, 0, 0, 0, 1],
        mtu_bytes: 1_600,
        up: true,
        kind: LinkKind::Plain,
    };
    let way = |address: [u8; 4]| {
        let (gateway, mac) = (IpAddr::from(address), [2, 0xbb, 0, 0, 0, 1]);
        (gateway, Way::Known { gateway, link: link.clone(), mac, mtu_bytes: 1_600 })
    };
    [LIGHT, HEAVY].map(way).into()
}

#[test]
fn weights_of_one_to_ten_do_not_give_one_to_one() {
    let mut both = Both::new(&image(&configuration()));
    for (port, (scheduler, tolerance)) in (1..).zip(SCHEDULERS) {
        let mut counts = BTreeMap::<IpAddr, i64>::new();
        for client in 1..=FLOWS {
            let [syn, _] = segments((client, port), SYN);
            *counts.entry(both.backend_of(&syn)).or_default() += 1;
        }
        let [light, heavy] = [LIGHT, HEAVY].map(|address| counts[&IpAddr::from(address)]);
        assert_eq!(light + heavy, i64::from(FLOWS));
        assert!((light - 100).abs() <= tolerance, "{scheduler}: {light} to {heavy}");
    }
}
