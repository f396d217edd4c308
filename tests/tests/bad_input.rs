//! Bad input is refused with one clear error, the right exit code, and no change to what runs.
//!
//! Each test gives one bad thing to the real agent or the real `lb-ctl` and holds: exactly one
//! error on stderr, with its place and its cure; the documented exit code; nothing on stdout; and
//! whatever was running goes on as it was.

#[path = "bad_input/alone.rs"]
mod alone;
#[path = "bad_input/beside_an_agent.rs"]
mod beside_an_agent;

use std::process::Command;

use anyhow::{Result, ensure};
use lb_common::abi::LAYOUT_VERSION;
use lb_tests::process::{Finished, run, tail};
use lb_tests::topology::{AgentFiles, COMMAND_LIMIT, Host, binary};

/// Exit codes, as `lb-ctl --help` and the agent's manual list them.
const FAILED: i32 = 1;
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;
const NOT_FOUND: i32 = 4;
const INVALID_CONFIG: i32 = 5;
const CONFLICT: i32 = 6;
const PERMISSION: i32 = 7;

/// Name of the directory with this layout's pins.
fn layout() -> String {
    format!("v{LAYOUT_VERSION}")
}

/// Runs an agent that is expected to refuse.
fn run_agent(host: &Host, files: &AgentFiles) -> Result<Finished> {
    run_agent_through(host.command(binary("lb-agent")?), files)
}

/// Like [`run_agent`], by a command that ends in the agent's path.
fn run_agent_through(mut command: Command, files: &AgentFiles) -> Result<Finished> {
    files.run_arguments(&mut command);
    run(command, COMMAND_LIMIT)
}

/// Fails unless `finished` is a refusal with `code` and one error that says all of `words`.
fn refused(finished: Finished, code: i32, words: &[&str]) -> Result<()> {
    let finished = finished.with_code(code)?;
    let stderr = &finished.stderr;
    let errors = stderr.lines().filter(|line| is_error(line)).count();
    ensure!(errors == 1, "{errors} errors instead of one:\n{}", tail(stderr));
    for word in words {
        ensure!(stderr.contains(word), "the error does not say {word:?}:\n{}", tail(stderr));
    }
    ensure!(finished.stdout.is_empty(), "an error, and yet on stdout:\n{}", finished.stdout);
    Ok(())
}

fn is_error(line: &str) -> bool {
    line.starts_with("error") || line.starts_with("Error") || line.contains(" ERROR ")
}
