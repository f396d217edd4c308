//! Fuzzing: builds the targets of tests/fuzz, writes their seeds, and runs them one after another.
//!
//! cargo-fuzz builds with what libFuzzer needs to see which code an input reaches: a pass of LLVM
//! that the stable compiler has too, so there is no nightly. No sanitizer is used: they find what
//! unsafe code does to memory, the code under test forbids unsafe code, and they cost speed and want
//! a nightly. Debug assertions and overflow checks are on.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::clock::Stopwatch;
use crate::workspace::{self, Workspace};
use crate::{host, process};

/// Time for all targets of a short run together.
pub(crate) const SHORT_RUN_SECONDS: u32 = 24;
/// Longest input, bytes: a full-size frame and what came before it, or a long configuration.
const INPUT_MOST_BYTES: u32 = 4_096;
/// What one input may take, seconds, before that counts as a failure.
const TIMEOUT_SECONDS: u32 = 10;
/// The target that needs all of the agent: it is built only where it is named.
const WITH_AGENT: &str = "state";

/// What `cargo xtask fuzz` takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run so long, all targets together.
    #[arg(long, value_name = "N", default_value_t = SHORT_RUN_SECONDS)]
    seconds: u32,
    /// Run this target alone: a file name of `tests/fuzz/fuzz_targets`.
    target: Option<String>,
    /// Take this input through the target once instead.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "seconds")]
    reproduce: Option<PathBuf>,
    /// Make this input as small as it can be and still fail.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "reproduce")]
    minimise: Option<PathBuf>,
}

impl Options {
    /// What the tests run.
    pub(crate) const SHORT: Self =
        Self { seconds: SHORT_RUN_SECONDS, target: None, reproduce: None, minimise: None };

    /// Whether the host side has to be built first; else [`build_seeds`] will do.
    pub(crate) fn needs_the_agent(&self) -> bool {
        self.target.as_deref() == Some(WITH_AGENT)
    }
}

/// Builds what writes the seeds, without the agent that the rest of lb-tests needs.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn build_seeds(workspace: &Workspace) -> Result<()> {
    let mut command = host::cargo(workspace);
    command.args(["build", "--release", "-p", "lb-tests", "--no-default-features"]);
    process::run("building the seeds", command.args(["--bin", "lb-seeds"]))
}

/// Builds targets and runs them, from the seeds that the lb-seeds which is there writes.
///
/// # Errors
/// Names the target that failed, the input, and how to see it fail again.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let all = targets(workspace)?;
    let chosen: Vec<&str> = match &options.target {
        None => all.iter().map(String::as_str).filter(|name| *name != WITH_AGENT).collect(),
        Some(name) => {
            ensure!(all.contains(name), "no target {name}; there are: {}", all.join(", "));
            vec![name]
        }
    };
    build(workspace, options.target.as_deref())?;
    if let (Some(target), Some(input)) = (&options.target, &options.reproduce) {
        let mut command = Command::new(program(workspace, target));
        return process::run("the input", command.arg(input));
    }
    if let (Some(target), Some(input)) = (&options.target, &options.minimise) {
        return minimise(workspace, target, input, options.seconds);
    }
    write_seeds(workspace)?;
    let count = u32::try_from(chosen.len()).context("a handful of targets")?;
    let seconds = (options.seconds / count).max(1);
    let watch = Stopwatch::start();
    println!("{:<12} {:>10} {:>10} {:>8} {:>8}", "target", "inputs", "a second", "reached", "kept");
    for target in chosen {
        let figures = run_one(workspace, target, seconds)?;
        println!("{target:<12} {figures}");
    }
    println!("fuzz: nothing found ({watch})");
    Ok(())
}

/// The names of all targets, in order.
fn targets(workspace: &Workspace) -> Result<Vec<String>> {
    let directory = project(workspace).join("fuzz_targets");
    let unreadable = || format!("cannot read {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        names.extend(path.file_stem().and_then(OsStr::to_str).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn build(workspace: &Workspace, target: Option<&str>) -> Result<()> {
    let mut command = Command::new(workspace::cargo());
    // cargo-fuzz looks for a directory `fuzz` beside the package it is called in.
    command.current_dir(workspace.root().join("tests"));
    command.args(["fuzz", "build", "--sanitizer", "none", "--target-dir"]);
    command.arg(build_directory(workspace));
    if target == Some(WITH_AGENT) {
        command.args(["--features", "agent"]);
    }
    if let Some(target) = target {
        command.arg(target);
    }
    let log = workspace.target().join("fuzz/build.log");
    process::run_logged("fuzz targets", &log, &mut command)
}

fn write_seeds(workspace: &Workspace) -> Result<()> {
    let mut command = Command::new(workspace.binaries().join("lb-seeds"));
    process::run("writing the seeds", command.arg(project(workspace).join("corpus")))
}

/// Runs a target for a while, its output in a log.
fn run_one(workspace: &Workspace, target: &str, seconds: u32) -> Result<Figures> {
    let artifacts = project(workspace).join("artifacts").join(target);
    fs::create_dir_all(&artifacts)
        .with_context(|| format!("cannot make {}", artifacts.display()))?;
    let mut command = Command::new(program(workspace, target));
    command
        .arg(project(workspace).join("corpus").join(target))
        .arg(format!("-artifact_prefix={}/", artifacts.display()))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={INPUT_MOST_BYTES}"))
        .arg(format!("-timeout={TIMEOUT_SECONDS}"))
        .arg("-print_final_stats=1");
    let log = workspace.target().join(format!("fuzz/{target}.log"));
    let outcome = process::run_logged(target, &log, &mut command);
    let text = fs::read_to_string(&log).unwrap_or_default();
    let Err(error) = outcome else {
        return Ok(Figures::read(&text));
    };
    let Some(input) = written_input(&text) else { return Err(error) };
    bail!(
        "target {target} found an input for which a claim does not hold: {input}\n\
         to see it again:  cargo xtask fuzz {target} --reproduce {input}\n\
         to make it small: cargo xtask fuzz {target} --minimise {input}"
    );
}

fn minimise(workspace: &Workspace, target: &str, input: &Path, seconds: u32) -> Result<()> {
    let small = input.with_extension("small");
    let mut command = Command::new(program(workspace, target));
    command
        .arg("-minimize_crash=1")
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-exact_artifact_path={}", small.display()))
        .arg(input)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Its exit code says nothing: it fails as long as the input still does.
    command
        .status()
        .with_context(|| format!("cannot run {}", program(workspace, target).display()))?;
    let bytes =
        fs::metadata(&small).with_context(|| format!("{} got no smaller", input.display()))?;
    println!("{} bytes in {}", bytes.len(), small.display());
    Ok(())
}

/// What libFuzzer says of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    inputs: u64,
    inputs_per_second: u64,
    /// Edges between blocks of code.
    reached: u64,
    /// Inputs that reached something new, in this run or before.
    kept: u64,
}

impl Figures {
    fn read(log: &str) -> Self {
        let stat = |name: &str| {
            let line = log.lines().rev().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches([':', ' ']).parse().ok()
        };
        // "#1234 DONE   cov: 567 ft: 890 corp: 123/45Kb ..."
        let last = log.lines().rev().find(|line| line.contains(" cov: ")).unwrap_or_default();
        let word = |name: &str| {
            let rest = last.split_once(name)?.1.trim_start();
            rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
        };
        Self {
            inputs: stat("stat::number_of_executed_units").unwrap_or(0),
            inputs_per_second: stat("stat::average_exec_per_sec").unwrap_or(0),
            reached: word(" cov:").unwrap_or(0),
            kept: word(" corp:").unwrap_or(0),
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inputs, inputs_per_second, reached, kept } = self;
        write!(out, "{inputs:>10} {inputs_per_second:>10} {reached:>8} {kept:>8}")
    }
}

/// The file that libFuzzer has put a failing input in.
fn written_input(log: &str) -> Option<&str> {
    log.lines()
        .find_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| path.trim())
}

/// The package of the targets.
fn project(workspace: &Workspace) -> PathBuf {
    workspace.root().join("tests/fuzz")
}

fn build_directory(workspace: &Workspace) -> PathBuf {
    workspace.target().join("fuzz")
}

/// cargo-fuzz names the host's triple even where it is no other.
fn program(workspace: &Workspace, target: &str) -> PathBuf {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    build_directory(workspace).join(triple).join("release").join(target)
}

#[cfg(test)]
mod tests;
