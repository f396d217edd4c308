//! Runs lb-bench of the tests package: what the balancer costs on this machine.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::{self, Workspace};

/// What `cargo xtask bench` hands on.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fewer rounds: done in less than a minute, less exact.
    #[arg(long)]
    quick: bool,
    /// Measure only what has this in its name, and what that is compared with.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw nanoseconds against flows into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Fails at once where the benchmark cannot run.
///
/// # Errors
/// When this process is not root's.
pub(crate) fn check() -> Result<()> {
    if !workspace::is_root() {
        bail!("the benchmark loads XDP programs and makes network namespaces: run it as root");
    }
    Ok(())
}

/// Runs the benchmark with our own streams and hands on its exit code.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    let program = workspace.binaries().join("lb-bench");
    let mut command = Command::new(&program);
    // It runs where cargo was called, so that files land where their names say.
    command.env("LB_BIN_DIR", workspace.binaries());
    if options.quick {
        command.arg("--quick");
    }
    if let Some(part) = &options.only {
        command.arg("--only").arg(part);
    }
    for (option, file) in [("--json", &options.json), ("--svg", &options.svg)] {
        if let Some(file) = file {
            command.arg(option).arg(file);
        }
    }
    let status =
        command.status().with_context(|| format!("bench: cannot run {}", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // No code means a signal ended it.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
