//! Commands as probes: one process, and whether it exits with 0 in time.
//!
//! The process leads a group of its own, which is killed as a whole when its time is over, and when
//! the probe is dropped for whatever reason. Only what runs while the agent itself ends is left to run to
//! its own end. Its environment is what the check says and who is asked about, nothing of the agent's.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use lb_common::config::ExecCheck;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::steps::Steps;
use crate::core::health::Probe;

/// Of a line, no more is kept.
const LINE_MAX_BYTES: usize = 200;
/// How long the output is waited for once the process has ended: somebody else may hold it open.
const OUTPUT_WAIT: Duration = Duration::from_millis(50);

/// Why a command did not pass.
#[derive(Debug, Error)]
pub(super) enum ExecFailure {
    #[error("cannot run {command}: {source}")]
    Start { command: String, source: io::Error },
    #[error("cannot wait for the command: {0}")]
    Wait(io::Error),
    #[error("{ending}{said}")]
    Exit { ending: String, said: String },
}

/// Runs the command.
pub(super) async fn ask(
    probe: &Probe,
    check: &ExecCheck,
    steps: &mut Steps,
) -> Result<String, ExecFailure> {
    steps.begin("start");
    let mut child = start(probe, check)?;
    let group = Group::of(&child);
    steps.done(|| format!("{} as process {}", check.command.join(" "), child.id().unwrap_or(0)));
    steps.begin("answer");
    let (mut out, mut err) = (FirstLine::default(), FirstLine::default());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = {
        let output = async { tokio::join!(out.read(stdout), err.read(stderr)) };
        tokio::pin!(output);
        let ended = tokio::select! {
            status = child.wait() => Some(status),
            _ = &mut output => None,
        };
        if let Some(status) = ended {
            // Whoever it has left behind goes too, and lets go of the output.
            drop(group);
            let _ = timeout(OUTPUT_WAIT, output).await;
            status
        } else {
            child.wait().await
        }
    };
    let status = status.map_err(ExecFailure::Wait)?;
    let said = out.or(err);
    if status.success() {
        steps.done(|| format!("exit status 0{}", told(said.as_deref())));
        return Ok(said.unwrap_or_else(|| "exit status 0".to_owned()));
    }
    Err(ExecFailure::Exit { ending: ending(status), said: told(said.as_deref()) })
}

fn start(probe: &Probe, check: &ExecCheck) -> Result<Child, ExecFailure> {
    let (program, arguments) = check.command.split_first().unwrap_or((EMPTY, &[]));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&check.environment)
        .env("LB_POOL", &probe.pool)
        .env("LB_BACKEND", &probe.backend)
        .env("LB_ADDRESS", probe.address.ip().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if probe.address.port() != 0 {
        command.env("LB_PORT", probe.address.port().to_string());
    }
    if let Some(user) = &check.user {
        // With another user go the supplementary groups, and all capabilities.
        command.uid(user.uid).gid(user.gid);
    }
    let failed = |source| ExecFailure::Start { command: program.clone(), source };
    command.spawn().map_err(failed)
}

/// What stands for a program that is not there; the configuration has none such.
const EMPTY: &String = &String::new();

/// The processes of a command. All are killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        Self(leader.map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // As a rule there is nobody left. The number cannot be another group's meanwhile: the
            // kernel gives all others out first.
            let _ = killpg(leader, Signal::SIGKILL);
        }
    }
}

/// The first line of an output; the rest is read, so that nobody waits for room, and forgotten.
#[derive(Default)]
struct FirstLine {
    line: Vec<u8>,
    is_whole: bool,
}

impl FirstLine {
    async fn read(&mut self, output: Option<impl AsyncRead + Unpin>) {
        let Some(mut output) = output else { return };
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = output.read(&mut bytes).await {
            self.take(bytes.get(..length).unwrap_or_default());
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.is_whole {
            return;
        }
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let room = LINE_MAX_BYTES - self.line.len();
        self.line.extend(lines.next().unwrap_or_default().iter().take(room));
        self.is_whole = lines.next().is_some() || self.line.len() == LINE_MAX_BYTES;
    }

    /// The line, or else the other output's; what cannot be printed is replaced.
    fn or(self, other: Self) -> Option<String> {
        let printable = |line: &[u8]| {
            let text = String::from_utf8_lossy(line);
            let visible = |c: char| if c.is_control() { ' ' } else { c };
            text.chars().map(visible).collect::<String>().trim().to_owned()
        };
        [self, other].iter().map(|one| printable(&one.line)).find(|line| !line.is_empty())
    }
}

fn told(said: Option<&str>) -> String {
    said.map_or_else(String::new, |line| format!(": {line}"))
}

fn ending(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "no exit status".to_owned(),
    }
}
