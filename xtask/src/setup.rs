//! Finds out what this machine lacks, and installs it.
//!
//! Looking costs a few file checks and five short processes, so every other command starts with it.
//! Installing is done by those who own the things: apt-get, rustup, cargo. Each step does nothing
//! when its result is there; what cannot be installed from here is listed with its purpose, all at
//! once, and nothing is installed by halves.

mod apt;
mod fuzzing;
mod guests;
mod requirements;

use std::env;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::clock::Stopwatch;
use crate::process;
use crate::toolchain::{self, Choice, LINKER_LLVM, PINNED_NIGHTLY, Source};
use crate::workspace::{self, Workspace};
use apt::Apt;
pub(crate) use fuzzing::run as run_for_fuzzing;
pub(crate) use guests::run as run_for_guests;
use requirements::{BUILD, LAB, Requirement, llvm_prefix};

const LINKER_VERSION: &str = "0.13.0";
const STEPS: usize = 5;
const DEBIAN_COMPILER: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-clippy"];

/// What a machine that is set up offers to the BPF build.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    /// The compiler of the BPF programs.
    pub(crate) compiler: Source,
    /// Where bpf-linker is.
    pub(crate) linker: PathBuf,
}

/// What was found, and what was not.
#[derive(Debug)]
struct Survey {
    lab: Vec<&'static Requirement>,
    build: Vec<&'static Requirement>,
    components: Vec<&'static str>,
    compilers: Choice,
    linker: Option<PathBuf>,
}

impl Survey {
    fn take() -> Result<Self> {
        Ok(Self {
            lab: requirements::missing(LAB),
            build: requirements::missing(BUILD),
            components: missing_components(),
            compilers: toolchain::survey()?,
            linker: find_linker(),
        })
    }

    /// The compiler that is there with all its parts.
    fn compiler(&self) -> Option<Source> {
        self.compilers.candidates.first().filter(|first| first.complete).map(|first| first.source)
    }

    fn ready(&self) -> Option<Ready> {
        if !(self.lab.is_empty() && self.build.is_empty() && self.components.is_empty()) {
            return None;
        }
        Some(Ready { compiler: self.compiler()?, linker: self.linker.clone()? })
    }

    /// What has to be there and cannot be installed from here, in words.
    fn obstacles(&self, means: Means) -> Option<String> {
        let mut text = String::new();
        let mut packages: Vec<&str> = Vec::new();
        if !(means.apt && means.root) {
            for requirement in self.lab.iter().chain(&self.build) {
                packages.push(requirement.package);
                let _ = write!(text, "\n  {requirement}");
            }
            if !self.compilers.candidates.iter().any(|candidate| match candidate.source {
                Source::Rustup(_) => true,
                Source::Debian => candidate.complete,
            }) {
                packages.extend(DEBIAN_COMPILER);
                let _ = write!(
                    text,
                    "\n  Rust compiler for the BPF target: rustup with {PINNED_NIGHTLY} and its \
                     rust-src and clippy, or {}",
                    DEBIAN_COMPILER.join(", ")
                );
            }
        }
        if !self.components.is_empty() && !means.rustup {
            let components = self.components.join(", ");
            let _ = write!(text, "\n  {components}: from where your Rust compiler comes");
        }
        if text.is_empty() {
            return None;
        }
        if means.apt && !packages.is_empty() {
            let list = packages.join(" ");
            let _ = write!(
                text,
                "\nrun setup as root, or run\n  apt-get install --no-install-recommends {list}"
            );
        }
        Some(text)
    }
}

/// What this process can install with.
#[derive(Debug, Clone, Copy)]
struct Means {
    apt: bool,
    root: bool,
    rustup: bool,
}

impl Means {
    fn look() -> Self {
        Self {
            apt: workspace::program("apt-get").is_some(),
            root: workspace::is_root(),
            rustup: workspace::program("rustup").is_some(),
        }
    }
}

/// Installs what is missing and says what was done.
///
/// # Errors
/// When something is missing that cannot be installed from here, or an installation fails.
pub(crate) fn run(workspace: &Workspace) -> Result<Ready> {
    let watch = Stopwatch::start();
    let survey = Survey::take()?;
    for remark in &survey.compilers.remarks {
        println!("note: {remark}");
    }
    if let Some(ready) = survey.ready() {
        println!("setup: nothing to do; BPF programs by {} ({watch})", ready.compiler);
        return Ok(ready);
    }
    if let Some(obstacles) = survey.obstacles(Means::look()) {
        bail!("this machine lacks what cannot be installed from here:{obstacles}");
    }
    install(workspace, &survey)?;
    let after = Survey::take()?;
    let ready = after.ready().ok_or_else(|| {
        anyhow!("all steps of setup succeeded, and yet something is missing: {after:?}")
    })?;
    println!("setup: done; BPF programs by {} ({watch})", ready.compiler);
    Ok(ready)
}

fn install(workspace: &Workspace, survey: &Survey) -> Result<()> {
    let mut apt = Apt::new(workspace);
    for (number, what, missing) in
        [(1, "programs for tests and demo", &survey.lab), (2, "compiler libraries", &survey.build)]
    {
        let packages: Vec<&str> = missing.iter().map(|requirement| requirement.package).collect();
        step(number, what, packages.is_empty(), |label| apt.install(label, &packages))?;
    }
    step(3, "rustfmt and clippy", survey.components.is_empty(), |label| {
        let mut command = Command::new("rustup");
        command.args(["component", "add"]).args(&survey.components);
        process::run_logged(label, &workspace.setup_files().join("components.log"), &mut command)
    })?;
    step(4, "compiler for the BPF target", survey.compiler().is_some(), |label| {
        install_compiler(label, workspace, &survey.compilers, &mut apt)
    })?;
    step(5, "bpf-linker", survey.linker.is_some(), |label| {
        let mut command = Command::new(workspace::cargo());
        command
            .args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked"])
            .args(["--no-default-features", "--features", &format!("llvm-{LINKER_LLVM}")])
            .env("LLVM_PREFIX", llvm_prefix())
            .current_dir(workspace.root());
        process::run_logged(label, &workspace.setup_files().join("bpf-linker.log"), &mut command)
    })
}

/// Runs one step unless its result is there, with a line before, during and after.
fn step(
    number: usize,
    what: &str,
    present: bool,
    install: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let label = format!("[{number}/{STEPS}] {what}");
    if present {
        println!("{label} ... present");
        return Ok(());
    }
    println!("{label} ... installing");
    let watch = Stopwatch::start();
    install(&label)?;
    println!("{label} ... installed ({watch})");
    Ok(())
}

/// Tries the candidates in their order until one can be completed.
fn install_compiler(
    label: &str,
    workspace: &Workspace,
    choice: &Choice,
    apt: &mut Apt,
) -> Result<()> {
    let log = workspace.setup_files().join("compiler.log");
    let mut last = anyhow!("no compiler for the BPF target can be installed on this machine");
    for candidate in &choice.candidates {
        let label = format!("{label}: {}", candidate.source);
        let outcome = match candidate.source {
            Source::Debian => apt.install(&label, &DEBIAN_COMPILER),
            Source::Rustup(name) => {
                let mut command = Command::new("rustup");
                if candidate.installed {
                    command.args(["component", "add", "--toolchain", name, "rust-src", "clippy"]);
                } else {
                    command.args(["toolchain", "install", name, "--profile", "minimal"]);
                    command.args(["--component", "rust-src,clippy", "--no-self-update"]);
                }
                process::run_logged(&label, &log, &mut command)
            }
        };
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Those of rustfmt and clippy that the host's compiler came without.
fn missing_components() -> Vec<&'static str> {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]));
    let programs = PathBuf::from(sysroot.unwrap_or_default().trim()).join("bin");
    [("rustfmt", "rustfmt"), ("clippy", "cargo-clippy")]
        .into_iter()
        .filter(|(_, program)| !programs.join(program).is_file())
        .map(|(component, _)| component)
        .collect()
}

/// bpf-linker in the version that this build was tried with.
fn find_linker() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    let installed = cargo_home.map(|home| home.join("bin/bpf-linker"));
    let is_right = |linker: &PathBuf| {
        process::output(Command::new(linker).arg("--version"))
            .is_some_and(|version| version.trim() == format!("bpf-linker {LINKER_VERSION}"))
    };
    installed.into_iter().chain(workspace::program("bpf-linker")).find(is_right)
}

#[cfg(test)]
mod tests;
