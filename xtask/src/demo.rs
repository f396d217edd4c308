//! Runs lb-demo of the tests package: the balancer between network namespaces, with real traffic.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Workspace};

/// Runs the demo with our own streams and hands on its exit code.
///
/// # Errors
/// When it may not run here, or cannot be started.
pub(crate) fn run(workspace: &Workspace) -> Result<ExitCode> {
    if !workspace::is_root() {
        bail!("the demo makes network namespaces and loads XDP programs: run it as root");
    }
    let program = workspace.binaries().join("lb-demo");
    let status = Command::new(&program)
        .env("LB_BIN_DIR", workspace.binaries())
        .current_dir(workspace.root())
        .status()
        .with_context(|| format!("demo: cannot run {}", program.display()))?;
    if !status.success() {
        eprintln!("error: the demo failed ({status})");
    }
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // No code means a signal ended it.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
