//! Commands that change something: what is sent, what is asked first, and what is said after.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::pty::openpty;
use serde_json::{Value, json};

use crate::agent::{Agent, Answer};
use crate::run::{BINARY, Ran, backend, command, diff, item, list, problem, run, run_with_stdin};

const DIFF: &str = "POST /v1/config/diff";
const APPLY: &str = "POST /v1/config/apply";

fn ok(document: Value) -> Answer {
    Answer::Document(200, document)
}

/// An agent whose plan has these changes, and a configuration file.
fn with_plan(changes: &[(&str, &str)]) -> (Agent, tempfile::TempDir, PathBuf) {
    let mut applied = diff(changes, true);
    applied["generation"] = json!(8);
    let agent = Agent::start([(DIFF, ok(diff(changes, false))), (APPLY, ok(applied))]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.yaml");
    std::fs::write(&file, "pools: []\n").unwrap();
    (agent, directory, file)
}

#[test]
fn a_weight_is_set_and_reset() {
    let changed = item("Backend", &backend("web-1", "active", 50));
    let agent = Agent::start([("PUT /v1/backends/web/web-1/weight", ok(changed))]);
    let out = run(&agent.socket(), "backend weight web/web-1 50").expect_quiet(0);
    let line = "backend/web/web-1 is active: weight 50 (file: 100), 50.0% of new flows\n";
    assert_eq!(out, line);
    run(&agent.socket(), "backend weight web/web-1 --reset").expect_quiet(0);
    let bodies: Vec<Value> = agent.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies, [json!({"weight": 50}), json!({"weight": null})]);
}

#[test]
fn a_weight_out_of_range_is_refused_before_the_agent_is_asked() {
    let agent = Agent::start([]);
    let err = run(&agent.socket(), "backend weight web/web-1 1001").expect_error(2);
    assert!(err.contains("1001 is not a whole number in 0..=1000"), "{err}");
    assert_eq!(agent.lines(), Vec::<String>::new());
}

#[test]
fn drain_and_undrain_post_without_a_body() {
    let drained = item("Backend", &backend("web-1", "draining", 0));
    let active = item("Backend", &backend("web-1", "active", 100));
    let agent = Agent::start([
        ("POST /v1/backends/web/web-1/drain", ok(drained)),
        ("POST /v1/backends/web/web-1/undrain", ok(active)),
    ]);
    let out = run(&agent.socket(), "backend drain web/web-1").expect_quiet(0);
    assert!(out.starts_with("backend/web/web-1 is draining: weight 0 (file: 100)"), "{out}");
    assert_eq!(run(&agent.socket(), "backend undrain web/web-1 -q").expect_quiet(0), "");
    assert!(agent.asked().iter().all(|asked| asked.body.is_null()));
}

const DRAIN: &str = "POST /v1/backends/web/web-1/drain";
const SHOW: &str = "GET /v1/backends/web/web-1";

/// A backend whose drain is in this state.
fn drained(state: &str, flows: u64) -> Answer {
    let mut backend = backend("web-1", "draining", 0);
    backend["drain"] = json!({
        "state": state, "since": "2026-11-21T10:00:00Z", "deadline": "2026-11-21T10:10:00Z",
        "force_at_deadline": false, "flows_left": flows, "flows_ended_per_s": 0.5,
        "estimated_end": null
    });
    ok(item("Backend", &backend))
}

#[test]
fn waiting_for_a_drain_ends_when_it_is_done() {
    let shown = Answer::InTurn(vec![drained("draining", 1), Answer::HangUp, drained("done", 0)]);
    let agent = Agent::start([(DRAIN, drained("draining", 3)), (SHOW, shown)]);
    let line = "backend drain web/web-1 --deadline 10m --force-at-deadline --wait";
    let Ran { code, out, err } = run(&agent.socket(), line);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("backend/web/web-1 is draining"), "{out}");
    assert!(err.starts_with("web/web-1: 3 flows left\n"), "{err}");
    assert!(err.contains("waiting for it"), "{err}");
    let wanted = json!({"deadline_s": 600, "force_at_deadline": true});
    assert_eq!(agent.asked()[0].body, wanted);
    assert_eq!(agent.lines(), [DRAIN, SHOW, SHOW, SHOW]);
}

#[test]
fn a_drain_that_is_late_or_taken_back_has_an_exit_code_of_its_own() {
    let agent = Agent::start([(DRAIN, drained("overdue", 2))]);
    let err = run(&agent.socket(), "backend drain web/web-1 --wait").expect_error(8);
    assert!(err.contains("web/web-1 is not drained: 2 flows left at the deadline"), "{err}");

    let active = ok(item("Backend", &backend("web-1", "active", 100)));
    let agent = Agent::start([(DRAIN, drained("draining", 2)), (SHOW, active)]);
    let err = run(&agent.socket(), "backend drain web/web-1 --wait -q").expect_error(6);
    assert!(err.contains("web/web-1 is being drained no longer"), "{err}");
}

#[test]
fn flows_are_ended_by_force_only_at_a_deadline() {
    let agent = Agent::start([]);
    let err = run(&agent.socket(), "backend drain web/web-1 --force-at-deadline").expect_error(2);
    assert!(err.contains("--deadline"), "{err}");
}

#[test]
fn diff_exits_10_on_differences_and_0_without() {
    let (agent, _directory, file) = with_plan(&[("modify", "pool web")]);
    let line = format!("config diff {}", file.display());
    let out = run(&agent.socket(), &line).expect_quiet(10);
    assert!(out.contains("\nmodify   pool web\n"), "{out}");
    let (agent, _directory, file) = with_plan(&[]);
    let line = format!("config diff {}", file.display());
    let out = run(&agent.socket(), &line).expect_quiet(0);
    assert_eq!(out, "No differences from generation 7.\n");
}

#[test]
fn diff_reads_stdin() {
    let (agent, _directory, _file) = with_plan(&[]);
    let ran = run_with_stdin(&agent.socket(), "config diff -", "services: []\n");
    ran.expect_quiet(0);
    let sent = json!({
        "text": "services: []\n", "origin": "<stdin>", "expect_generation": null,
        "max_moved_percent": 50
    });
    assert_eq!(agent.asked()[0].body, sent);
}

#[test]
fn a_plan_that_moves_too_much_is_refused_before_anything_is_asked() {
    let mut plan = diff(&[("remove", "backend web/web-1")], false);
    plan["item"]["moves"] =
        json!([{"pool": "web", "share": 0.67, "keeps_flows": true, "flows_pinned": 0}]);
    let applied = diff(&[("remove", "backend web/web-1")], true);
    let agent = Agent::start([(DIFF, ok(plan)), (APPLY, ok(applied))]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("edge.yaml");
    std::fs::write(&file, "pools: []\n").unwrap();
    let line = format!("config apply {} --yes", file.display());
    let Ran { code, err, .. } = run(&agent.socket(), &line);
    assert_eq!(code, 6, "{err}");
    assert!(err.contains("67.0% of the hash space of pool web would move"), "{err}");
    assert_eq!(agent.lines(), [DIFF]);

    let Ran { code, err, .. } = run(&agent.socket(), &format!("{line} --max-moved 70"));
    assert_eq!(code, 0, "{err}");
    assert_eq!(agent.asked().last().unwrap().body["max_moved_percent"], json!(70));
}

/// Generations, the newest first, and which of them is running.
fn history(versions: &[(u64, bool)]) -> Answer {
    let version = |(generation, running): &(u64, bool)| {
        json!({
            "generation": generation, "applied_at": "2026-11-21T10:00:00Z", "source": "apply",
            "changes": 1, "running": running
        })
    };
    ok(list("ConfigVersionList", &versions.iter().map(version).collect::<Vec<_>>()))
}

#[test]
fn rollback_applies_the_configuration_before_the_running_one() {
    let old = item("Config", &json!({"file": "generation 4", "text": "pools: []\n"}));
    let mut applied = diff(&[("modify", "pool web")], true);
    applied["generation"] = json!(8);
    let agent = Agent::start([
        ("GET /v1/config/history", history(&[(9, false), (7, true), (4, false), (2, false)])),
        ("GET /v1/config/history/4", ok(old)),
        (DIFF, ok(diff(&[("modify", "pool web")], false))),
        (APPLY, ok(applied)),
    ]);
    let out = run(&agent.socket(), "config rollback --yes").expect_quiet(0);
    assert!(out.ends_with("Applied: generation 8 is running.\n"), "{out}");
    let sent = agent.asked().pop().unwrap().body;
    assert_eq!((&sent["text"], &sent["origin"]), (&json!("pools: []\n"), &json!("generation 4")));
}

#[test]
fn rollback_without_anything_before_says_so() {
    let agent = Agent::start([("GET /v1/config/history", history(&[(7, true)]))]);
    let err = run(&agent.socket(), "config rollback").expect_error(4);
    assert!(err.contains("no configuration before the running one is kept"), "{err}");
}

#[test]
fn a_dry_run_applies_nothing_and_exits_0() {
    let (agent, _directory, file) = with_plan(&[("remove", "service web")]);
    let line = format!("config apply {} --dry-run", file.display());
    let out = run(&agent.socket(), &line).expect_quiet(0);
    assert!(out.contains("1 to remove.\n"), "{out}");
    assert_eq!(agent.lines(), [DIFF]);
}

#[test]
fn apply_prints_the_plan_and_asks_for_exactly_that_generation() {
    let (agent, _directory, file) = with_plan(&[("add", "service web")]);
    let line = format!("config apply {}", file.display());
    let out = run(&agent.socket(), &line).expect_quiet(0);
    assert!(out.starts_with("ACTION   OBJECT        DETAIL\nadd      service web\n"), "{out}");
    assert!(out.ends_with("\nApplied: generation 8 is running.\n"), "{out}");
    assert_eq!(agent.lines(), [DIFF, APPLY]);
    assert_eq!(agent.asked()[1].body["expect_generation"], json!(7));
    assert_eq!(agent.asked()[1].body["text"], json!("pools: []\n"));
}

#[test]
fn a_removal_off_a_terminal_needs_yes() {
    let (agent, _directory, file) = with_plan(&[("add", "pool b"), ("remove", "service web")]);
    let line = format!("config apply {}", file.display());
    let ran = run(&agent.socket(), &line);
    assert_eq!(ran.code, 2);
    assert!(ran.out.contains("remove   service web\n"), "{}", ran.out);
    assert!(ran.err.contains("the plan removes 1 object"), "{}", ran.err);
    assert_eq!(agent.lines(), [DIFF]);

    run(&agent.socket(), &format!("{line} --yes")).expect_quiet(0);
    assert_eq!(agent.lines(), [DIFF, DIFF, APPLY]);
}

#[test]
fn apply_as_json_is_one_document() {
    let (agent, _directory, file) = with_plan(&[("remove", "service web")]);
    let line = format!("config apply {} --yes -o json", file.display());
    let out = run(&agent.socket(), &line).expect_quiet(0);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["item"]["applied"], json!(true));
    assert_eq!(document["generation"], json!(8));
}

#[test]
fn a_stale_generation_is_a_conflict_whoever_notices_it() {
    let (agent, _directory, file) = with_plan(&[("add", "service web")]);
    let line = format!("config apply {} --expect-generation 6", file.display());
    let err = run(&agent.socket(), &line).expect_error(6);
    assert!(err.starts_with("error: the running configuration has generation 7, not 6\n"), "{err}");
    assert_eq!(agent.asked()[0].body["expect_generation"], json!(6));
    assert_eq!(agent.lines(), [DIFF]);

    let conflict = Answer::Document(409, problem("conflict", 409, "generation is 8, not 7"));
    let agent = Agent::start([(DIFF, ok(diff(&[("add", "pool b")], false))), (APPLY, conflict)]);
    let ran = run(&agent.socket(), &format!("config apply {}", file.display()));
    assert_eq!((ran.code, ran.err.as_str()), (6, "error: generation is 8, not 7\n"));
}

/// Runs `config apply FILE` with a terminal on stdin and stderr, and types `answer`.
fn apply_on_a_terminal(socket: &Path, file: &Path, answer: &str) -> Ran {
    let pty = openpty(None, None).unwrap();
    let line = format!("config apply {}", file.display());
    let mut command = command(Path::new(BINARY), socket, &line);
    command
        .stdin(File::from(pty.slave.try_clone().unwrap()))
        .stderr(File::from(pty.slave))
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The command holds copies of the terminal's other end: only without them does reading end.
    drop(command);
    let mut terminal = File::from(pty.master);
    terminal.write_all(answer.as_bytes()).unwrap();
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let mut seen = Vec::new();
    // A terminal whose other end is closed gives EIO once all has been read.
    let _ = terminal.read_to_end(&mut seen);
    let code = child.wait().unwrap().code().unwrap();
    Ran { code, out, err: String::from_utf8(seen).unwrap() }
}

#[test]
fn a_terminal_is_asked_and_yes_applies() {
    let (agent, _directory, file) = with_plan(&[("remove", "service web")]);
    let ran = apply_on_a_terminal(&agent.socket(), &file, "y\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("Apply this plan? (y/N) "), "{ran:?}");
    assert_eq!(agent.lines(), [DIFF, APPLY]);
}

#[test]
fn a_terminal_is_asked_and_anything_else_applies_nothing() {
    for answer in ["\n", "n\n", "yep\n"] {
        let (agent, _directory, file) = with_plan(&[("add", "service web")]);
        let ran = apply_on_a_terminal(&agent.socket(), &file, answer);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains("not applied"), "{ran:?}");
        assert_eq!(agent.lines(), [DIFF]);
    }
}

#[test]
fn a_backup_is_json_that_import_sends_back() {
    let backup = json!({
        "node": "edge-1", "taken_at": "2026-11-21T10:00:00Z", "configuration": "pools: []\n",
        "overrides": {"pools": {"web": {"web-1": {"weight": 50}}}}
    });
    let mut applied = diff(&[("modify", "pool web")], true);
    applied["generation"] = json!(9);
    let agent = Agent::start([
        ("GET /v1/state", ok(item("StateBackup", &backup))),
        ("POST /v1/state", ok(applied)),
    ]);
    let exported = run(&agent.socket(), "state export").expect_quiet(0);
    let ran = run_with_stdin(&agent.socket(), "state import - --yes", &exported);
    assert_eq!(ran.expect_quiet(0), "Imported: generation 9 is running.\n");
    assert_eq!(agent.asked().pop().unwrap().body, backup);

    let refused = run_with_stdin(&agent.socket(), "state import -", &exported).expect_error(2);
    assert!(refused.contains("add --yes"), "{refused}");
    let refused = run_with_stdin(&agent.socket(), "state import -", "pools: []").expect_error(1);
    assert!(refused.contains("is not a backup"), "{refused}");
}
