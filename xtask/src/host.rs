//! The host side: agent, lb-ctl and the test programs, by the cargo that runs xtask.
//!
//! Comes after `ebpf`: lb-agent carries the BPF programs inside.

use std::process::Command;

use anyhow::Result;

use crate::process;
use crate::workspace::{self, Workspace};

/// How the host side is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Optimised; what is shipped, demonstrated and tested against the kernel.
    Release,
    /// Quick to build.
    Dev,
}

/// Builds every program of the host side.
pub(crate) fn build(workspace: &Workspace, profile: Profile) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "-p", "lb-agent", "-p", "lb-ctl", "-p", "lb-tests"]);
    if profile == Profile::Release {
        command.arg("--release");
    }
    process::run("building the host programs", &mut command)
}

/// The cargo of the host side, in the root of the workspace.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace.root());
    command
}
