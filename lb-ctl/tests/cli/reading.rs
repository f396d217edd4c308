//! Commands that only read: each asks the right thing and prints the answer.

use serde_json::json;

use crate::agent::{Agent, Answer};
use crate::run::{backend, item, list, run, service, status};

fn ok(document: serde_json::Value) -> Answer {
    Answer::Document(200, document)
}

#[test]
fn status_prints_the_node_and_where_packets_end() {
    let agent = Agent::start([("GET /v1/status", ok(status()))]);
    let out = run(&agent.socket(), "status").expect_quiet(0);
    assert!(out.starts_with("Node:            edge-1\n"), "{out}");
    assert!(out.contains("\nforwarded   tx        3         192B\n"), "{out}");
}

#[test]
fn version_tells_both_sides() {
    let agent = Agent::start([("GET /v1/status", ok(status()))]);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("lb-ctl:   {version}, API lb/v1\nagent:    {version}, map layout 1\n");
    assert_eq!(run(&agent.socket(), "version").expect_quiet(0), expected);
}

#[test]
fn version_notes_an_agent_of_another_version() {
    let mut document = status();
    document["item"]["agent_version"] = json!("9.9.9");
    let agent = Agent::start([("GET /v1/status", ok(document))]);
    let ran = run(&agent.socket(), "version");
    assert_eq!(ran.err, "note: lb-ctl and the agent are of different versions\n");
    assert!(ran.out.contains("9.9.9"), "{}", ran.out);
    run(&agent.socket(), "version -q").expect_quiet(0);
}

#[test]
fn services_are_listed_and_shown() {
    let agent = Agent::start([
        ("GET /v1/services", ok(list("ServiceList", &[service()]))),
        ("GET /v1/services/web", ok(item("Service", &service()))),
    ]);
    let out = run(&agent.socket(), "service list").expect_quiet(0);
    assert!(out.contains("\nweb    203.0.113.10   tcp"), "{out}");
    let out = run(&agent.socket(), "service show web").expect_quiet(0);
    assert!(out.contains("Backends:    2 of 2 take new flows\n"), "{out}");
}

#[test]
fn backends_are_listed_of_one_pool_or_all_and_shown() {
    let web_1 = backend("web-1", "active", 100);
    let agent = Agent::start([
        ("GET /v1/backends", ok(list("BackendList", &[web_1.clone(), web_1.clone()]))),
        ("GET /v1/backends?pool=web", ok(list("BackendList", std::slice::from_ref(&web_1)))),
        ("GET /v1/backends/web/web-1", ok(item("Backend", &web_1))),
    ]);
    let names = |line| run(&agent.socket(), line).expect_quiet(0);
    assert_eq!(names("backend list -o name"), "backend/web/web-1\nbackend/web/web-1\n");
    assert_eq!(names("backend list web -o name"), "backend/web/web-1\n");
    let out = run(&agent.socket(), "backend show web/web-1").expect_quiet(0);
    assert!(out.starts_with("Backend:     web/web-1\n"), "{out}");
}

#[test]
fn an_empty_list_is_noted_on_stderr_only() {
    let agent = Agent::start([("GET /v1/services", ok(list("ServiceList", &[])))]);
    let ran = run(&agent.socket(), "service list");
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", "No services.\n"));
    assert_eq!(run(&agent.socket(), "service list -q").expect_quiet(0), "");
    assert_eq!(run(&agent.socket(), "service list -o name").expect_quiet(0), "");
}

#[test]
fn config_show_prints_a_file_to_apply() {
    let text = "pools: []\nservices: []\n";
    let document = item("Config", &json!({"file": "/etc/lb/edge.yaml", "text": text}));
    let agent = Agent::start([("GET /v1/config", ok(document))]);
    assert_eq!(run(&agent.socket(), "config show").expect_quiet(0), text);
}

#[test]
fn trace_sends_the_flow_and_prints_the_steps() {
    let answer = item(
        "Trace",
        &json!({
            "verdict": "tx", "reason": "forwarded", "help": "Sent.", "service": "web",
            "backend": "web/web-1", "outer_destination": "2001:db8::2",
            "steps": [{"step": "slot", "detail": "17"}], "model_agrees": true
        }),
    );
    let agent = Agent::start([("POST /v1/trace", ok(answer))]);
    let line = "trace --src [2001:db8::7]:40000 --dst [2001:db8::10]:80 --proto udp";
    let out = run(&agent.socket(), line).expect_quiet(0);
    assert!(out.starts_with("tx (forwarded): Sent.\n"), "{out}");
    assert!(out.ends_with("STEP   DETAIL\nslot   17\n"), "{out}");
    let sent = json!({
        "source": "[2001:db8::7]:40000", "destination": "[2001:db8::10]:80", "protocol": "udp"
    });
    assert_eq!(agent.asked()[0].body, sent);
}

#[test]
fn doctor_fails_only_on_errors() {
    let finding = |severity: &str| {
        let check = "mtu";
        json!({"check": check, "severity": severity, "message": "seen", "cure": "raise it"})
    };
    for (severity, code) in [("ok", 0), ("warning", 0), ("error", 1)] {
        let findings = list("FindingList", &[finding("ok"), finding(severity)]);
        let agent = Agent::start([("GET /v1/doctor", ok(findings))]);
        let out = run(&agent.socket(), "doctor").expect_quiet(code);
        assert!(out.contains("\nWhat to do:\n  mtu: raise it\n"), "{out}");
    }
}

fn trial(passed: Option<bool>) -> serde_json::Value {
    json!({
        "pool": "web", "name": "web-1", "check": "tcp 10.3.0.2:80", "timeout_ms": 500,
        "passed": passed, "detail": "as it is", "took_us": 1234,
        "steps": [{"step": "connect", "detail": "to 10.3.0.2:80", "took_us": 900}]
    })
}

#[test]
fn a_check_by_hand_tells_its_steps_and_exits_with_its_verdict() {
    for (passed, code, word) in [(Some(true), 0, "passes"), (Some(false), 1, "fails")] {
        let document = item("HealthTrial", &trial(passed));
        let agent = Agent::start([("POST /v1/health/web/web-1/check", ok(document.clone()))]);
        let out = run(&agent.socket(), "health check web/web-1 --once").expect_quiet(code);
        let expected = format!(
            "Backend:   web/web-1\nCheck:     tcp 10.3.0.2:80, within 500 ms\n\n\
             STEP      TOOK     RESULT\nconnect   0.9 ms   to 10.3.0.2:80\n\n\
             Verdict: {word} after 1.3 ms: as it is\n"
        );
        assert_eq!(out, expected);
        let out = run(&agent.socket(), "health check web/web-1 -o json").expect_quiet(code);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&out).unwrap(), document);
    }
    let agent =
        Agent::start([("POST /v1/health/web/web-1/check", ok(item("HealthTrial", &trial(None))))]);
    run(&agent.socket(), "health check web/web-1 --once").expect_quiet(1);
}
