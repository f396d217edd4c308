//! Rows for health checks that make no sense.

use std::string::{String, ToString};
use std::vec::Vec;

use super::{Row, accepted, check, edited, refused};
use crate::config::{Host, parse_on};

#[test]
fn wrong_checks_are_refused_with_their_place() {
    check(WRONG_CHECKS);
}

const WRONG_CHECKS: &[Row] = &[
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
fn wrong_http_checks_are_refused_with_their_place() {
    check(WRONG_HTTP);
}

const WRONG_HTTP: &[Row] = &[
    (
        "type: http, path: /healthz",
        "type: tcp, method: GET, host: a, expect_status: 200, expect_body: ok",
        "6:34: pools[0].health.method: a check of type tcp has no method\n\
         edge.yaml:6:45: pools[0].health.host: a check of type tcp has no host\n\
         edge.yaml:6:63: pools[0].health.expect_status: a check of type tcp has no expect_status\n\
         edge.yaml:6:81: pools[0].health.expect_body: a check of type tcp has no expect_body",
    ),
    (
        "path: /healthz",
        "path: /, method: POST",
        "6:44: pools[0].health.method: \"POST\" is not one of: GET, HEAD",
    ),
    (
        "path: /healthz",
        "path: /, host: \"a b\"",
        "6:42: pools[0].health.host: must be 1..=255 bytes of printable ASCII without blanks",
    ),
    (
        "path: /healthz",
        "path: /, expect_status: []",
        "6:51: pools[0].health.expect_status: is empty: no status would pass",
    ),
    (
        "path: /healthz",
        "path: /, expect_status: 600",
        "6:51: pools[0].health.expect_status: 600 is not a status in 100..=599, nor a range such as 200-299",
    ),
    (
        "path: /healthz",
        "path: /, expect_status: [200, 299-200, -1]",
        "6:57: pools[0].health.expect_status[1]: 299-200 is not a status in 100..=599, nor a range such as 200-299\n\
         edge.yaml:6:66: pools[0].health.expect_status[2]: -1 is not a status in 100..=599, nor a range such as 200-299",
    ),
    (
        "path: /healthz",
        "path: /, expect_status: { from: 200 }",
        "6:51: pools[0].health.expect_status: invalid type: mapping, expected a status, a range such as 200-299, or a list of them",
    ),
    (
        "path: /healthz",
        "path: /, expect_status: [[200]]",
        "6:52: pools[0].health.expect_status[0]: invalid type: sequence, expected a status, or a range such as 200-299",
    ),
    (
        "path: /healthz",
        "path: /, expect_body: \"\"",
        "6:49: pools[0].health.expect_body: must be 1..=1024 bytes",
    ),
    (
        "path: /healthz",
        "path: /, method: HEAD, expect_body: ok",
        "6:63: pools[0].health.expect_body: an answer to HEAD has no body",
    ),
];

#[test]
fn wrong_tls_is_refused_with_its_place() {
    check(WRONG_TLS);
}

const WRONG_TLS: &[Row] = &[
    (
        "path: /healthz",
        "path: /, server_name: a, ca: /ca.pem, verify: true",
        "6:49: pools[0].health.server_name: a check of type http has no server_name\n\
         edge.yaml:6:56: pools[0].health.ca: a check of type http has no ca\n\
         edge.yaml:6:73: pools[0].health.verify: a check of type http has no verify",
    ),
    (
        "type: http, path: /healthz",
        "type: https",
        "6:13: pools[0].health.path: a check of type https needs a path",
    ),
    (
        "type: http, path: /healthz",
        "type: https, path: /, server_name: www..example",
        "6:50: pools[0].health.server_name: \"www..example\" is not the name of a host",
    ),
    (
        "type: http, path: /healthz",
        "type: https, path: /, ca: ca.pem",
        "6:41: pools[0].health.ca: \"ca.pem\" is not an absolute path",
    ),
    (
        "type: http, path: /healthz",
        "type: https, path: /, ca: /ca.pem, verify: false",
        "6:41: pools[0].health.ca: has no meaning with verify: false",
    ),
];

#[test]
fn wrong_dns_and_icmp_checks_are_refused_with_their_place() {
    check(WRONG_DNS_AND_ICMP);
}

const WRONG_DNS_AND_ICMP: &[Row] = &[
    (
        "type: http, path: /healthz",
        "type: tcp, query: a, record: A, expect_rcode: NOERROR",
        "6:33: pools[0].health.query: a check of type tcp has no query\n\
         edge.yaml:6:44: pools[0].health.record: a check of type tcp has no record\n\
         edge.yaml:6:61: pools[0].health.expect_rcode: a check of type tcp has no expect_rcode",
    ),
    (
        "type: http, path: /healthz",
        "type: icmp, port: 7, path: /",
        "6:33: pools[0].health.port: a check of type icmp has no port\n\
         edge.yaml:6:42: pools[0].health.path: a check of type icmp has no path",
    ),
    (
        "type: http, path: /healthz",
        "type: dns",
        "6:13: pools[0].health.query: a check of type dns needs a query",
    ),
    (
        "type: http, path: /healthz",
        "type: dns, query: www example",
        "6:33: pools[0].health.query: \"www example\" is not the name of a host",
    ),
    (
        "type: http, path: /healthz",
        "type: dns, query: a, record: HINFO",
        "6:44: pools[0].health.record: \"HINFO\" is not one of: A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT",
    ),
    (
        "type: http, path: /healthz",
        "type: dns, query: a, expect_rcode: 0",
        "6:50: pools[0].health.expect_rcode: invalid type: integer `0`, expected one of the allowed words",
    ),
];

#[test]
fn wrong_commands_are_refused_with_their_place() {
    check(WRONG_COMMANDS);
}

const WRONG_COMMANDS: &[Row] = &[
    (
        "type: http, path: /healthz",
        "type: tcp, command: [a], environment: {}, user: a",
        "6:35: pools[0].health.command: a check of type tcp has no command\n\
         edge.yaml:6:53: pools[0].health.environment: a check of type tcp has no environment\n\
         edge.yaml:6:63: pools[0].health.user: a check of type tcp has no user",
    ),
    (
        "type: http, path: /healthz",
        "type: exec",
        "6:13: pools[0].health.command: a check of type exec needs a command",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: []",
        "6:36: pools[0].health.command: must be 1..=64 words",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: [curl, \"a\\0b\"]",
        "6:37: pools[0].health.command[0]: \"curl\" is not an absolute path\n\
         edge.yaml:6:43: pools[0].health.command[1]: must not have a zero byte",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: /bin/true",
        "6:36: pools[0].health.command: invalid type: string \"/bin/true\", expected a list",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: [/a], environment: { LB_POOL: a, 1A: b, B: 1 }",
        "6:79: pools[0].health.environment.B: invalid type: integer `1`, expected a string",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: [/a], environment: { LB_POOL: a, 1A: b, B: \"\\0\" }",
        "6:66: pools[0].health.environment.LB_POOL: names that begin with LB_ are the agent's\n\
         edge.yaml:6:73: pools[0].health.environment.1A: the name must be letters, digits and underscores\n\
         edge.yaml:6:79: pools[0].health.environment.B: must not have a zero byte",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: [/a], environment: A=b",
        "6:55: pools[0].health.environment: invalid type: string \"A=b\", expected a mapping",
    ),
    (
        "type: http, path: /healthz",
        "type: exec, command: [/a], user: \"\"",
        "6:48: pools[0].health.user: must be 1..=32 bytes of printable ASCII without blanks",
    ),
];

#[test]
fn wrong_grpc_checks_are_refused_with_their_place() {
    check(WRONG_GRPC);
}

const WRONG_GRPC: &[Row] = &[
    (
        "path: /healthz",
        "path: /, service: a, tls: true",
        "6:45: pools[0].health.service: a check of type http has no service\n\
         edge.yaml:6:53: pools[0].health.tls: a check of type http has no tls",
    ),
    (
        "type: http, path: /healthz",
        "type: grpc, tls: false, server_name: a, ca: /a, verify: true, path: /",
        "6:52: pools[0].health.server_name: has no meaning without tls: true\n\
         edge.yaml:6:59: pools[0].health.ca: has no meaning without tls: true\n\
         edge.yaml:6:71: pools[0].health.verify: has no meaning without tls: true\n\
         edge.yaml:6:83: pools[0].health.path: a check of type grpc has no path",
    ),
    (
        "type: http, path: /healthz",
        "type: grpc, tls: 1",
        "6:32: pools[0].health.tls: invalid type: integer `1`, expected true or false",
    ),
];

/// A host that has nothing.
struct Bare;

impl Host for Bare {
    fn certificates(&self, path: &str) -> Result<Vec<Vec<u8>>, String> {
        Err(std::format!("cannot read {path}"))
    }

    fn has_roots(&self) -> Result<(), String> {
        Err("this host has no root certificates".to_string())
    }

    fn may_ping(&self) -> Result<(), String> {
        Err("this process may not ping".to_string())
    }

    fn may_run_commands(&self) -> Result<(), String> {
        Ok(())
    }

    fn user(&self, name: &str) -> Result<(u32, u32), String> {
        Err(std::format!("there is no user {name:?}"))
    }
}

#[test]
fn what_the_host_lacks_is_refused_with_its_place() {
    let rows = [
        ("type: https, path: /, ca: /ca.pem", "6:41: pools[0].health.ca: cannot read /ca.pem"),
        ("type: https, path: /", "6:13: pools[0].health.ca: this host has no root certificates"),
        (
            "type: exec, command: [/bin/true], user: checks",
            "6:55: pools[0].health.user: there is no user \"checks\"",
        ),
        ("type: icmp", "6:21: pools[0].health.type: this process may not ping"),
    ];
    for (fields, message) in rows {
        let text = edited("type: http, path: /healthz", fields);
        let refusal = parse_on(&Bare, "edge.yaml", &text).unwrap_err().to_string();
        assert_eq!(refusal, std::format!("edge.yaml:{message}"));
        accepted(&text);
    }
}

/// A port is asked, and through the tunnel the VIP of a service.
#[test]
fn checks_that_could_ask_nobody_are_refused_with_their_place() {
    let text = |health: &str, service: &str| {
        let text = edited("type: http, path: /healthz", health);
        let from = "    protocol: tcp\n    ports: [443, 80]\n    pool: web\n";
        assert_eq!(text.matches(from).count(), 1);
        text.replace(from, service)
    };
    let usual = "    protocol: tcp\n    ports: [443, 80]\n    pool: web\n";
    let any_port = "    protocol: tcp\n    ports: [0]\n    pool: web\n";
    let rows = [
        (
            "type: icmp, via: tunnel",
            usual,
            "6:32: pools[0].health.via: a check of type icmp cannot go through the tunnel: an echo to a VIP is answered by the balancer itself",
        ),
        (
            "type: exec, command: [/bin/true], via: tunnel",
            usual,
            "6:54: pools[0].health.via: a check of type exec cannot go through the tunnel: the connections of a command are its own",
        ),
        (
            "type: dns, query: www.example, via: tunnel",
            usual,
            "6:51: pools[0].health.via: no service with protocol udp has this pool, and through the tunnel the VIP of one is asked",
        ),
        (
            "type: tcp, via: tunnel",
            any_port,
            "6:13: pools[0].health.port: is needed: the services of this pool take any port, and through the tunnel one of them is asked",
        ),
        (
            "type: grpc",
            any_port,
            "6:13: pools[0].health.port: is needed: no service with protocol tcp and a port has this pool",
        ),
    ];
    for (health, service, message) in rows {
        let refusal = refused(&text(health, service));
        assert_eq!(refusal, std::format!("edge.yaml:{message}"));
    }
    for (health, service) in [
        ("type: tcp, via: tunnel", usual),
        ("type: tcp, port: 8080, via: tunnel", any_port),
        ("type: icmp", any_port),
    ] {
        accepted(&text(health, service));
    }
}
