//! `events`: listed, followed, over the end of an agent, and ended in good order.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::agent::{Agent, Answer};
use crate::run::{BINARY, Ran, command, list, problem, run};

const FOLLOW: &str = "GET /v1/events?follow=true";

fn event(sequence: u64, kind: &str, reason: &str) -> Value {
    json!({
        "sequence": sequence, "at": "2026-11-21T10:00:00.125Z", "generation": 7, "kind": kind,
        "object": "backend web/web-1", "from": "up", "to": "down", "reason": reason
    })
}

fn lines(events: &[Value]) -> Answer {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    Answer::Text(200, (lines.join("\n") + "\n").leak())
}

/// Follows until it has printed `count` lines, then interrupts it; and those lines.
fn follow(socket: &Path, line: &str, count: usize) -> (Ran, Vec<String>) {
    let mut command = command(Path::new(BINARY), socket, line);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = Vec::new();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    while seen.len() < count {
        seen.push(out.next().unwrap().unwrap());
    }
    (interrupted(child), seen)
}

fn interrupted(child: Child) -> Ran {
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn events_are_listed_after_a_number() {
    let events = [event(3, "backend_down", "no answer within 500ms")];
    let answer = Answer::Document(200, list("EventList", &events));
    let agent =
        Agent::start([("GET /v1/events", answer.clone()), ("GET /v1/events?since=2", answer)]);
    let out = run(&agent.socket(), "events").expect_quiet(0);
    let expected = "\
AT                         EVENT          OBJECT              CHANGE       REASON
2026-11-21T10:00:00.125Z   backend_down   backend web/web-1   up -> down   no answer within 500ms
";
    assert_eq!(out, expected);
    assert_eq!(
        run(&agent.socket(), "events --since 2 -o name").expect_quiet(0),
        "backend/web/web-1\n"
    );
    run(&agent.socket(), "events --since -1").expect_error(2);
}

#[test]
fn following_goes_on_with_an_agent_that_comes_back_and_ends_with_ctrl_c() {
    let first = lines(&[event(5, "backend_down", "refused"), event(6, "backend_up", "200 OK")]);
    let second = lines(&[event(9, "agent_started", "adopted")]);
    let agent = Agent::start([
        (FOLLOW, first),
        ("GET /v1/events?follow=true&since=6", Answer::InTurn(vec![Answer::HangUp, second])),
        ("GET /v1/events?follow=true&since=9", Answer::Silence),
    ]);
    let (ran, seen) = follow(&agent.socket(), "events --follow -o json", 3);
    let kinds: Vec<Value> = seen
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].clone())
        .collect();
    assert_eq!(kinds, ["backend_down", "backend_up", "agent_started"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let expected = "the agent has ended the stream; waiting for it\nfollowing again\n";
    assert!(ran.err.starts_with(expected), "{ran:?}");
}

#[test]
fn people_get_columns() {
    let events =
        lines(&[event(5, "backend_down", "refused"), event(6, "drain_done", "two\nlines")]);
    let agent = Agent::start([(FOLLOW, events)]);
    let (ran, seen) = follow(&agent.socket(), "events -f -q", 3);
    assert_eq!(
        seen[0].split_whitespace().collect::<Vec<_>>(),
        ["AT", "EVENT", "OBJECT", "CHANGE:", "REASON"]
    );
    let line = "2026-11-21T10:00:00.125Z   backend_down             backend web/web-1          \
                up -> down: refused";
    assert_eq!(seen[1], line);
    assert!(seen[2].ends_with("two; lines"), "{}", seen[2]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn who_cannot_follow_is_told_why() {
    let busy = Answer::Document(503, problem("busy", 503, "16 clients follow events already"));
    let agent = Agent::start([(FOLLOW, busy)]);
    let err = run(&agent.socket(), "events --follow").expect_error(1);
    assert_eq!(err, "error: 16 clients follow events already\n");
    run(Path::new("/nonexistent"), "events --follow").expect_error(3);
    let agent = Agent::start([(FOLLOW, Answer::Silence)]);
    run(&agent.socket(), "events --follow --timeout 50ms").expect_error(8);
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let agent = Agent::start([(FOLLOW, lines(&[event(5, "backend_down", "refused")]))]);
    let mut command = command(Path::new(BINARY), &agent.socket(), "events --follow");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(Ran::from(child.wait_with_output().unwrap()).code, 0);
}
