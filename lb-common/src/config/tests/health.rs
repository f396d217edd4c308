//! Claims about health checks: what each type asks, and what it asks if nothing is said.

use std::string::{String, ToString};
use std::sync::Arc;
use std::time::Duration;

use super::{BASE, accepted, edited};
use crate::config::{
    AtStart, DnsRcode, DnsRecord, GrpcCheck, HealthCheck, HealthKind, HttpCheck, HttpMethod,
    TlsCheck, Trust,
};

/// The check of the valid text with other fields.
fn check(fields: &str) -> HealthCheck {
    let text = edited("{ type: http, path: /healthz }", &std::format!("{{ {fields} }}"));
    accepted(&text).pools["web"].health.clone().unwrap()
}

fn http(fields: &str) -> HttpCheck {
    let kind = check(&std::format!("type: http, path: /{fields}")).kind;
    let HealthKind::Http(http) = kind else { panic!("{kind:?}") };
    http
}

#[test]
fn an_http_check_is_a_get_that_any_2xx_passes_unless_more_is_said() {
    let plain = http("");
    assert_eq!((plain.method, plain.host, plain.expect_body), (HttpMethod::Get, None, None));
    assert_eq!(plain.expect_status.to_string(), "200-299");
    let full = http("ready, method: HEAD, host: \"www.example:8080\"");
    assert_eq!((full.path.as_str(), full.method), ("/ready", HttpMethod::Head));
    assert_eq!(full.host.as_deref(), Some("www.example:8080"));
    assert_eq!(http(", expect_body: \"✓ ok\"").expect_body.as_deref(), Some("✓ ok"));
}

#[test]
fn statuses_are_a_number_a_range_or_a_list_of_them() {
    let cases = [
        ("204", "204", [203, 205]),
        ("200-299", "200-299", [199, 300]),
        ("\"404\"", "404", [403, 405]),
        ("[200, 204, 301-303]", "200, 204, 301-303", [202, 304]),
    ];
    for (written, meant, outside) in cases {
        let statuses = http(&std::format!(", expect_status: {written}")).expect_status;
        assert_eq!(statuses.to_string(), meant);
        for range in &statuses.0 {
            assert!(statuses.contains(range.first) && statuses.contains(range.last), "{written}");
        }
        assert!(outside.iter().all(|status| !statuses.contains(*status)), "{written}");
    }
}

#[test]
fn https_is_http_with_tls_that_the_hosts_roots_answer_for_unless_more_is_said() {
    let https = |fields: &str| {
        let kind = check(&std::format!("type: https, path: /{fields}")).kind;
        let HealthKind::Http(http) = kind else { panic!("{kind:?}") };
        http.tls.unwrap()
    };
    assert_eq!(http("").tls, None);
    assert_eq!(https(""), TlsCheck { server_name: None, trust: Trust::System });
    assert_eq!(https(", verify: false").trust, Trust::Anybody);
    let own = https(", server_name: www.example, ca: /etc/ca.pem, verify: true");
    assert_eq!(own.server_name.as_deref(), Some("www.example"));
    let file = Trust::File { path: "/etc/ca.pem".to_string(), certificates: Arc::default() };
    assert_eq!(own.trust, file);
}

#[test]
fn a_dns_check_asks_for_addresses_and_wants_no_error_unless_more_is_said() {
    let dns = |fields: &str| {
        let kind = check(&std::format!("type: dns, query: {fields}")).kind;
        let HealthKind::Dns(dns) = kind else { panic!("{kind:?}") };
        (dns.query, dns.record, dns.expect_rcode)
    };
    let www = || "www.example".to_string();
    assert_eq!(dns("www.example."), (www(), DnsRecord::A, DnsRcode::NoError));
    let refused = dns("www.example, record: AAAA, expect_rcode: REFUSED");
    assert_eq!(refused, (www(), DnsRecord::Aaaa, DnsRcode::Refused));
    assert_eq!(dns("., record: NS").0, ".");
}

#[test]
fn a_check_of_any_type_but_icmp_may_name_its_port() {
    for kind in
        ["tcp", "http, path: /", "https, path: /", "dns, query: .", "grpc", "exec, command: [/x]"]
    {
        assert_eq!(check(&std::format!("type: {kind}, port: 4711")).port, Some(4711), "{kind}");
    }
}

#[test]
fn an_icmp_check_needs_nothing_more() {
    assert_eq!(check("type: icmp").kind, HealthKind::Icmp);
}

#[test]
fn a_command_has_no_environment_and_no_user_of_its_own_unless_more_is_said() {
    let exec = |fields: &str| {
        let kind = check(&std::format!("type: exec, command: [/bin/check, -v]{fields}")).kind;
        let HealthKind::Exec(exec) = kind else { panic!("{kind:?}") };
        exec
    };
    let plain = exec("");
    assert_eq!(plain.command, ["/bin/check", "-v"]);
    assert!(plain.environment.is_empty() && plain.user.is_none());
    let full = exec(", environment: { PATH: /bin }, user: nobody");
    assert_eq!(full.environment["PATH"], "/bin");
    assert_eq!(full.user.unwrap().name, "nobody");
}

#[test]
fn a_grpc_check_asks_for_the_server_as_a_whole_in_the_clear_unless_more_is_said() {
    let grpc = |fields: &str| {
        let kind = check(&std::format!("type: grpc{fields}")).kind;
        let HealthKind::Grpc(grpc) = kind else { panic!("{kind:?}") };
        grpc
    };
    assert_eq!(grpc(""), GrpcCheck { service: String::new(), tls: None });
    let full = grpc(", service: shop.Cart, tls: true, verify: false");
    let tls = Some(TlsCheck { server_name: None, trust: Trust::Anybody });
    assert_eq!(full, GrpcCheck { service: "shop.Cart".to_string(), tls });
}

#[test]
fn failover_has_defaults_that_hold_nobody_for_long() {
    let pool = |text: &str| accepted(text).pools["web"].clone();
    let failover = pool(BASE).failover;
    assert_eq!((failover.max_ejected, failover.at_start), (100, AtStart::Adopt));
    let hold = (failover.hold_down, failover.hold_down_max);
    assert_eq!(hold, (Duration::from_secs(10), Duration::from_mins(5)));
    assert_eq!((failover.failback_delay, failover.slow_start), (Duration::ZERO, Duration::ZERO));
    assert_eq!(pool(BASE).adapt, None);

    let written = edited("    health:", "    failover: { hold_down: 20m }\n    health:");
    assert_eq!(pool(&written).failover.hold_down_max, Duration::from_mins(20));
    let written = edited("    health:", "    adapt: { report_port: 81 }\n    health:");
    let adapt = pool(&written).adapt.unwrap();
    assert_eq!((adapt.report_port, adapt.response_time), (Some(81), false));
    assert_eq!((adapt.floor, adapt.step, adapt.every), (10, 10, Duration::from_secs(5)));
}
