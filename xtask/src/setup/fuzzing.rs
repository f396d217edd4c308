//! What fuzzing needs besides the build: cargo-fuzz.
//!
//! Only `setup`, `fuzz` and the layer of tests that fuzzes call this, so that nobody else waits for
//! it. libFuzzer itself comes with a crate and is built by the C++ compiler that bpf-linker needs.

use std::process::Command;

use anyhow::Result;

use crate::clock::Stopwatch;
use crate::process;
use crate::workspace::{self, Workspace};

/// The version that the targets were tried with.
const CARGO_FUZZ_VERSION: &str = "0.13.1";

/// Installs cargo-fuzz unless it is there.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    if is_right() {
        return Ok(());
    }
    let watch = Stopwatch::start();
    println!("cargo-fuzz ... installing");
    let mut command = Command::new(workspace::cargo());
    command
        .args(["install", "cargo-fuzz", "--version", CARGO_FUZZ_VERSION, "--locked"])
        .current_dir(workspace.root());
    let log = workspace.setup_files().join("cargo-fuzz.log");
    process::run_logged("cargo-fuzz", &log, &mut command)?;
    println!("setup: fuzz targets can be built ({watch})");
    Ok(())
}

fn is_right() -> bool {
    let mut command = Command::new(workspace::cargo());
    process::output(command.args(["fuzz", "--version"]))
        .is_some_and(|version| version.trim() == format!("cargo-fuzz {CARGO_FUZZ_VERSION}"))
}
