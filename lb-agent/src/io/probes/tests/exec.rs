//! Commands: what passes, what is said of the others, and what is left of those that were killed.

use std::fs;
use std::path::Path;

use lb_common::config::{ExecCheck, ExecUser, Host as _, parse_on};

use super::*;

fn shell(script: &str) -> ExecCheck {
    let command = ["/bin/sh", "-c", script].map(ToOwned::to_owned).to_vec();
    ExecCheck { command, environment: [].into(), user: None }
}

fn backend() -> SocketAddr {
    "[2001:db8::7]:8080".parse().unwrap()
}

async fn ran(check: ExecCheck) -> Outcome {
    asked(backend(), HealthKind::Exec(check), LIMIT).await
}

#[tokio::test]
async fn exit_status_0_passes_and_the_first_line_is_told() {
    for (script, passed, detail) in [
        ("exit 0", true, "exit status 0"),
        ("echo fine; echo more", true, "fine"),
        ("echo fine; echo no >&2", true, "fine"),
        ("exit 3", false, "exit status 3"),
        ("echo 'no  disk'; exit 1", false, "exit status 1: no  disk"),
        ("echo broken >&2; exit 2", false, "exit status 2: broken"),
        ("printf 'a\\033[1mb\\n'; exit 2", false, "exit status 2: a [1mb"),
        ("kill -TERM $$", false, "killed by signal 15"),
    ] {
        let outcome = ran(shell(script)).await;
        assert_eq!((outcome.passed, outcome.detail.as_str()), (passed, detail), "{script}");
    }
}

#[tokio::test]
async fn of_much_output_little_is_kept_and_nobody_waits_for_room() {
    let outcome = ran(shell("head -c 300000 /dev/zero | tr '\\0' x; exit 1")).await;
    assert_eq!(outcome.detail, format!("exit status 1: {}", "x".repeat(200)));
}

#[tokio::test]
async fn the_environment_is_what_the_check_says_and_who_is_asked_about() {
    let environment = [("WORD".to_owned(), "two words".to_owned())].into();
    let outcome = ran(ExecCheck { environment, ..shell("env | sort | tr '\\n' ';'; pwd") }).await;
    // The shell itself adds PWD.
    let expected = "LB_ADDRESS=2001:db8::7;LB_BACKEND=web-1;LB_POOL=web;LB_PORT=8080;PWD=/;\
                    WORD=two words;/";
    assert_eq!(outcome.detail, expected);

    let mut portless = question(backend(), HealthKind::Exec(shell("echo \"<$LB_PORT>\"")), LIMIT);
    portless.address.set_port(0);
    assert_eq!(Asker::default().probe(&errand(portless)).await.unwrap().detail, "<>");
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let command = vec!["/nonexistent/check".to_owned()];
    let outcome = ran(ExecCheck { command, ..shell("") }).await;
    assert!(!outcome.passed);
    let expected = "cannot run /nonexistent/check: No such file or directory (os error 2)";
    assert_eq!(outcome.detail, expected);
}

/// Waits until none of these processes is alive.
async fn until_gone(pids: &str) {
    let is_alive = |pid: &str| {
        let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    let gone = async {
        while pids.split_whitespace().any(is_alive) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LIMIT, gone).await.unwrap();
}

#[tokio::test]
async fn when_its_time_is_over_the_whole_group_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = format!("sleep 600 & echo $$ $! > {}; wait", pids.display());
    let outcome =
        asked(backend(), HealthKind::Exec(shell(&script)), Duration::from_millis(500)).await;
    assert_eq!((outcome.passed, outcome.detail.as_str()), (false, "no answer within 500ms"));
    let pids = fs::read_to_string(pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2, "{pids}");
    until_gone(&pids).await;
}

#[tokio::test]
async fn a_command_that_ends_leaves_nobody_behind_and_waits_for_nobody() {
    let outcome = ran(shell("sleep 600 & echo $!")).await;
    assert!(outcome.passed, "{outcome:?}");
    assert!(outcome.took_ns < 300_000_000_000, "waited for what it left behind");
    until_gone(&outcome.detail).await;
}

#[tokio::test]
async fn another_user_has_its_own_group_and_no_other() {
    let (uid, gid) = ThisHost { exec_checks: false }.user("nobody").unwrap();
    let user = Some(ExecUser { name: "nobody".into(), uid, gid });
    let script = "echo $(id -u) $(id -g) $(id -G) $(grep CapEff /proc/self/status)";
    let environment = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into();
    let outcome = ran(ExecCheck { user, environment, ..shell(script) }).await;
    assert_eq!(outcome.detail, format!("{uid} {gid} {gid} CapEff: 0000000000000000"));

    let unknown = ThisHost { exec_checks: false }.user("nobody-of-that-name").unwrap_err();
    assert_eq!(unknown, "there is no user \"nobody-of-that-name\" on this host");
}

#[test]
fn commands_are_refused_unless_the_agent_was_told_to_run_them() {
    let text = "node: { name: edge-1, encap_source: { ipv4: 10.2.0.2 } }\n\
                interfaces: [{ name: eth0 }]\n\
                pools: [{ name: web, health: { type: exec, port: 80, command: [/bin/true] },\n\
                \x20 backends: [{ name: b1, address: 10.3.0.2 }] }]\n\
                services: [{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: web }]\n";
    let parse = |exec_checks| parse_on(&ThisHost { exec_checks }, "edge.yaml", text);
    let refusal = parse(false).unwrap_err().to_string();
    assert!(refusal.contains("pools[0].health.type: this agent runs no commands"), "{refusal}");
    assert!(refusal.contains("--allow-exec-checks"), "{refusal}");
    parse(true).unwrap();
}
