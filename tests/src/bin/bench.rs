//! lb-bench: measures what the balancer costs; run it as `cargo xtask bench`.
//!
//! Progress goes to standard error, the table to standard output, JSON and a chart to files.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "talking to a person is its job")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use lb_tests::bench::report::{self, Row};
use lb_tests::bench::workloads::{Workload, catalogue, select};
use lb_tests::bench::{chart, latency, live, one_core, rest, rounds, table_build};

/// How much is measured of each kind.
struct Effort {
    /// Rounds over all candidates of the driver.
    rounds: usize,
    /// Tables that are built.
    tables: usize,
    /// Rounds of live frames.
    live_rounds: usize,
    /// Live frames for one candidate in one round.
    live_packets: u32,
    /// Commands of each kind.
    commands: usize,
    /// Seconds for which an agent at rest is watched.
    rest_seconds: usize,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 40,
        tables: 200,
        live_rounds: 15,
        live_packets: 2_000_000,
        commands: 200,
        rest_seconds: 30,
    };
    const QUICK: Self = Self {
        rounds: 7,
        tables: 50,
        live_rounds: 3,
        live_packets: 1_000_000,
        commands: 50,
        rest_seconds: 6,
    };
}

/// What the command line says.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", about = "Measures what the balancer costs")]
struct Arguments {
    /// Fewer rounds: done in less than a minute, less exact.
    #[arg(long)]
    quick: bool,
    /// Write the figures to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw nanoseconds against flows into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Measure only what has this in its name, and what that is compared with.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the benchmark loads XDP programs and makes network namespaces: run it as root"
    );
    let only = arguments.only.as_deref().unwrap_or_default();
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let mut rows = Vec::new();
    // What was measured is shown, whatever happened then.
    let outcome = measure(only, &effort, &mut rows);
    print!("{}", report::table(&rows));
    if let Some(path) = &arguments.json {
        write(path, &format!("{:#}\n", report::json(&rows)))?;
    }
    outcome?;
    ensure!(!rows.is_empty(), "nothing has {only:?} in its name");
    if let Some(path) = &arguments.svg {
        let chart = chart::svg(&rows).context("a chart needs all rows of IPv4 and the baseline")?;
        write(path, &chart)?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

fn measure(only: &str, effort: &Effort, rows: &mut Vec<Row>) -> Result<()> {
    let workloads = select(catalogue(), only);
    if !workloads.is_empty() {
        rows.extend(driver_rows(&workloads, effort.rounds)?);
    }
    if table_build::NAME.contains(only) {
        eprintln!("{} tables", effort.tables);
        rows.push(one_core::on_one(|| table_build::measure(effort.tables))?);
    }
    if chosen(live::NAME, &live::ROWS, only) {
        eprintln!("{} rounds of live frames", effort.live_rounds);
        let measure = || live::measure(effort.live_rounds, effort.live_packets);
        rows.extend(one_core::on_one(measure)?);
    }
    if chosen(latency::NAME, &latency::ROWS, only) {
        eprintln!("{} commands of each kind", effort.commands);
        rows.extend(latency::measure(effort.commands)?);
    }
    if rest::NAME.contains(only) {
        eprintln!("{} seconds of rest", effort.rest_seconds);
        rows.push(rest::measure(effort.rest_seconds)?);
    }
    Ok(())
}

/// Whether one of a family of rows has `only` in its name.
fn chosen(family: &str, rows: &[&str], only: &str) -> bool {
    rows.iter().any(|row| format!("{family}/{row}").contains(only))
}

fn driver_rows(workloads: &[Workload], wanted: usize) -> Result<Vec<Row>> {
    eprintln!("{} workloads, {wanted} rounds", workloads.len());
    let progress = |round| eprintln!("round {round} of {wanted}");
    let costs = one_core::on_one(|| rounds::measure(workloads, wanted, progress))?;
    let driver = costs.first().and_then(|cost| cost.driver.median()).unwrap_or_default();
    eprintln!("the driver itself, subtracted: {driver:.1} ns for a packet");
    Ok(report::rows(workloads, &costs))
}
