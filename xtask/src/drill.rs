//! Runs lb-drill of the tests package: failover drills between network namespaces.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::{self, Workspace};

/// What `cargo xtask drill` hands on.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run only drills with this in their name.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Write the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the drills with our own streams and hands on the exit code: 1 if a bound was not kept.
///
/// # Errors
/// When they may not run here, or cannot be started.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    if !workspace::is_root() {
        bail!("drills make network namespaces and load XDP programs: run them as root");
    }
    let program = workspace.binaries().join("lb-drill");
    let mut command = Command::new(&program);
    command.env("LB_BIN_DIR", workspace.binaries());
    if let Some(part) = &options.only {
        command.arg("--only").arg(part);
    }
    if let Some(file) = &options.json {
        command.arg("--json").arg(file);
    }
    let status =
        command.status().with_context(|| format!("drill: cannot run {}", program.display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // No code means a signal ended it.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
