//! Each kind of difference, in the words that the operator reads.

use super::*;
use crate::core::overrides::Change as Command;
use crate::core::samples::parse;

const BASE: &str = "\
node: { name: edge-1, encap_source: { ipv4: 10.2.0.2 } }
interfaces: [{ name: eth0 }]
limits: { services: 10, pools: 10, backends: 10, table_slots: 1048576 }
pools:
  - name: web
    health: { type: tcp, port: 80 }
    backends:
      - { name: web-1, address: 10.3.0.2, weight: 100 }
      - { name: web-2, address: 10.3.0.3, weight: 100 }
services:
  - { name: web, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: web }
";

/// What changes when `from` is replaced by `to` in [`BASE`].
fn changes(from: &str, to: &str) -> Vec<String> {
    assert!(BASE.contains(from), "{from}");
    lines(&diff(&parse(BASE), &parse(&BASE.replace(from, to))))
}

fn lines(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let kind = match change.kind {
            ChangeKind::Add => "+",
            ChangeKind::Remove => "-",
            ChangeKind::Modify => "~",
        };
        format!("{kind} {} {}", change.object, change.detail).trim_end().to_owned()
    };
    changes.iter().map(line).collect()
}

#[test]
fn the_same_configuration_has_no_differences() {
    assert_eq!(diff(&parse(BASE), &parse(BASE)), []);
}

#[test]
fn a_changed_backend_names_its_fields_with_old_and_new_value() {
    assert_eq!(
        changes("10.3.0.2, weight: 100", "10.3.0.9, weight: 50, tier: 1"),
        ["~ backend web/web-1 address 10.3.0.2 -> 10.3.0.9, weight 100 -> 50, tier 0 -> 1"]
    );
}

#[test]
fn a_renamed_backend_comes_before_the_old_one_goes() {
    assert_eq!(changes("web-1", "web-9"), ["+ backend web/web-9", "- backend web/web-1"]);
}

#[test]
fn a_changed_service_names_its_fields() {
    assert_eq!(
        changes(
            "203.0.113.10, protocol: tcp, ports: [80]",
            "203.0.113.9, protocol: udp, ports: [0]"
        ),
        ["~ service web vip 203.0.113.10 -> 203.0.113.9, protocol tcp -> udp, ports [80] -> [0]"]
    );
}

#[test]
fn a_changed_pool_names_its_fields() {
    assert_eq!(
        changes("health: { type: tcp, port: 80 }", "table_slots: 1021"),
        ["~ pool web table_slots 65521 -> 1021, health tcp -> none"]
    );
}

#[test]
fn node_interface_limits_and_seed_are_compared_too() {
    assert_eq!(
        changes(
            "{ name: edge-1, encap_source: { ipv4: 10.2.0.2 } }",
            "{ name: edge-2, encap_source: { ipv4: 10.2.0.2, ipv6: 'fd00::1' } }"
        ),
        ["~ node name edge-1 -> edge-2, encap_source.ipv6 none -> fd00::1"]
    );
    assert_eq!(
        changes("{ name: eth0 }", "{ name: eth0, mode: native }, { name: eth1 }"),
        ["~ interface eth0 mode auto -> native", "+ interface eth1"]
    );
    assert_eq!(
        changes(
            "services: 10, pools: 10, backends: 10, table_slots: 1048576",
            "services: 11, pools: 12, backends: 13, table_slots: 2097152"
        ),
        [
            "~ limits services 10 -> 11, pools 10 -> 12, backends 10 -> 13, table_slots 1048576 -> 2097152"
        ]
    );
}

#[test]
fn another_seed_is_told_without_its_value() {
    let seeded =
        BASE.replace("pools:\n", "cluster: { hash_seed: a secret of this cluster }\npools:\n");
    assert_eq!(lines(&diff(&parse(BASE), &parse(&seeded))), ["~ cluster hash_seed"]);
}

#[test]
fn the_address_of_metrics_is_compared() {
    let told = BASE.replace("pools:\n", "metrics: { listen: \"127.0.0.1:9417\" }\npools:\n");
    let expected = ["~ metrics listen none -> 127.0.0.1:9417"];
    assert_eq!(lines(&diff(&parse(BASE), &parse(&told))), expected);
}

#[test]
fn what_comes_is_listed_before_what_goes() {
    let other = "\
node: { name: edge-1, encap_source: { ipv4: 10.2.0.2 } }
interfaces: [{ name: eth1 }]
limits: { services: 10, pools: 10, backends: 10, table_slots: 1048576 }
pools: [{ name: api, backends: [{ name: api-1, address: 10.3.0.2 }] }]
services: [{ name: api, vip: 203.0.113.11, protocol: tcp, ports: [80], pool: api }]
";
    assert_eq!(
        lines(&diff(&parse(BASE), &parse(other))),
        [
            "+ interface eth1",
            "+ pool api",
            "+ backend api/api-1",
            "+ service api",
            "- interface eth0",
            "- pool web",
            "- backend web/web-1",
            "- backend web/web-2",
            "- service web",
        ]
    );
}

#[test]
fn a_changed_check_names_its_fields() {
    let check = "{ type: tcp, port: 80 }";
    assert_eq!(
        changes(check, "{ type: http, path: /up, interval: 2s, timeout: 1s, fall: 5 }"),
        ["~ pool web health.type tcp -> http, health.expect_status none -> 200-299, \
          health.method none -> GET, health.path none -> /up, health.port 80 -> none, \
          health.interval 1s -> 2s, health.timeout 500ms -> 1s, health.fall 3 -> 5"]
    );
    let with_failover = format!("{check}\n    failover: {{ hold_down: 20s, at_start: wait }}");
    assert_eq!(
        changes(check, &with_failover),
        ["~ pool web failover.hold_down 10s -> 20s, failover.at_start adopt -> wait"]
    );
    let adapted = format!("{check}\n    adapt: {{ report_port: 81 }}");
    assert_eq!(changes(check, &adapted), ["~ pool web adapt none -> on"]);
}

#[test]
fn a_backend_that_goes_takes_its_commands_along() {
    let without = BASE.replace("      - { name: web-2, address: 10.3.0.3, weight: 100 }\n", "");
    let mut changes = diff(&parse(BASE), &parse(&without));
    let weight = Command::Weight(lb_common::config::Weight::new(7));
    let overrides = Overrides::default().with("web", "web-2", weight);
    note_forgotten(&mut changes, &overrides.with("web", "web-1", weight));
    assert_eq!(lines(&changes), ["- backend web/web-2 with what was ordered: weight 7"]);
}
