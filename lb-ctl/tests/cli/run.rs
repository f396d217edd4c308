//! Runs the binary and keeps what it printed; documents as the agent sends them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_lb-ctl");

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Exit status.
    pub(crate) code: i32,
    /// All of stdout.
    pub(crate) out: String,
    /// All of stderr.
    pub(crate) err: String,
}

impl Ran {
    /// Fails the test unless the run ended so, with nothing on stderr.
    #[track_caller]
    pub(crate) fn expect_quiet(self, code: i32) -> String {
        assert_eq!((self.code, self.err.as_str()), (code, ""), "stdout: {}", self.out);
        self.out
    }

    /// Fails the test unless the run ended so, with nothing on stdout.
    #[track_caller]
    pub(crate) fn expect_error(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "stderr: {}", self.err);
        self.err
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The binary with an environment that nothing outside the test shapes.
pub(crate) fn command(binary: &Path, socket: &Path, line: &str) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().env("LB_CTL_SOCKET", socket).args(line.split_whitespace());
    command.stdin(Stdio::null());
    command
}

/// Runs a command line against the agent on `socket`.
pub(crate) fn run(socket: &Path, line: &str) -> Ran {
    command(Path::new(BINARY), socket, line).output().unwrap().into()
}

/// As [`run`], with something on stdin.
pub(crate) fn run_with_stdin(socket: &Path, line: &str, stdin: &str) -> Ran {
    let mut command = command(Path::new(BINARY), socket, line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// A socket that does not exist.
pub(crate) fn nowhere() -> &'static Path {
    Path::new("/nonexistent/agent.sock")
}

/// An item as the agent wraps it, at generation 7.
pub(crate) fn item(kind: &str, item: &Value) -> Value {
    json!({"apiVersion": "lb/v1", "kind": kind, "generation": 7, "item": item})
}

/// A list as the agent wraps it, at generation 7.
pub(crate) fn list(kind: &str, items: &[Value]) -> Value {
    json!({"apiVersion": "lb/v1", "kind": kind, "generation": 7, "items": items})
}

/// A problem document.
pub(crate) fn problem(kind: &str, status: u16, title: &str) -> Value {
    json!({"type": kind, "title": title, "status": status})
}

/// A status document.
pub(crate) fn status() -> Value {
    let forwarded = json!({
        "reason": "forwarded", "verdict": "tx", "help": "Sent.", "packets": 3, "bytes": 192
    });
    item(
        "Status",
        &json!({
            "node": "edge-1", "agent_version": env!("CARGO_PKG_VERSION"), "pid": 42,
            "started_at": "2025-11-20T22:00:00Z",
            "last_loop_at": "2025-11-20T22:10:00Z", "loop_lag_ms": 2, "config_file": "/etc/lb/edge.yaml",
            "layout_version": 1, "pin_dir": "/sys/fs/bpf/lb", "adopted": false,
            "health": {"up": 0, "down": 0, "unknown": 0}, "interfaces": [], "services": 1, "pools": 1,
            "backends": 2, "map_memory_bytes": 1024, "reasons": [forwarded], "warnings": [],
            "pins": {
                "capacity": 1024, "used": 0, "evicted": 0, "full": 0, "slots_in_transition": 0
            }
        }),
    )
}

/// A service.
pub(crate) fn service() -> Value {
    json!({
        "name": "web", "vip": "203.0.113.10", "protocol": "tcp", "ports": [80], "pool": "web",
        "backends_active": 2, "backends_total": 2, "traffic": {"packets": 3, "bytes": 192}
    })
}

/// A backend in this state with this weight in force.
pub(crate) fn backend(name: &str, state: &str, weight: u32) -> Value {
    json!({
        "pool": "web", "name": name, "address": "10.3.0.2", "tier": 0, "state": state,
        "health": "unchecked", "weight_configured": 100, "weight_effective": weight,
        "operator": {"weight": null, "drain": state == "draining"}, "share": 0.5,
        "flows": 0, "next_hop": {
            "state": "resolved", "gateway": "10.2.0.1", "interface": "eth0",
            "mac": "02:00:00:00:00:01", "mtu_bytes": 1600, "problem": null
        },
        "traffic": {"packets": 3, "bytes": 192}
    })
}

/// A configuration diff with these (kind, object) changes.
pub(crate) fn diff(changes: &[(&str, &str)], applied: bool) -> Value {
    let changes: Vec<Value> = changes
        .iter()
        .map(|(kind, object)| json!({"kind": kind, "object": object, "detail": ""}))
        .collect();
    item("ConfigDiff", &json!({"changes": changes, "applied": applied}))
}
