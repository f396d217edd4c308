//! Forms of output: documents pass through unchanged, colour and chatter only where wanted.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::agent::{Agent, Answer};
use crate::run::{BINARY, Ran, backend, command, item, list, run};

/// An agent with one active backend, and a field of a later version.
fn agent() -> (Agent, Value) {
    let mut document = list("BackendList", &[backend("web-1", "active", 100)]);
    document["items"][0]["added_later"] = json!({"z": 1, "a": [true, null, 0.25, "x: y"]});
    let answer = Answer::Document(200, document.clone());
    (Agent::start([("GET /v1/backends", answer)]), document)
}

#[test]
fn json_and_yaml_keep_even_fields_this_version_does_not_know() {
    let (agent, document) = agent();
    let json = run(&agent.socket(), "backend list -o json").expect_quiet(0);
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), document);
    let yaml = run(&agent.socket(), "backend list -o yaml").expect_quiet(0);
    assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), document);
}

#[test]
fn json_keeps_the_order_of_fields() {
    let text = r#"{"kind":"K","apiVersion":"lb/v1","item":{"text":"t","file":"f"},"generation":7}"#;
    let agent = Agent::start([("GET /v1/config", Answer::Text(200, text))]);
    let json = run(&agent.socket(), "config show -o json").expect_quiet(0);
    let compact: String = json.split_whitespace().collect();
    assert_eq!(compact, text);
}

#[test]
fn documents_too_large_for_one_read_arrive_whole() {
    let many: Vec<Value> = (0..5000).map(|n| backend(&format!("web-{n}"), "active", 100)).collect();
    let answer = Answer::Document(200, list("BackendList", &many));
    let agent = Agent::start([("GET /v1/backends", answer)]);
    let names = run(&agent.socket(), "backend list -o name").expect_quiet(0);
    assert_eq!(names.lines().count(), 5000);
}

#[test]
fn the_socket_option_beats_the_environment() {
    let (agent, _document) = agent();
    let line = format!("-s {} backend list -o name", agent.socket().display());
    let names = run(Path::new("/nonexistent"), &line).expect_quiet(0);
    assert_eq!(names, "backend/web/web-1\n");
}

#[test]
fn verbose_tells_each_exchange_on_stderr() {
    let (agent, _document) = agent();
    let ran = run(&agent.socket(), "-v backend list -o name");
    assert_eq!(ran.out, "backend/web/web-1\n");
    assert!(ran.err.starts_with("GET /v1/backends: 200 OK, "), "{}", ran.err);
}

#[test]
fn colour_needs_a_terminal_or_the_word() {
    let (agent, _document) = agent();
    let out = |line| run(&agent.socket(), line).expect_quiet(0);
    assert!(!out("backend list").contains('\u{1b}'));
    assert!(!out("backend list --color never").contains('\u{1b}'));
    assert!(out("backend list --color always").contains("\u{1b}[32mactive\u{1b}[0m"));
    assert!(!out("backend list --color always -o json").contains('\u{1b}'));
}

/// What a run prints on a terminal.
fn on_a_terminal(socket: &Path, line: &str, variable: Option<(&str, &str)>) -> String {
    use std::io::Read as _;
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = command(Path::new(BINARY), socket, line);
    command.envs(variable).stdout(std::fs::File::from(pty.slave));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut seen = Vec::new();
    // A terminal whose other end is closed gives EIO once all has been read.
    let _ = std::fs::File::from(pty.master).read_to_end(&mut seen);
    assert!(child.wait().unwrap().success());
    String::from_utf8(seen).unwrap()
}

#[test]
fn a_terminal_is_coloured_unless_no_color_is_set() {
    let item = item("Backend", &backend("web-1", "active", 100));
    let agent = Agent::start([("GET /v1/backends/web/web-1", Answer::Document(200, item))]);
    let seen = |variable| on_a_terminal(&agent.socket(), "backend show web/web-1", variable);
    assert!(seen(None).contains("\u{1b}[32mactive"));
    assert!(!seen(Some(("NO_COLOR", "1"))).contains('\u{1b}'));
    assert!(!seen(Some(("TERM", "dumb"))).contains('\u{1b}'));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let many: Vec<Value> = (0..5000).map(|n| backend(&format!("b{n}"), "active", 100)).collect();
    let answer = Answer::Document(200, list("BackendList", &many));
    let agent = Agent::start([("GET /v1/backends", answer)]);
    let mut command = command(Path::new(BINARY), &agent.socket(), "backend list");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}
