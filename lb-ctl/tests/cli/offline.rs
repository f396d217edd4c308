//! Commands that work without an agent.

use serde_json::{Value, json};

use crate::run::{nowhere, run, run_with_stdin};

const VALID: &str = r"
node: { name: edge-1, encap_source: { ipv4: 10.2.0.2 } }
interfaces: [ { name: eth0 } ]
pools:
  - name: web
    backends:
      - { name: web-1, address: 10.3.0.2 }
      - { name: web-2, address: 10.4.0.2 }
services:
  - { name: web, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: web }
";

/// The maps of the default limits.
const MEMORY_BYTES: u64 = 45_597_136;
const VALID_TEXT: &str = "<stdin> is valid: 1 service, 1 pool, 2 backends\n\
    memory of its maps: 43.5MiB, and 512KiB for each CPU\n";

#[test]
fn a_valid_file_is_counted() {
    let ran = run_with_stdin(nowhere(), "config validate -", VALID);
    assert_eq!(ran.expect_quiet(0), VALID_TEXT);
    let ran = run_with_stdin(nowhere(), "config validate - -o json", VALID);
    let document: Value = serde_json::from_str(&ran.expect_quiet(0)).unwrap();
    let expected = json!({
        "apiVersion": "lb/v1", "kind": "ConfigCheck",
        "item": {
            "file": "<stdin>", "valid": true, "services": 1, "pools": 1, "backends": 2,
            "map_memory_bytes": MEMORY_BYTES, "map_memory_bytes_per_cpu": 524_640,
        }
    });
    assert_eq!(document, expected);
    assert_eq!(run_with_stdin(nowhere(), "config validate - -q", VALID).expect_quiet(0), "");
}

#[test]
fn an_invalid_file_exits_5_with_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.yaml");
    let text = VALID.replace("10.4.0.2 }", "10.4.0.2, weight: 1001 }");
    std::fs::write(&file, text).unwrap();
    let shown = file.display();
    let err = run(nowhere(), &format!("config validate {shown}")).expect_error(5);
    assert!(err.starts_with(&format!("error: {shown} is not valid\n  {shown}:8:")), "{err}");
    assert!(err.contains("pools[0].backends[1].weight: "), "{err}");

    let err = run(nowhere(), &format!("config validate {shown} -o json")).expect_error(5);
    let document: Value = serde_json::from_str(&err).unwrap();
    assert_eq!(document["type"], json!("invalid_config"));
    assert_eq!(document["errors"][0]["path"], json!("pools[0].backends[1].weight"));
    assert_eq!(document["errors"][0]["line"], json!(8));
}

#[test]
fn version_without_an_agent_still_tells_its_own() {
    let ran = run(nowhere(), "version -o json");
    assert_eq!(ran.code, 0);
    assert_eq!(ran.err, "note: cannot reach the agent at /nonexistent/agent.sock\n");
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let item = json!({"client_version": version, "agent_version": null, "layout_version": null});
    assert_eq!(document["item"], item);
}

#[test]
fn doctor_without_an_agent_explains_and_exits_3() {
    let out = run(nowhere(), "doctor").expect_quiet(3);
    assert!(out.contains("\nagent    error      cannot reach the agent"), "{out}");
    assert!(out.contains("\n  agent: start lb-agent, or name its socket with -s"), "{out}");
    let out = run(nowhere(), "doctor -o json").expect_quiet(3);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["kind"], json!("FindingList"));
    assert_eq!(document["items"][1]["check"], json!("agent"));
}

#[test]
fn completion_and_help_go_to_stdout() {
    let script = run(nowhere(), "completion bash").expect_quiet(0);
    assert!(script.contains("complete -F "), "a completion function is registered");
    assert!(script.contains("undrain"), "and knows the commands");
    let help = run(nowhere(), "--help").expect_quiet(0);
    assert!(help.contains("\n  10  `config diff` found differences\n"), "{help}");
    let version = format!("lb-ctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(nowhere(), "--version").expect_quiet(0), version);
}
