//! Claims about the configuration: what is accepted, with which defaults, and what is refused.

mod examples;
mod health;
mod random;
mod refusals;

use std::string::{String, ToString};
use std::time::Duration;
use std::vec;

use super::{Desired, Encapsulation, HealthKind, HealthVia, Mode, Protocol, Scheduler, parse};

/// A valid configuration; lines and columns in the tests are those of this text.
const BASE: &str = r#"node: { name: edge-1, encap_source: { ipv4: 10.2.0.2, ipv6: "fd00:2::2" } }
interfaces:
  - name: eth0
pools:
  - name: web
    health: { type: http, path: /healthz }
    backends:
      - name: web-1
        address: 10.3.0.2
      - name: web-2
        address: fd00:4::2
        weight: 50
services:
  - name: web
    vip: 203.0.113.10
    protocol: tcp
    ports: [443, 80]
    pool: web
"#;

/// [`BASE`] with one passage, which must occur once, replaced.
fn edited(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from:?} must occur once");
    BASE.replace(from, to)
}

fn accepted(text: &str) -> Desired {
    parse("edge.yaml", text).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    parse("edge.yaml", text).expect_err("the text must be refused").to_string()
}

#[test]
fn what_the_file_says_is_in_the_result() {
    let desired = accepted(BASE);
    assert_eq!(desired.node.name, "edge-1");
    assert_eq!(desired.node.encap_source_ipv4, Some("10.2.0.2".parse().unwrap()));
    assert_eq!(desired.node.encap_source_ipv6, Some("fd00:2::2".parse().unwrap()));
    assert_eq!(desired.interfaces[0].name, "eth0");
    let pool = &desired.pools["web"];
    assert_eq!(pool.backends["web-2"].address.to_string(), "fd00:4::2");
    assert_eq!(pool.backends["web-2"].weight.value(), 50);
    let health = pool.health.as_ref().unwrap();
    assert!(matches!(&health.kind, HealthKind::Http(http) if http.path == "/healthz"));
    let service = &desired.services["web"];
    assert_eq!(service.vip.to_string(), "203.0.113.10");
    assert_eq!(service.protocol, Protocol::Tcp);
    assert_eq!(service.ports, [80, 443], "sorted");
    assert_eq!(service.pool, "web");
}

#[test]
#[expect(clippy::cognitive_complexity, reason = "one assertion a field")]
fn what_the_file_leaves_out_has_its_documented_default() {
    let desired = accepted(BASE);
    assert_eq!(desired.interfaces[0].mode, Mode::Auto);
    assert_eq!((desired.limits.services, desired.limits.pools), (16_384, 1024));
    assert_eq!((desired.limits.backends, desired.limits.table_slots), (16_384, 8_388_608));
    assert_eq!((desired.limits.pins, desired.limits.fragments), (1_048_576, 16_384));
    assert_eq!(desired.node.gue_port, 6080);
    let icmp = desired.node.icmp;
    assert_eq!((icmp.errors_per_second, icmp.echoes_per_second), (1000, 1000));
    let pool = &desired.pools["web"];
    assert_eq!(pool.scheduler, Scheduler::Maglev);
    assert_eq!(pool.encapsulation, Encapsulation::Ipip);
    assert_eq!(pool.table_slots, 65_521);
    assert_eq!(pool.flow_idle_timeout, Duration::from_mins(5));
    assert_eq!(pool.udp_idle_timeout, Duration::from_secs(30));
    assert_eq!(pool.backends["web-1"].weight.value(), 100);
    assert_eq!(pool.backends["web-1"].tier, 0);
    assert!(pool.quic.is_empty() && pool.backends["web-1"].quic_server_id.is_none());
    let health = pool.health.as_ref().unwrap();
    assert_eq!(health.port, None);
    assert_eq!(health.interval, Duration::from_secs(1));
    assert_eq!(health.timeout, Duration::from_millis(500));
    assert_eq!((health.rise, health.fall), (2, 3));
    assert_eq!(health.via, HealthVia::Direct);
}

#[test]
fn the_default_hash_seed_never_changes() {
    assert_eq!(accepted(BASE).hash_seed, [0x78b1_0897_b2ac_aad5, 0x0994_9516_deb8_5555]);
}

#[test]
fn the_text_of_the_hash_seed_decides_the_seed() {
    let with = |seed: &str| {
        accepted(&edited(
            "interfaces:",
            &std::format!("cluster: {{ hash_seed: {seed} }}\ninterfaces:"),
        ))
        .hash_seed
    };
    assert_eq!(with("sixteen letters!"), with("sixteen letters!"));
    assert_ne!(with("sixteen letters!"), with("sixteen letters?"));
    assert_ne!(with("sixteen letters!"), accepted(BASE).hash_seed);
    assert_eq!(with(super::file::default::HASH_SEED), accepted(BASE).hash_seed);
}

#[test]
fn nothing_to_balance_may_be_said_but_must_be_said() {
    let head = "node: { name: edge-1 }\ninterfaces: [ { name: eth0 } ]\n";
    let desired = accepted(&(head.to_string() + "pools: []\nservices: []\n"));
    assert!(desired.pools.is_empty() && desired.services.is_empty());
    assert_eq!(
        refused(&(head.to_string() + "pools: []\n")),
        "edge.yaml:1:1: missing field \"services\""
    );
}

#[test]
fn a_pool_may_have_no_backend_or_only_weights_of_zero() {
    let none = "node: { name: edge-1 }\ninterfaces: [ { name: eth0 } ]\n\
                pools: [ { name: web, backends: [] } ]\nservices: []\n";
    assert!(accepted(none).pools["web"].backends.is_empty());
    let zero = edited("weight: 50", "weight: 0").replace("10.3.0.2", "10.3.0.2\n        weight: 0");
    assert!(accepted(&zero).pools["web"].backends.values().all(|b| b.weight.value() == 0));
}

#[test]
fn port_zero_alone_is_any_port() {
    let text = edited("[443, 80]", "[0]").replace("/healthz }", "/healthz, port: 80 }");
    assert_eq!(accepted(&text).services["web"].ports, [0]);
}

#[test]
fn one_vip_may_be_shared_by_other_protocols_and_ports() {
    let more = "  - { name: dns, vip: 203.0.113.10, protocol: udp, ports: [443], pool: web }
  - { name: rest, vip: 203.0.113.10, protocol: tcp, ports: [0], pool: web }\n";
    assert_eq!(accepted(&(BASE.to_string() + more)).services.len(), 3);
}

#[test]
fn table_slots_of_the_limits_are_whole_pages() {
    let text = edited("interfaces:", "limits: { table_slots: 131073 }\ninterfaces:");
    assert_eq!(accepted(&text).limits.table_slots, 132_096);
}

#[test]
fn pins_of_the_limits_fill_whole_buckets() {
    let text = edited("interfaces:", "limits: { pins: 1001 }\ninterfaces:");
    assert_eq!(accepted(&text).limits.pins, 1_008);
}

#[test]
fn fragments_of_the_limits_fill_whole_buckets() {
    let text = edited("interfaces:", "limits: { fragments: 1001 }\ninterfaces:");
    assert_eq!(accepted(&text).limits.fragments, 1_008);
}

#[test]
fn the_source_of_outer_headers_may_be_a_prefix() {
    let text = BASE.replace("10.2.0.2", "10.64.0.0/18").replace("fd00:2::2", "fd00:2::/64");
    let node = accepted(&text).node;
    let [v4, v6] = [node.encap_source_ipv4, node.encap_source_ipv6].map(Option::unwrap);
    assert_eq!((v4.bits(), v6.bits()), (18, 64));
    assert_eq!((v4.to_string(), v6.to_string()), ("10.64.0.0/18".into(), "fd00:2::/64".into()));
    let whole = accepted(&edited("ipv4: 10.2.0.2", "ipv4: 10.2.0.2/32")).node;
    assert_eq!(whole, accepted(BASE).node, "all bits of it are one address");
}

#[test]
fn every_scheduler_and_every_encapsulation_goes_by_its_name() {
    let field = |field: &str| {
        let text = edited("    health:", &std::format!("    {field}\n    health:"));
        accepted(&text).pools["web"].clone()
    };
    for scheduler in Scheduler::ALL {
        let pool = field(&std::format!("scheduler: {}", scheduler.name()));
        assert_eq!(pool.scheduler, scheduler);
    }
    for encapsulation in Encapsulation::ALL {
        let pool = field(&std::format!("encapsulation: {}", encapsulation.name()));
        assert_eq!(pool.encapsulation, encapsulation);
    }
}

#[test]
fn frames_that_are_not_wrapped_need_no_outer_source() {
    let text = edited("{ ipv4: 10.2.0.2, ipv6: \"fd00:2::2\" }", "{}")
        .replace("    health:", "    encapsulation: l2\n    health:");
    assert_eq!(accepted(&text).pools["web"].encapsulation, Encapsulation::L2);
}

#[test]
fn backends_may_have_a_name_in_quic_connection_ids() {
    let quic =
        "    quic: [{ config_id: 0, server_id_bytes: 2 }, { config_id: 6, server_id_bytes: 2 }]";
    let text = edited("    health:", &(quic.to_string() + "\n    health:"))
        .replace("        weight: 50\n", "        weight: 50\n        quic_server_id: 0A0b\n");
    let pool = accepted(&text).pools["web"].clone();
    assert_eq!(pool.quic, [(0, 2), (6, 2)].into());
    assert_eq!(pool.backends["web-1"].quic_server_id, None);
    assert_eq!(pool.backends["web-2"].quic_server_id.as_ref().unwrap().to_string(), "0a0b");
}

#[test]
fn how_often_the_balancer_answers_is_the_nodes() {
    let node = |fields: &str| accepted(&edited("edge-1,", &std::format!("edge-1, {fields},"))).node;
    let icmp = node("icmp: { errors_per_second: 0 }").icmp;
    assert_eq!((icmp.errors_per_second, icmp.echoes_per_second), (0, 1000));
    assert_eq!(node("icmp: { echoes_per_second: 1000000 }").icmp.echoes_per_second, 1_000_000);
    assert_eq!(node("gue_port: 65535").gue_port, 65_535);
}

#[test]
fn udp_flows_are_kept_no_longer_than_a_change_is_remembered() {
    let udp = |fields: &str| {
        let text = edited("    health:", &std::format!("    {fields}\n    health:"));
        accepted(&text).pools["web"].udp_idle_timeout
    };
    assert_eq!(udp("flow_idle_timeout: 2h"), Duration::from_secs(30));
    assert_eq!(udp("flow_idle_timeout: 10s"), Duration::from_secs(10));
    assert_eq!(udp("flow_idle_timeout: 0s"), Duration::ZERO);
    assert_eq!(udp("udp_idle_timeout: 5m"), Duration::from_mins(5));
    assert_eq!(udp("udp_idle_timeout: 0s"), Duration::ZERO);
}

#[test]
fn durations_are_read_in_each_unit() {
    let cases = vec![("1500ms", 1500), ("90s", 90_000), ("2m", 120_000), ("1h", 3_600_000)];
    for (interval, ms) in cases {
        let text = edited("path: /healthz", &std::format!("path: /, interval: {interval}"));
        let health = accepted(&text).pools["web"].health.clone().unwrap();
        assert_eq!(health.interval, Duration::from_millis(ms), "{interval}");
    }
}

#[test]
fn an_anchor_may_be_used_for_what_repeats() {
    let text = edited("{ type: http, path: /healthz }", "&check { type: tcp }")
        .replace("services:\n", "  - { name: api, health: *check, backends: [] }\nservices:\n");
    let desired = accepted(&text);
    assert_eq!(desired.pools["api"].health, desired.pools["web"].health);
}

#[test]
fn all_wrong_values_are_reported_at_once_in_the_order_of_the_text() {
    let text = BASE
        .replace("eth0", "a/b")
        .replace("weight: 50", "weight: 1001")
        .replace("443", "65536")
        .replace("pool: web", "pool: wen");
    assert_eq!(
        refused(&text),
        "edge.yaml:3:11: interfaces[0].name: \"a/b\" is not a name of an interface (15 characters at most)
edge.yaml:12:17: pools[0].backends[1].weight: 1001 is not in 0..=1000
edge.yaml:17:13: services[0].ports[0]: 65536 is not in 0..=65535
edge.yaml:18:11: services[0].pool: there is no pool \"wen\"; did you mean \"web\"?"
    );
}

#[test]
fn all_wrong_fields_are_reported_at_once_in_the_order_of_the_text() {
    let text = BASE
        .replace("    health:", "    helth:")
        .replace("10.3.0.2", "[10.3.0.2]")
        .replace("weight: 50", "colour: red")
        .replace("protocol: tcp", "protocol: icmp")
        .replace("    vip: 203.0.113.10\n", "")
        .replace("- name: eth0", "- eth0");
    assert_eq!(
        refused(&text),
        "edge.yaml:3:5: interfaces[0]: invalid type: string \"eth0\", expected a mapping
edge.yaml:6:5: pools[0].helth: unknown field; did you mean \"health\"?
edge.yaml:9:18: pools[0].backends[0].address: invalid type: sequence, expected a string
edge.yaml:12:9: pools[0].backends[1].colour: unknown field; known here: name, address, weight, tier, quic_server_id
edge.yaml:14:5: services[0]: missing field \"vip\"
edge.yaml:15:15: services[0].protocol: \"icmp\" is not one of: tcp, udp"
    );
}

#[test]
fn a_text_of_another_kind_is_refused_in_full_and_soon() {
    let text = "node: 5\npools: 3\nservices: [a, { b: c }]\ninterfaces:\n";
    let refusal = refused(text);
    assert!(refusal.contains("interfaces: invalid type: nothing, expected a list"), "{refusal}");
    assert!(refusal.contains("edge.yaml:3:12: services[0]: invalid type: string \"a\""));
    assert_eq!(refusal.lines().count(), 10, "{refusal}");
}
