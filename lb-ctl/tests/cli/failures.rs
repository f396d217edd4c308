//! Failures: each exit code, in text and in JSON, with stdout left empty.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::agent::{Agent, Answer};
use crate::run::{BINARY, Ran, command, item, nowhere, problem, run, run_with_stdin};

fn json_error(ran: Ran, code: i32) -> Value {
    serde_json::from_str(&ran.expect_error(code)).unwrap()
}

#[test]
fn every_refusal_has_its_exit_code_in_text_and_json() {
    let rows = [
        ("internal", 500, 1),
        ("invalid_request", 400, 2),
        ("not_found", 404, 4),
        ("invalid_config", 422, 5),
        ("conflict", 409, 6),
        ("forbidden", 403, 7),
    ];
    for (kind, status, code) in rows {
        let document = problem(kind, status, "it says no");
        let answer = Answer::Document(status, document.clone());
        let agent = Agent::start([("GET /v1/status", answer)]);
        let err = run(&agent.socket(), "status").expect_error(code);
        assert_eq!(err, "error: it says no\n", "{kind}");
        assert_eq!(json_error(run(&agent.socket(), "status -o json"), code), document, "{kind}");
    }
}

#[test]
fn an_unknown_backend_is_answered_with_near_names() {
    let mut document = problem("not_found", 404, "no backend \"web/web-9\"");
    document["did_you_mean"] = json!(["web/web-1", "web/web-2"]);
    let answer = Answer::Document(404, document);
    let agent = Agent::start([("POST /v1/backends/web/web-9/drain", answer)]);
    let err = run(&agent.socket(), "backend drain web/web-9").expect_error(4);
    let expected = "error: no backend \"web/web-9\"\n  did you mean: web/web-1, web/web-2?\n";
    assert_eq!(err, expected);
}

#[test]
fn an_invalid_configuration_is_told_place_by_place() {
    let mut document = problem("invalid_config", 422, "edge.yaml is not valid");
    document["errors"] = json!([{
        "file": "edge.yaml", "line": 12, "column": 9, "path": "pools[0].name", "message": "is empty"
    }]);
    let agent = Agent::start([("POST /v1/config/diff", Answer::Document(422, document))]);
    let err = run_with_stdin(&agent.socket(), "config diff -", "x").expect_error(5);
    let expected = "error: edge.yaml is not valid\n  edge.yaml:12:9: pools[0].name: is empty\n";
    assert_eq!(err, expected);
}

#[test]
fn an_absent_socket_is_told() {
    let err = run(nowhere(), "status").expect_error(3);
    let expected = "error: cannot reach the agent at /nonexistent/agent.sock\n  \
                    cause: the socket does not exist\n  \
                    cure: start lb-agent, or name its socket with -s or LB_CTL_SOCKET\n";
    assert_eq!(err, expected);
    let document = json_error(run(nowhere(), "status -o json"), 3);
    assert_eq!(document["type"], json!("agent_unreachable"));
    assert_eq!(document["title"], json!("cannot reach the agent at /nonexistent/agent.sock"));
}

#[test]
fn a_socket_nobody_listens_on_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let err = run(&socket, "status").expect_error(3);
    assert!(err.contains("  cause: nothing listens on the socket\n"), "{err}");
}

#[test]
fn a_forbidden_socket_exits_7() {
    let directory = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let socket = directory.path().join("agent.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).unwrap();
    // Modes do not bind root, so root runs it as nobody, from where nobody can read it.
    let binary = directory.path().join("lb-ctl");
    // Copied by another process: a file open for writing here would be inherited by whatever other
    // tests fork at this moment, and could not be run until that is gone (ETXTBSY).
    assert!(Command::new("cp").arg(BINARY).arg(&binary).status().unwrap().success());
    let unprivileged = |line: &str| -> Ran {
        let mut command = command(&binary, &socket, line);
        if nix::unistd::geteuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        command.output().unwrap().into()
    };
    let err = unprivileged("status").expect_error(7);
    assert!(err.starts_with("error: may not use the agent's socket "), "{err}");
    assert!(err.contains("  cure: run as root or as a member of the socket's group\n"), "{err}");
    assert_eq!(json_error(unprivileged("status -o json"), 7)["status"], json!(403));
    let out = unprivileged("doctor").expect_quiet(7);
    assert!(out.contains("\nsocket   ok "), "{out}");
}

#[test]
fn silence_exits_8_and_warns_that_a_change_may_have_been_made() {
    let agent = Agent::start([
        ("GET /v1/status", Answer::Silence),
        ("POST /v1/backends/web/web-1/drain", Answer::Silence),
    ]);
    let err = run(&agent.socket(), "status --timeout 50ms").expect_error(8);
    assert!(err.starts_with("error: no answer from the agent within 50ms\n"), "{err}");
    let err = run(&agent.socket(), "backend drain web/web-1 --timeout 50ms").expect_error(8);
    assert!(err.contains("the change may or may not have been made"), "{err}");
    let document = json_error(run(&agent.socket(), "status --timeout 50ms -o json"), 8);
    assert_eq!(document["type"], json!("timed_out"));
}

#[test]
fn a_connection_closed_without_an_answer_exits_3() {
    let agent = Agent::start([("GET /v1/status", Answer::HangUp)]);
    let err = run(&agent.socket(), "status").expect_error(3);
    assert!(err.starts_with("error: the agent closed the connection"), "{err}");
}

#[test]
fn a_connection_closed_in_the_middle_of_a_large_request_exits_3() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = std::thread::spawn(move || drop(listener.accept().unwrap()));
    // Far more than the socket holds.
    let err = run_with_stdin(&socket, "config diff -", &"#".repeat(4 << 20)).expect_error(3);
    agent.join().unwrap();
    let expected = "error: the agent closed the connection before it answered\n  cause: ";
    assert!(err.starts_with(expected), "{err}");
    assert!(err.ends_with("\n  cure: look at the log of lb-agent\n"), "{err}");
}

#[test]
fn a_file_larger_than_the_agent_takes_is_refused_before_it_is_sent() {
    let agent = Agent::start([]);
    let text = "#".repeat(lb_common::api::REQUEST_MAX_BYTES);
    let err = run_with_stdin(&agent.socket(), "config apply -", &text).expect_error(2);
    assert!(err.contains(" and the agent takes 16777216 at most\n  cure: "), "{err}");
    assert!(agent.asked().is_empty());
}

#[test]
fn answers_that_are_no_documents_exit_1() {
    let other_api = {
        let mut document = item("Status", &json!({}));
        document["apiVersion"] = json!("lb/v9");
        document
    };
    let rows = [
        (Answer::Text(404, "not here"), "error: unexpected answer to GET /v1/status: 404"),
        (Answer::Text(200, "hello"), "error: cannot read the answer to /v1/status\n  cause: "),
        (
            Answer::Document(200, item("Status", &json!({"node": "edge-1"}))),
            "error: cannot read the answer to /v1/status\n  cause: missing field",
        ),
        (Answer::Document(200, other_api), "error: the agent speaks lb/v9, this lb-ctl lb/v1\n"),
    ];
    for (answer, expected) in rows {
        let agent = Agent::start([("GET /v1/status", answer)]);
        let err = run(&agent.socket(), "status").expect_error(1);
        assert!(err.starts_with(expected), "{err}");
        assert!(err.contains("  cure: use the lb-ctl that came with the agent"), "{err}");
    }
}

#[test]
fn usage_errors_are_problems_with_json() {
    let document = json_error(run(nowhere(), "backend drain web-1 -o json"), 2);
    assert_eq!((&document["type"], &document["status"]), (&json!("invalid_request"), &json!(400)));
    let title = document["title"].as_str().unwrap();
    assert!(title.ends_with("a backend is named POOL/NAME, as in `lb-ctl backend list -o name`"));
    run(nowhere(), "backend drain web-1").expect_error(2);
    run(nowhere(), "").expect_error(2);
}

#[test]
fn an_unreadable_file_is_named() {
    let err = run(nowhere(), "config apply /nonexistent/edge.yaml").expect_error(1);
    assert!(err.starts_with("error: cannot read /nonexistent/edge.yaml\n  cause: "), "{err}");
}
