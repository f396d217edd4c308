//! Writes the seeds of the fuzz targets: `lb-seeds DIRECTORY` makes one directory for each target.
//!
//! `cargo xtask fuzz` calls it before each run. What a run has found meanwhile stays.

#![expect(clippy::print_stderr, reason = "a command line speaks to its user")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use lb_tests::fuzz::{TARGETS, Target};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let directory = env::args_os().nth(1).map(PathBuf::from).context("which directory?")?;
    TARGETS.iter().try_for_each(|target| write(&directory.join(target.name), target))
}

fn write(directory: &Path, target: &Target) -> Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        let path = directory.join(format!("seed-{number:03}"));
        fs::write(&path, seed).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
