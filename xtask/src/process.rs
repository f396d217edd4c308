//! Child processes: in the open, or behind a log with a sign of life.
//!
//! Errors name the step in the caller's words, because "exit status: 101" helps nobody.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::clock::{Stopwatch, human};

/// Off a terminal a line is printed this often; on one, the line is renewed each second.
const QUIET_TICK: Duration = Duration::from_secs(10);
const TERMINAL_TICK: Duration = Duration::from_secs(1);
/// How much of a failed step's log is shown.
const SHOWN_LOG_LINES: usize = 30;

/// Runs a child with our own standard streams.
///
/// # Errors
/// When it cannot be started or does not end with 0; `what` names it.
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{what}: cannot run {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    Ok(())
}

/// What a child wrote to standard output, or `None` when it could not run or failed.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a child with its output in `log`, showing `label` and the time it has taken so far.
///
/// # Errors
/// When it cannot be started or does not end with 0; the end of the log has then been shown.
pub(crate) fn run_logged(label: &str, log: &Path, command: &mut Command) -> Result<()> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let errors = file.try_clone().context("cannot share the log")?;
    let watch = Stopwatch::start();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let (ended, end) = mpsc::channel();
    let waiter = thread::spawn(move || {
        // The receiver is gone only if this process is ending anyway.
        let _ = ended.send(child.wait());
    });
    let status = loop {
        match end.recv_timeout(tick()) {
            Ok(status) => break status.context("cannot wait for the child")?,
            Err(RecvTimeoutError::Timeout) => show_life(label, watch, log),
            Err(RecvTimeoutError::Disconnected) => bail!("{label}: lost the child"),
        }
    };
    let _ = waiter.join();
    clear_line();
    if !status.success() {
        eprintln!("{label}: failed; the end of {}:", log.display());
        for line in last_lines(log, SHOWN_LOG_LINES) {
            eprintln!("    {line}");
        }
        bail!("{label} failed ({status})");
    }
    Ok(())
}

fn tick() -> Duration {
    if io::stdout().is_terminal() { TERMINAL_TICK } else { QUIET_TICK }
}

fn show_life(label: &str, watch: Stopwatch, log: &Path) {
    let elapsed = human(watch.elapsed());
    if io::stdout().is_terminal() {
        let doing = last_lines(log, 1).pop_back().unwrap_or_default();
        let doing: String = doing.chars().take(50).collect();
        print!("\r\x1b[K{label} ... {elapsed}  {doing}");
        // A progress line that cannot be shown is no reason to stop.
        let _ = io::stdout().flush();
    } else {
        println!("{label} ... still running ({elapsed})");
    }
}

fn clear_line() {
    if io::stdout().is_terminal() {
        print!("\r\x1b[K");
    }
}

fn last_lines(log: &Path, count: usize) -> VecDeque<String> {
    let mut kept = VecDeque::new();
    let Ok(file) = File::open(log) else {
        return kept;
    };
    // Progress bars end their lines with a carriage return; what is after the last one is shown.
    for line in BufReader::new(file).split(b'\n').map_while(io::Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let line = line.rsplit('\r').next().unwrap_or_default().trim().to_owned();
        if line.is_empty() {
            continue;
        }
        if kept.len() == count {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept
}

#[cfg(test)]
mod tests;
