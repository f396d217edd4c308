//! Status, services and backends as they are printed.

use lb_common::api::{
    Backend, DrainStatus, Health, HealthCounts, HealthHistory, HealthResult, InterfaceStatus,
    NextHop, NextHopState, Operator, PinStatus, ReasonCount, Service, Status, Traffic,
};

use super::{item, list};
use crate::render::{Palette, View, change_line};

fn backend(name: &str) -> Backend {
    Backend {
        pool: "web".to_owned(),
        name: name.to_owned(),
        address: "10.3.0.2".parse().unwrap(),
        tier: 0,
        state: "active".to_owned(),
        health: "up".to_owned(),
        weight_configured: 100,
        weight_effective: 100,
        operator: Operator::default(),
        drain: None,
        share: 0.5,
        flows: 0,
        next_hop: NextHop {
            state: NextHopState::Resolved,
            gateway: "10.2.0.1".parse().ok(),
            interface: Some("eth0".to_owned()),
            mac: Some("02:00:00:00:00:01".to_owned()),
            mtu_bytes: Some(1600),
            problem: None,
        },
        traffic: Traffic { packets: 1_234_567, bytes: 79_012_288 },
    }
}

fn drained() -> Backend {
    Backend {
        address: "2001:db8::3".parse().unwrap(),
        state: "draining".to_owned(),
        weight_effective: 0,
        operator: Operator { weight: Some(50), drain: true },
        drain: Some(DrainStatus {
            state: "draining".to_owned(),
            since: Some("2026-11-21T10:00:00Z".to_owned()),
            deadline: Some("2026-11-21T10:10:00Z".to_owned()),
            force_at_deadline: true,
            flows_left: Some(12_345),
            flows_ended_per_s: 50.0,
            estimated_end: Some("2026-11-21T10:04:00Z".to_owned()),
        }),
        share: 0.0,
        flows: 12_345,
        next_hop: NextHop {
            state: NextHopState::Unresolved,
            gateway: None,
            interface: None,
            mac: None,
            mtu_bytes: None,
            problem: Some("no route".to_owned()),
        },
        traffic: Traffic::default(),
        ..backend("web-2")
    }
}

fn service() -> Service {
    Service {
        name: "web".to_owned(),
        vip: "203.0.113.10".parse().unwrap(),
        protocol: "tcp".to_owned(),
        ports: vec![80, 443],
        pool: "web".to_owned(),
        backends_active: 1,
        backends_total: 2,
        traffic: Traffic { packets: 9_999, bytes: 1023 },
    }
}

fn reason(name: &str, verdict: &str, packets: u64) -> ReasonCount {
    ReasonCount {
        reason: name.to_owned(),
        verdict: verdict.to_owned(),
        help: format!("It is {name}."),
        packets,
        bytes: packets * 64,
    }
}

fn status() -> Status {
    Status {
        node: "edge-1".to_owned(),
        agent_version: "0.1.0".to_owned(),
        pid: 42,
        started_at: "2025-11-20T22:00:00Z".to_owned(),
        config_file: "/etc/lb/edge.yaml".to_owned(),
        layout_version: 1,
        pin_dir: "/sys/fs/bpf/lb/v1".to_owned(),
        last_loop_at: "2025-11-20T22:10:00Z".to_owned(),
        loop_lag_ms: 2,
        adopted: true,
        health: HealthCounts { up: 3, down: 1, unknown: 0 },
        interfaces: vec![InterfaceStatus {
            name: "eth0".to_owned(),
            ifindex: 3,
            mode: "native".to_owned(),
            program_id: 77,
        }],
        services: 2,
        pools: 1,
        backends: 3,
        map_memory_bytes: 96 << 20,
        pins: PinStatus { capacity: 1 << 20, ..PinStatus::default() },
        reasons: vec![reason("forwarded", "tx", 12_345), reason("no_backend", "drop", 0)],
        warnings: vec!["health checks are not running".to_owned()],
    }
}

#[test]
fn a_loop_that_is_late_is_told() {
    let late = item(Status { loop_lag_ms: 250, ..status() }).text(false, Palette::PLAIN);
    assert!(late.contains("pid 42, its loop up to 250 ms late\n"), "{late}");
}

#[test]
fn status_is_a_header_interfaces_reasons_and_warnings() {
    let expected = "\
Node:            edge-1
Agent:           0.1.0, pid 42
Started:         2025-11-20T22:00:00Z, adopted the maps of an earlier agent
Configuration:   /etc/lb/edge.yaml, generation 7
Objects:         2 services, 1 pool, 3 backends
Health checks:   3 up, 1 down
Maps:            96.0MiB, layout 1, pinned in /sys/fs/bpf/lb/v1
Flow pins:       0 of 1,048,576, 0 slots in transition

INTERFACE   IFINDEX   MODE     PROGRAM
eth0        3         native   77

REASON      VERDICT   PACKETS   BYTES
forwarded   tx        12.3k     772KiB

Warnings:
  - health checks are not running
";
    assert_eq!(item(status()).text(false, Palette::PLAIN), expected);
    assert_eq!(item(status()).names(), ["node/edge-1"]);
}

#[test]
fn flow_pins_that_were_lost_are_told() {
    let pins =
        PinStatus { capacity: 2048, used: 2000, evicted: 1, full: 1000, slots_in_transition: 1 };
    let text = item(Status { pins, ..status() }).text(false, Palette::PLAIN);
    let line = "\nFlow pins:       2,000 of 2,048, 1 slot in transition, 1 evicted, \
                1,000 found no room\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_backend_that_is_leaving_is_worth_a_look() {
    let leaving = Backend { state: "leaving".to_owned(), ..backend("web-1") };
    let coloured = item(leaving).text(false, Palette::new(true));
    assert!(coloured.contains("\u{1b}[33mleaving\u{1b}[0m"), "{coloured}");
}

#[test]
fn wide_status_has_every_reason_and_its_meaning() {
    let text = item(status()).text(true, Palette::PLAIN);
    let expected = "
REASON       VERDICT   PACKETS   BYTES    MEANING
forwarded    tx        12.3k     772KiB   It is forwarded.
no_backend   drop      0         0B       It is no_backend.
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_status_without_packets_says_so() {
    let quiet = Status { reasons: vec![reason("forwarded", "tx", 0)], ..status() };
    let text = item(quiet).text(false, Palette::PLAIN);
    assert!(text.contains("\nNo packet has been seen yet.\n"), "{text}");
}

#[test]
fn services_are_listed() {
    let any = Service { ports: vec![0], backends_active: 0, name: "dns".to_owned(), ..service() };
    let services = list(vec![service(), any]);
    let expected = "\
NAME   VIP            PROTOCOL   PORTS    POOL   BACKENDS   PACKETS
web    203.0.113.10   tcp        80,443   web    1/2        9999
dns    203.0.113.10   tcp        any      web    0/2        9999
";
    assert_eq!(services.text(false, Palette::PLAIN), expected);
    assert!(services.text(true, Palette::PLAIN).contains("PACKETS   BYTES\n"));
    assert!(services.text(true, Palette::PLAIN).contains("9999      1023B\n"));
    assert_eq!(services.names(), ["service/web", "service/dns"]);
}

#[test]
fn a_service_is_described() {
    let expected = "\
Name:        web
VIP:         203.0.113.10
Protocol:    tcp
Ports:       80,443
Pool:        web
Backends:    1 of 2 take new flows
Forwarded:   9999 packets, 1023B
";
    assert_eq!(item(service()).text(false, Palette::PLAIN), expected);
}

#[test]
fn backends_are_listed_with_the_weight_in_force() {
    let backends = list(vec![backend("web-1"), drained()]);
    let expected = "\
BACKEND     ADDRESS       TIER   STATE      HEALTH   WEIGHT          SHARE   NEXT HOP     PACKETS
web/web-1   10.3.0.2      0      active     up       100             50.0%   10.2.0.1     1.2M
web/web-2   2001:db8::3   0      draining   up       0 (file: 100)   0.0%    unresolved   0
";
    assert_eq!(backends.text(false, Palette::PLAIN), expected);
    assert_eq!(backends.names(), ["backend/web/web-1", "backend/web/web-2"]);
}

#[test]
fn wide_backends_tell_the_way_there() {
    let text = list(vec![backend("web-1"), drained()]).text(true, Palette::PLAIN);
    let column = text.find("BYTES").unwrap();
    let right: Vec<&str> = text.lines().map(|line| &line[column..]).collect();
    let expected = [
        "BYTES     FLOWS   OPERATOR          INTERFACE   MAC                 MTU    PROBLEM",
        "75.4MiB   0       -                 eth0        02:00:00:00:00:01   1600   -",
        "0B        12.3k   weight=50,drain   -           -                   -      no route",
    ];
    assert_eq!(right, expected);
}

#[test]
fn a_backend_is_described() {
    let expected = "\
Backend:     web/web-2
Address:     2001:db8::3
State:       draining
Health:      up
Weight:      0 (file: 100)
Share:       0.0% of new flows
Flows:       12.3k pinned to it
Tier:        0
Operator:    weight=50,drain
Next hop:    unresolved: no route
Forwarded:   0 packets, 0B
Drain:       12.3k flows left, done at about 2026-11-21T10:04:00Z; since 2026-11-21T10:00:00Z; deadline 2026-11-21T10:10:00Z, then by force
";
    assert_eq!(item(drained()).text(false, Palette::PLAIN), expected);
    let text = item(backend("web-1")).text(false, Palette::PLAIN);
    let hop = "Next hop:    10.2.0.1 on eth0 at 02:00:00:00:00:01 MTU 1600\n";
    assert!(text.contains(hop), "{text}");
}

#[test]
fn a_changed_backend_is_one_line() {
    assert_eq!(
        change_line(&drained(), Palette::PLAIN),
        "backend/web/web-2 is draining: weight 0 (file: 100), 0.0% of new flows; \
         12.3k flows left, done at about 2026-11-21T10:04:00Z"
    );
    let mut fresh = drained();
    fresh.drain =
        fresh.drain.map(|drain| DrainStatus { flows_left: None, estimated_end: None, ..drain });
    let line = change_line(&fresh, Palette::PLAIN);
    assert!(line.ends_with("; flows are being counted"), "{line}");
}

#[test]
fn colour_moves_no_column() {
    let backends = list(vec![backend("web-1"), drained()]);
    let coloured = backends.text(false, Palette::new(true));
    assert!(coloured.contains("\u{1b}[33mdraining\u{1b}[0m"), "{coloured}");
    let mut stripped = coloured;
    for code in ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[1;31m", "\u{1b}[0m"] {
        stripped = stripped.replace(code, "");
    }
    assert_eq!(stripped, backends.text(false, Palette::PLAIN));
}

fn check(name: &str) -> Health {
    Health {
        pool: "web".to_owned(),
        name: name.to_owned(),
        check: "http://10.3.0.2:80/healthz".to_owned(),
        condition: "up".to_owned(),
        believed: true,
        since: "2025-11-20T22:00:00Z".to_owned(),
        against: 0,
        needed: 3,
        last: Some(HealthResult {
            passed: true,
            detail: "200 OK".to_owned(),
            took_us: 1234,
            at: "2025-11-20T22:00:09Z".to_owned(),
        }),
        not_asked: None,
        certificate_ends: Some("2025-12-24T00:00:00Z".to_owned()),
        certificate_days_left: Some(33),
        next_ms: Some(400),
        held_ms: None,
        reported_percent: None,
        reported_drain: false,
        average_us: None,
    }
}

#[test]
fn checks_are_listed_with_their_last_results() {
    let asked_first = Health {
        condition: "unknown".to_owned(),
        needed: 1,
        last: None,
        certificate_ends: None,
        certificate_days_left: None,
        next_ms: None,
        ..check("web-2")
    };
    let checks = list(vec![check("web-1"), asked_first]);
    let expected = "\
BACKEND     HEALTH    SINCE                  LAST RESULT   TOOK
web/web-1   up        2025-11-20T22:00:00Z   200 OK        1.3 ms
web/web-2   unknown   2025-11-20T22:00:00Z   -             -
";
    assert_eq!(checks.text(false, Palette::PLAIN), expected);
    let wide = checks.text(true, Palette::PLAIN);
    let column = wide.find("CHECK").unwrap();
    let right: Vec<&str> = wide.lines().map(|line| &line[column..]).collect();
    let expected = [
        "CHECK                        AGAINST   AT                     NEXT        BELIEVED   CERTIFICATE",
        "http://10.3.0.2:80/healthz   0 of 3    2025-11-20T22:00:09Z   in 400 ms   yes        33 days",
        "http://10.3.0.2:80/healthz   0 of 1    -                      -           yes        -",
    ];
    assert_eq!(right, expected);
    assert_eq!(checks.names(), ["backend/web/web-1", "backend/web/web-2"]);
}

#[test]
fn the_last_results_of_a_check_are_shown_newest_first() {
    let health = check("web-1");
    let passed = health.last.clone().unwrap();
    let failed = HealthResult { passed: false, detail: "refused".to_owned(), ..passed.clone() };
    let shown = list(vec![HealthHistory { health, results: vec![passed, failed] }]);
    let expected = "\
Backend:       web/web-1
Check:         http://10.3.0.2:80/healthz
Health:        up since 2025-11-20T22:00:00Z, 0 of 3 results against it
Next check:    in 400 ms
Certificate:   ends 2025-12-24T00:00:00Z, 33 days left

AT                     RESULT   TOOK     DETAIL
2025-11-20T22:00:09Z   passed   1.3 ms   200 OK
2025-11-20T22:00:09Z   failed   1.3 ms   refused
";
    assert_eq!(shown.text(false, Palette::PLAIN), expected);
    assert_eq!(shown.names(), ["backend/web/web-1"]);
}
