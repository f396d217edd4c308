//! All test layers in order, each timed, with a table at the end.
//!
//! Nothing is skipped silently: a layer that cannot run here fails before anything is built.

use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::clock::Stopwatch;
use crate::host::{self, Profile};
use crate::setup::{self, Ready};
use crate::workspace::{self, Workspace};
use crate::{build, fuzz, process, tidy};

/// The layers, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layer {
    /// Format, lints and house rules.
    Tidy,
    /// Unit, property and documentation tests of the crates; no privileges needed.
    Host,
    /// Any bytes through pipeline and codecs, for a short while.
    Fuzz,
    /// The loaded programs: fixtures through the kernel, host against kernel, namespaces.
    Kernel,
    /// The loaded programs and whole topologies on other kernels, in virtual machines.
    Kernels,
}

impl Layer {
    const fn name(self) -> &'static str {
        match self {
            Self::Tidy => "tidy",
            Self::Host => "host",
            Self::Fuzz => "fuzz",
            Self::Kernel => "kernel",
            Self::Kernels => "kernels",
        }
    }

    const fn needs_root(self) -> bool {
        match self {
            Self::Tidy | Self::Host | Self::Fuzz | Self::Kernels => false,
            Self::Kernel => true,
        }
    }
}

/// One row of the table at the end.
struct Row {
    layer: Layer,
    result: &'static str,
    time: String,
}

/// Runs all layers, or only one.
///
/// # Errors
/// Names the first layer that failed.
pub(crate) fn run(workspace: &Workspace, only: Option<Layer>) -> Result<()> {
    let layers = only.map_or_else(|| Layer::value_variants().to_vec(), |layer| vec![layer]);
    if let Some(layer) = layers.iter().find(|layer| layer.needs_root() && !workspace::is_root()) {
        bail!(
            "layer {} loads XDP programs and makes network namespaces: run as root, \
             or choose another layer with --only",
            layer.name()
        );
    }
    if layers.contains(&Layer::Kernels) {
        setup::run_for_guests(workspace)?;
    }
    if layers.contains(&Layer::Fuzz) {
        setup::run_for_fuzzing(workspace)?;
    }
    let toolchain = build(workspace, Profile::Release)?;

    let total = Stopwatch::start();
    let mut rows = Vec::new();
    let mut failure = None;
    for layer in layers {
        if failure.is_some() {
            rows.push(Row { layer, result: "not run", time: "-".to_owned() });
            continue;
        }
        println!("\n== {} ==", layer.name());
        let watch = Stopwatch::start();
        let outcome = run_layer(workspace, &toolchain, layer);
        println!("== {}: {watch} ==", layer.name());
        let result = if outcome.is_ok() { "ok" } else { "FAILED" };
        rows.push(Row { layer, result, time: watch.to_string() });
        failure = outcome.err().map(|error| error.context(format!("layer {}", layer.name())));
    }
    println!("\n{:<8} {:<8} time", "layer", "result");
    for row in rows {
        println!("{:<8} {:<8} {}", row.layer.name(), row.result, row.time);
    }
    println!("total {total}");
    failure.map_or(Ok(()), Err)
}

fn run_layer(workspace: &Workspace, toolchain: &Ready, layer: Layer) -> Result<()> {
    match layer {
        Layer::Tidy => tidy::run(workspace, toolchain),
        Layer::Host => process::run("the host tests", &mut host_tests(workspace)),
        Layer::Fuzz => {
            process::run("the seeds of the fuzz targets", &mut seed_tests(workspace))?;
            fuzz::run(workspace, &fuzz::Options::SHORT)
        }
        Layer::Kernel => process::run("the kernel tests", &mut kernel_tests(workspace)),
        Layer::Kernels => process::run("the tests on other kernels", &mut guest_tests(workspace)),
    }
}

fn host_tests(workspace: &Workspace) -> Command {
    let mut command = host::cargo(workspace);
    command.args(["test", "--all-features"]);
    command.args(["-p", "lb-common", "-p", "lb-ctl", "-p", "lb-agent", "-p", "xtask"]);
    command
}

/// The seeds without libFuzzer, and whether the claims can fail.
fn seed_tests(workspace: &Workspace) -> Command {
    let mut command = host::cargo(workspace);
    command.args(["test", "--release", "-p", "lb-tests", "--lib", "--test", "fuzz"]);
    command.args(["--", "fuzz::", "every_seed"]);
    command
}

fn kernel_tests(workspace: &Workspace) -> Command {
    let mut command = host::cargo(workspace);
    command.args(["test", "--release", "-p", "lb-tests"]);
    command.env("LB_BIN_DIR", workspace.binaries());
    command
}

/// A test target that cargo leaves out unless it is named; its tables are for people to read.
fn guest_tests(workspace: &Workspace) -> Command {
    let mut command = host::cargo(workspace);
    command.args(["test", "--release", "-p", "lb-tests", "--test", "kernels", "--", "--nocapture"]);
    command.env("LB_BIN_DIR", workspace.binaries());
    command.env("LB_KERNELS_DIR", workspace.kernels());
    command
}
