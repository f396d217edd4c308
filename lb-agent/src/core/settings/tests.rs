//! What configurations ask of the program.

use std::collections::BTreeMap;

use lb_common::abi::{BackendEntry, BackendIndex, PoolEntry};

use super::*;
use crate::core::samples::parse;

/// A configuration of one pool with these fields, and a node with these.
fn settings(node: &str, pool: &str) -> Settings {
    let text = format!(
        "node: {{ name: edge-1, {node} }}\ninterfaces: [{{ name: eth0 }}]\n\
         pools: [{{ name: web, {pool} backends: [] }}]\nservices: []\n"
    );
    Settings::of(&parse(&text))
}

#[test]
fn what_is_not_configured_is_not_loaded() {
    assert_eq!(settings("", ""), Settings::default());
}

#[test]
fn each_thing_that_is_configured_is_a_feature_of_its_own() {
    let features = |pool: &str| settings("", pool).features;
    assert_eq!(features("encapsulation: gue,"), Features::GUE);
    assert_eq!(features("encapsulation: gre,"), Features::GRE);
    assert_eq!(features("encapsulation: l2,"), Features::L2);
    assert_eq!(features("scheduler: source-hash,"), Features::SOURCE_HASH);
    for scheduler in ["round-robin", "weighted-round-robin", "least-connections", "random"] {
        assert_eq!(features(&format!("scheduler: {scheduler},")), Features::SCHEDULERS);
    }
    assert_eq!(features("quic: [{ config_id: 0, server_id_bytes: 4 }],"), Features::QUIC);
    let spread = settings("encap_source: { ipv6: 'fd00:2::/64' }", "");
    assert_eq!(spread.features, Features::SOURCE_SPREAD);
    let mut desired = parse(
        "node: { name: edge-1 }\ninterfaces: [{ name: eth0 }, { name: eth1 }]\n\
         pools: []\nservices: []\n",
    );
    assert_eq!(Settings::of(&desired).features, Features::REDIRECT);
    desired.interfaces.pop();
    assert_eq!(Settings::of(&desired).features, Features::default());
}

#[test]
fn the_host_bits_of_a_prefix_are_filled_and_those_of_an_address_are_not() {
    let both = settings("encap_source: { ipv4: 10.64.0.0/18, ipv6: 'fd00:2::/64' }", "");
    assert_eq!(both.source_spread_v4.to_ne_bytes(), [0, 0, 0x3f, 0xff]);
    assert_eq!(both.source_spread_v6, [0, 0, u32::MAX, u32::MAX]);
    let none = settings("encap_source: { ipv4: 10.2.0.2, ipv6: 'fd00:2::2' }", "");
    assert_eq!(none, Settings::default());
}

#[test]
fn rates_are_times_between_replies_and_none_is_never() {
    let set =
        settings("gue_port: 5555, icmp: { errors_per_second: 0, echoes_per_second: 300 }", "");
    assert_eq!(set.gue_port, 5555);
    assert_eq!(set.reply_intervals_ns, [0, 3_333_333]);
}

#[test]
fn what_is_left_of_an_earlier_configuration_works_on() {
    let entry = |encapsulation: abi::Encapsulation| BackendEntry {
        encapsulation: encapsulation.code(),
        ..BackendEntry::default()
    };
    let index = BackendIndex::new(1).unwrap();
    let scheduler = abi::Scheduler::Rotation.code();
    let maps = Image {
        backends: BTreeMap::from([(index, entry(abi::Encapsulation::GreV6))]),
        pools: BTreeMap::from([(0, PoolEntry { scheduler, ..PoolEntry::default() })]),
        ..Image::default()
    };
    let wanted = settings("", "encapsulation: gue,");
    let features = Features::GUE.with(Features::GRE).with(Features::SCHEDULERS);
    assert_eq!(wanted.covering(&maps), Settings { features, ..wanted });
    assert_eq!(wanted.covering(&Image::default()), wanted);
}

#[test]
fn on_the_way_all_features_are_there_and_sources_are_those_that_both_allow() {
    let before = settings("encap_source: { ipv4: 10.64.0.0/16 }", "encapsulation: gue,");
    let after = settings("gue_port: 5555, encap_source: { ipv4: 10.64.0.0/18 }", "");
    let between = before.on_the_way_to(&after);
    assert_eq!(between.features, Features::GUE.with(Features::SOURCE_SPREAD));
    assert_eq!(between.source_spread_v4, after.source_spread_v4);
    assert_eq!(after.on_the_way_to(&before).source_spread_v4, after.source_spread_v4);
    assert_eq!(between.gue_port, 5555);
    assert_eq!(before.on_the_way_to(&before), before);
}
