//! Rows for values that have the right form and make no sense.

use std::vec::Vec;

use super::{Row, check};
use crate::config::tests::{edited, refused};

#[test]
fn wrong_addresses_are_refused_with_their_place() {
    check(WRONG_ADDRESSES);
}

const WRONG_ADDRESSES: &[Row] = &[
    (
        "203.0.113.10",
        "203.0.113.300",
        "15:10: services[0].vip: \"203.0.113.300\" is not an IPv4 or IPv6 address",
    ),
    (
        "203.0.113.10",
        "203.0.113.10/32",
        "15:10: services[0].vip: \"203.0.113.10/32\" is not an IPv4 or IPv6 address",
    ),
    (
        "203.0.113.10",
        "0.0.0.0",
        "15:10: services[0].vip: 0.0.0.0 is the unspecified address, not the address of a host",
    ),
    (
        "203.0.113.10",
        "ff02::1",
        "15:10: services[0].vip: ff02::1 is a multicast address, not the address of a host",
    ),
    (
        "203.0.113.10",
        "127.0.0.1",
        "15:10: services[0].vip: 127.0.0.1 is a loopback address, not the address of a host",
    ),
    (
        "203.0.113.10",
        "255.255.255.255",
        "15:10: services[0].vip: 255.255.255.255 is the broadcast address, not the address of a host",
    ),
    (
        "203.0.113.10",
        "\"::ffff:192.0.2.1\"",
        "15:10: services[0].vip: ::ffff:192.0.2.1 is an IPv4-mapped address, not the address of a host",
    ),
    (
        "203.0.113.10",
        "fe80::1",
        "15:10: services[0].vip: fe80::1 is a link-local address, not the address of a host",
    ),
    (
        "10.3.0.2",
        "origin.example",
        "9:18: pools[0].backends[0].address: \"origin.example\" is not an IPv4 or IPv6 address",
    ),
    (
        "10.3.0.2",
        "fd00:4::2",
        "11:18: pools[0].backends[1].address: fd00:4::2 is the address of pools[0].backends[0] already",
    ),
    (
        "10.3.0.2",
        "203.0.113.10",
        "9:18: pools[0].backends[0].address: 203.0.113.10 is the VIP of a service",
    ),
    (
        "ipv4: 10.2.0.2",
        "ipv4: \"fd00::1\"",
        "1:45: node.encap_source.ipv4: \"fd00::1\" is not an IPv4 address",
    ),
    (
        "\"fd00:2::2\"",
        "10.2.0.3",
        "1:61: node.encap_source.ipv6: \"10.2.0.3\" is not an IPv6 address",
    ),
    (
        "ipv4: 10.2.0.2, ",
        "",
        "9:18: pools[0].backends[0].address: 10.3.0.2 needs node.encap_source.ipv4, which is not set",
    ),
    (
        ", ipv6: \"fd00:2::2\"",
        "",
        "11:18: pools[0].backends[1].address: fd00:4::2 needs node.encap_source.ipv6, which is not set",
    ),
];

#[test]
fn wrong_numbers_and_durations_are_refused_with_their_place() {
    check(WRONG_NUMBERS);
}

const WRONG_NUMBERS: &[Row] = &[
    ("weight: 50", "weight: 1001", "12:17: pools[0].backends[1].weight: 1001 is not in 0..=1000"),
    ("weight: 50", "weight: -1", "12:17: pools[0].backends[1].weight: -1 is not in 0..=1000"),
    ("weight: 50", "tier: 256", "12:15: pools[0].backends[1].tier: 256 is not in 0..=255"),
    (
        "    health:",
        "    table_slots: 65536\n    health:",
        "6:18: pools[0].table_slots: 65536 is not a prime; the nearest are 65521 and 65537",
    ),
    (
        "    health:",
        "    table_slots: 100\n    health:",
        "6:18: pools[0].table_slots: 100 is not in 251..=16777213",
    ),
    (
        "    health:",
        "    flow_idle_timeout: 121m\n    health:",
        "6:24: pools[0].flow_idle_timeout: 121m is not in 0..=7200000 ms",
    ),
    (
        "    health:",
        "    flow_idle_timeout: 5x\n    health:",
        "6:24: pools[0].flow_idle_timeout: \"5x\" is not a duration such as 500ms, 1s or 2m",
    ),
    (
        "    health:",
        "    udp_idle_timeout: 301s\n    health:",
        "6:23: pools[0].udp_idle_timeout: is longer than flow_idle_timeout, the time a change is remembered",
    ),
    (
        "[443, 80]",
        "[]",
        "17:12: services[0].ports: at least one port is needed; 0 alone means any port",
    ),
    ("[443, 80]", "[80, 443, 80]", "17:22: services[0].ports[2]: port 80 is listed twice"),
    ("[443, 80]", "[80, 0]", "17:17: services[0].ports[1]: port 0 means any port and stands alone"),
    ("[443, 80]", "[65536]", "17:13: services[0].ports[0]: 65536 is not in 0..=65535"),
    (
        "    pool: web",
        "    pool: web\n  - { name: b, vip: 203.0.113.10, protocol: tcp, ports: [81, 80], pool: web }",
        "19:62: services[1].ports[1]: 203.0.113.10 tcp port 80 is taken by service \"web\"",
    ),
    (
        "path: /healthz",
        "path: healthz",
        "6:33: pools[0].health.path: \"healthz\" is not a path: \"/\", then printable ASCII without blanks",
    ),
    (
        "path: /healthz",
        "path: \"/a b\"",
        "6:33: pools[0].health.path: \"/a b\" is not a path: \"/\", then printable ASCII without blanks",
    ),
    (
        "type: http, path: /healthz",
        "type: http",
        "6:13: pools[0].health.path: a check of type http needs a path",
    ),
    ("type: http", "type: tcp", "6:32: pools[0].health.path: a check of type tcp has no path"),
    ("path: /healthz", "path: /, port: 0", "6:42: pools[0].health.port: 0 is not in 1..=65535"),
    (
        "path: /healthz",
        "path: /, interval: 1 s",
        "6:46: pools[0].health.interval: \"1 s\" is not a duration such as 500ms, 1s or 2m",
    ),
    (
        "path: /healthz",
        "path: /, timeout: 5ms",
        "6:45: pools[0].health.timeout: 5ms is not in 10..=3600000 ms",
    ),
    (
        "path: /healthz",
        "path: /, timeout: 1s",
        "6:45: pools[0].health.timeout: 1s is not shorter than the interval, 1s",
    ),
    (
        "path: /healthz",
        "path: /, interval: 200ms",
        "6:13: pools[0].health.timeout: 500ms is not shorter than the interval, 200ms",
    ),
    ("path: /healthz", "path: /, rise: 0", "6:42: pools[0].health.rise: 0 is not in 1..=100"),
    ("path: /healthz", "path: /, fall: 101", "6:42: pools[0].health.fall: 101 is not in 1..=100"),
];

#[test]
fn configurations_that_outgrow_the_maps_are_refused_with_their_place() {
    check(WRONG_SIZES);
}

const WRONG_SIZES: &[Row] = &[
    (
        "interfaces:",
        "cluster: { hash_seed: too short }\ninterfaces:",
        "2:23: cluster.hash_seed: must be 16..=1024 characters long",
    ),
    (
        "interfaces:",
        "limits: { services: 0 }\ninterfaces:",
        "2:21: limits.services: 0 is not in 1..=1048576",
    ),
    (
        "interfaces:",
        "limits: { pools: 65537 }\ninterfaces:",
        "2:18: limits.pools: 65537 is not in 1..=65536",
    ),
    (
        "interfaces:",
        "limits: { backends: 32767 }\ninterfaces:",
        "2:21: limits.backends: 32767 is not in 1..=32766",
    ),
    (
        "interfaces:",
        "limits: { pins: 7 }\ninterfaces:",
        "2:17: limits.pins: 7 is not in 8..=134217728",
    ),
    (
        "interfaces:",
        "limits: { services: 1 }\ninterfaces:",
        "15:3: services: 2 ports of services are more than limits.services = 1",
    ),
    (
        "interfaces:",
        "limits: { backends: 1 }\ninterfaces:",
        "6:3: pools: 2 backends are more than limits.backends = 1",
    ),
    (
        "services:\n",
        "  - { name: b, backends: [] }\nlimits: { pools: 1 }\nservices:\n",
        "5:3: pools: 2 pools are more than limits.pools = 1",
    ),
    (
        "interfaces:",
        "limits: { table_slots: 130000 }\ninterfaces:",
        "6:3: pools: 131072 table slots (all pools, the largest twice, in pages of 1024) are more than limits.table_slots = 130048",
    ),
];

#[test]
fn more_backends_than_slots_are_refused() {
    let backend =
        |number| std::format!("      - {{ name: b{number}, address: 10.9.0.{number} }}\n");
    let many = (0..252).map(backend).collect::<Vec<_>>().concat();
    let text = edited("      - name: web-1\n", &(many + "      - name: web-1\n"))
        .replace("    health:", "    table_slots: 251\n    health:");
    assert_eq!(
        refused(&text),
        "edge.yaml:6:18: pools[0].table_slots: 251 slots are too few for 254 backends"
    );
}
