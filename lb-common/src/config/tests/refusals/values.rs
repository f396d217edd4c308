//! Rows for values that have the right form and make no sense.

use super::{Row, accepted, check, edited, refused};

#[test]
fn metrics_are_told_at_an_address_and_port() {
    let listen =
        |text: &str| edited("pools:\n", &std::format!("metrics: {{ listen: {text} }}\npools:\n"));
    let desired = accepted(&listen("\"[::1]:9417\""));
    assert_eq!(desired.metrics, Some("[::1]:9417".parse().unwrap()));
    for wrong in ["127.0.0.1", "localhost:9417", "127.0.0.1:0", "127.0.0.1:65536"] {
        let message = std::format!(
            "metrics.listen: \"{wrong}\" is no address and port, such as 127.0.0.1:9417"
        );
        assert!(refused(&listen(wrong)).ends_with(&message), "{}", refused(&listen(wrong)));
    }
}

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
        "1:45: node.encap_source.ipv4: \"fd00::1\" is not an IPv4 address or prefix",
    ),
    (
        "\"fd00:2::2\"",
        "10.2.0.3",
        "1:61: node.encap_source.ipv6: \"10.2.0.3\" is not an IPv6 address or prefix",
    ),
    (
        "10.2.0.2",
        "10.2.0.2/24",
        "1:45: node.encap_source.ipv4: 10.2.0.2/24 has bits set behind the prefix",
    ),
    (
        "10.2.0.2",
        "16.0.0.0/7",
        "1:45: node.encap_source.ipv4: the length of 16.0.0.0/7 is not in 8..=32",
    ),
    (
        "10.2.0.2",
        "10.2.0.2/33",
        "1:45: node.encap_source.ipv4: /33 is longer than the 32 bits of an address",
    ),
    (
        "10.2.0.2",
        "255.255.0.0/16",
        "1:45: node.encap_source.ipv4: 255.255.0.0/16 holds the broadcast address, not the address of a host",
    ),
    (
        "\"fd00:2::2\"",
        "\"fe80::/64\"",
        "1:61: node.encap_source.ipv6: fe80::/64 holds a link-local address, not the address of a host",
    ),
    (
        "\"fd00:2::2\"",
        "\"2000::/3\"",
        "1:61: node.encap_source.ipv6: the length of 2000::/3 is not in 16..=128",
    ),
    (
        "10.2.0.2",
        "10.3.0.0/24",
        "9:18: pools[0].backends[0].address: 10.3.0.2 is among node.encap_source, 10.3.0.0/24",
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
    ("edge-1,", "edge-1, gue_port: 0,", "1:33: node.gue_port: 0 is not in 1..=65535"),
    (
        "edge-1,",
        "edge-1, icmp: { errors_per_second: -1 },",
        "1:50: node.icmp.errors_per_second: -1 is not in 0..=1000000",
    ),
    (
        "edge-1,",
        "edge-1, icmp: { echoes_per_second: 1000001 },",
        "1:50: node.icmp.echoes_per_second: 1000001 is not in 0..=1000000",
    ),
    (
        "    health:",
        "    scheduler: random\n    flow_idle_timeout: 0s\n    health:",
        "7:24: pools[0].flow_idle_timeout: scheduler random has to remember each flow, for longer than 0s",
    ),
];

#[test]
fn wrong_names_in_quic_connection_ids_are_refused_with_their_place() {
    check(WRONG_QUIC);
}

const WRONG_QUIC: &[Row] = &[
    (
        "    health:",
        "    quic: [{ config_id: 7, server_id_bytes: 16 }]\n    health:",
        "6:25: pools[0].quic[0].config_id: 7 is not in 0..=6\n\
         edge.yaml:6:45: pools[0].quic[0].server_id_bytes: 16 is not in 1..=15",
    ),
    (
        "    health:",
        "    quic: [{ config_id: 1, server_id_bytes: 2 }, { config_id: 1, server_id_bytes: 3 }]\n    health:",
        "6:63: pools[0].quic[1].config_id: 1 is the configuration of pools[0].quic[0] already",
    ),
    (
        "weight: 50",
        "quic_server_id: 0a0",
        "12:25: pools[0].backends[1].quic_server_id: \"0a0\" is not 1..=15 bytes of two hexadecimal digits each",
    ),
    (
        "weight: 50",
        "quic_server_id: 0a0b",
        "12:25: pools[0].backends[1].quic_server_id: none of the pool's quic configurations has ids of 2 bytes",
    ),
    (
        "    backends:\n      - name: web-1\n",
        "    quic: [{ config_id: 1, server_id_bytes: 1 }]\n    backends:\n      - name: web-0\n        address: 10.3.0.9\n        quic_server_id: aa\n      - name: web-1\n        quic_server_id: AA\n",
        "13:25: pools[0].backends[1].quic_server_id: aa is the id of pools[0].backends[0] already",
    ),
];
