//! What the program is told of schedulers, encapsulations, QUIC, VIPs and interfaces.

use super::*;
use crate::core::drain::Drain;
use crate::core::overrides::Change;

/// A configuration whose node has these fields, with one pool of these.
fn with(node: &str, pool: &str) -> Desired {
    samples::parse(&format!(
        "node: {{ name: edge-1, {node} }}\ninterfaces: [{{ name: eth0 }}]\n\
         pools: [{{ name: web, table_slots: 251, {pool}, backends: [\n\
           {{ name: v4, address: 10.3.0.2 }}, {{ name: v6, address: 'fd00:3::2', weight: 50 }} ] }}]\n\
         services: []\n"
    ))
}

const SOURCES: &str = "encap_source: { ipv4: 10.64.0.0/16, ipv6: 'fd00:2::/64' }";

fn entry(target: &Target, ids: &Ids, name: &str) -> BackendEntry {
    target.backends[&ids.backend("web", name).unwrap()]
}

#[test]
fn each_encapsulation_has_a_code_for_each_family() {
    use abi::Encapsulation::{GreV4, GreV6, GueV4, GueV6, IpipV4, IpipV6, L2};
    for (name, [v4, v6]) in
        [("ipip", [IpipV4, IpipV6]), ("gue", [GueV4, GueV6]), ("gre", [GreV4, GreV6])]
    {
        let desired = with(SOURCES, &format!("encapsulation: {name}"));
        let (target, ids) = fresh(&desired, &Ways::new());
        let codes = ["v4", "v6"].map(|name| entry(&target, &ids, name).encapsulation);
        assert_eq!(codes, [v4.code(), v6.code()], "{name}");
    }
    let (target, ids) = fresh(&with("", "encapsulation: l2"), &Ways::new());
    for name in ["v4", "v6"] {
        let entry = entry(&target, &ids, name);
        assert_eq!((entry.encapsulation, entry.outer_source), (L2.code(), [0; 16]));
    }
}

#[test]
fn the_first_address_of_a_prefix_is_the_outer_source_that_the_hash_fills() {
    let (target, ids) = fresh(&with(SOURCES, "encapsulation: ipip"), &Ways::new());
    assert_eq!(entry(&target, &ids, "v4").outer_source[..4], [10, 64, 0, 0]);
    assert_eq!(entry(&target, &ids, "v6").outer_source[..4], [0xfd, 0, 0, 2]);
}

#[test]
fn frames_that_are_not_wrapped_go_no_further_than_the_link() {
    let address: IpAddr = "10.3.0.2".parse().unwrap();
    let known = |gateway: &str| {
        let ways = Ways::from([(address, known_way(gateway.parse().unwrap(), 1))]);
        let (target, ids) = fresh(&with("", "encapsulation: l2"), &ways);
        entry(&target, &ids, "v4").flags & BackendEntry::NEXT_HOP_KNOWN != 0
    };
    assert!(known("10.3.0.2"));
    assert!(!known("10.2.0.1"), "the gateway would send it back");
}

#[test]
fn the_address_of_a_backend_that_is_not_wrapped_can_be_told_from_its_entry() {
    let (target, ids) = fresh(&with("", "encapsulation: l2"), &Ways::new());
    let address = |name| outer_destination(&entry(&target, &ids, name)).to_string();
    assert_eq!((address("v4"), address("v6")), ("10.3.0.2".into(), "fd00:3::2".into()));
}

#[test]
fn the_weight_that_a_backend_has_in_the_table_is_in_its_entry() {
    let desired = with(SOURCES, "scheduler: least-connections");
    let ids = Ids::default().assign(&desired).unwrap();
    let weights = |overrides: &Overrides| {
        let mut tables = Tables::default();
        tables
            .update(&desired, &effective(&desired, overrides, &Conditions::default()), &ids)
            .unwrap();
        let target = target(&desired, &ids, &tables, &Ways::new(), &BTreeSet::new());
        ["v4", "v6"].map(|name| entry(&target, &ids, name).weight)
    };
    assert_eq!(weights(&Overrides::default()), [100, 50]);
    assert_eq!(
        weights(&Overrides::default().with("web", "v4", Change::Drain(Some(Drain::default())))),
        [0, 50]
    );
}

#[test]
fn a_pool_has_its_scheduler_and_its_rotation() {
    use abi::Scheduler;

    let pool = |scheduler: &str| {
        let desired = with(SOURCES, &format!("scheduler: {scheduler}"));
        let (target, _) = fresh(&desired, &Ways::new());
        target.pools.into_values().next().unwrap()
    };
    let turns = |pool: TargetPool| match pool.rotation {
        Rotation::Own(slots) => slots.len(),
        Rotation::None | Rotation::Table => 0,
    };
    assert_eq!(pool("maglev").scheduler, Scheduler::Maglev);
    assert_eq!(pool("source-hash").scheduler, Scheduler::SourceHash);
    assert_eq!(pool("least-connections").scheduler, Scheduler::LeastConnections);
    assert_eq!(pool("random").scheduler, Scheduler::Random);
    assert_eq!(pool("round-robin").scheduler, Scheduler::Rotation);
    assert_eq!(turns(pool("round-robin")), 2);
    assert_eq!(turns(pool("weighted-round-robin")), 3);
    assert_eq!(turns(pool("random")), 0);
}

/// The configuration of a pool whose backends `v4` and `v6` have these ids.
fn named(configurations: &str, ids: [&str; 2]) -> Desired {
    let [v4, v6] = ids;
    samples::parse(&format!(
        "node: {{ name: edge-1, {SOURCES} }}\ninterfaces: [{{ name: eth0 }}]\n\
         pools: [{{ name: web, table_slots: 251, quic: [{configurations}], backends: [\n\
           {{ name: v4, address: 10.3.0.2, quic_server_id: '{v4}' }},\n\
           {{ name: v6, address: 'fd00:3::2', quic_server_id: '{v6}' }} ] }}]\n\
         services: []\n"
    ))
}

const TWO_BYTES: &str = "{ config_id: 1, server_id_bytes: 2 }, { config_id: 6, server_id_bytes: 2 }, \
                         { config_id: 3, server_id_bytes: 1 }";

#[test]
fn a_server_id_is_known_under_every_configuration_of_its_length() {
    let (target, ids) = fresh(&named(TWO_BYTES, ["0a0b", "0c"]), &Ways::new());
    let pool = ids.pool("web").unwrap();
    let [v4, v6] = ["v4", "v6"].map(|name| ids.backend("web", name).unwrap());
    let id = |text: &str| lb_common::config::ServerId::parse(text).unwrap().words();
    let expected = BTreeMap::from([
        (QuicKey::new(pool, 1, id("0a0b")), v4),
        (QuicKey::new(pool, 6, id("0a0b")), v4),
        (QuicKey::new(pool, 3, id("0c")), v6),
    ]);
    assert_eq!(target.quic_servers, expected);
    assert_eq!(target.pools[&pool].quic_server_id_bytes, [0, 2, 0, 1, 0, 0, 2]);
}

#[test]
fn a_backend_that_left_is_known_by_its_server_id_as_long_as_it_is_there() {
    let (before, ids) = fresh(&named(TWO_BYTES, ["0a0b", "0c0d"]), &Ways::new());
    let v6 = ids.backend("web", "v6").unwrap();
    let observed = Image {
        backends: before.backends.clone(),
        quic_servers: before.quic_servers.clone(),
        ..Image::default()
    };
    let without = |desired: &mut Desired| {
        desired.pools.get_mut("web").unwrap().backends.remove("v6");
    };
    let kept = |pinned: &[BackendIndex], room: u32, change: &dyn Fn(&mut Desired)| {
        let mut desired = named(TWO_BYTES, ["0a0b", "0c0d"]);
        without(&mut desired);
        change(&mut desired);
        let (mut target, _) = fresh(&desired, &Ways::new());
        let pinned = pinned.iter().copied().collect();
        let limits = Limits { backends: room, ..LIMITS };
        keep_leaving(&mut target, &observed, &pinned, &Ways::new(), &limits);
        target.quic_servers.values().filter(|index| **index == v6).count()
    };
    let nothing = |_: &mut Desired| {};
    assert_eq!(kept(&[v6], 30, &nothing), 2);
    assert_eq!(kept(&[], 30, &nothing), 0, "nobody needs it any more");
    assert_eq!(kept(&[v6], 3, &nothing), 1, "as far as there is room");
    let fewer = |desired: &mut Desired| {
        desired.pools.get_mut("web").unwrap().quic.remove(&6);
    };
    assert_eq!(kept(&[v6], 30, &fewer), 1, "the pool reads such ids no more");
}

#[test]
fn the_first_service_of_a_vip_speaks_for_it() {
    let services = "[{ name: b, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: web },
                     { name: a, vip: 203.0.113.10, protocol: udp, ports: [53], pool: web },
                     { name: c, vip: '2001:db8::10', protocol: tcp, ports: [80], pool: web }]";
    let (target, ids) = fresh(&samples::desired(POOLS, services), &Ways::new());
    let entry = |vip: &str, protocol| {
        target.services[&ServiceKey::new(vip.parse().unwrap(), protocol, 0)].service
    };
    assert_eq!(Some(entry("203.0.113.10", 1)), ids.service("a"));
    assert_eq!(Some(entry("2001:db8::10", 58)), ids.service("c"));
    assert_eq!(target.services.len(), 5);
    // A restarted agent takes them for what they are.
    let maps = Image { services: target.services, ..Image::default() };
    let adopted = Ids::adopt(&maps);
    assert!(["a", "b", "c"].iter().all(|name| adopted.service(name) == ids.service(name)));
}

#[test]
fn packets_may_leave_where_the_program_is_and_where_backends_are() {
    let address: IpAddr = "10.3.0.2".parse().unwrap();
    let ways = Ways::from([(address, known_way(address, 1))]);
    assert_eq!(egress(&BTreeSet::from([7, 9]), &ways), BTreeSet::from([samples::LINK, 7, 9]));
    let many: BTreeSet<u32> = (2..3000).collect();
    assert_eq!(egress(&many, &ways).len(), EGRESS_MAX as usize, "no more than the map holds");
}
