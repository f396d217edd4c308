//! lb-drill: failover drills, printed as a table; run it as `cargo xtask drill`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "talking to a person is its job")]

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use lb_tests::drill::catalogue::DRILLS;
use lb_tests::drill::{Drill, report};

/// What the command line says.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask drill",
    about = "Breaks things under load, and measures what clients see"
)]
struct Arguments {
    /// Run only drills with this in their name.
    #[arg(long, value_name = "SUBSTRING")]
    only: Option<String>,
    /// Write the results to this file as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every bound was kept.
fn run(arguments: &Arguments) -> Result<bool> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "drills load XDP programs and make network namespaces: run them as root"
    );
    let only = arguments.only.as_deref().unwrap_or_default();
    let drills: Vec<_> = DRILLS.iter().filter(|drill| drill.name.contains(only)).collect();
    ensure!(!drills.is_empty(), "no drill has {only:?} in its name");
    let run = |drill: &Drill| {
        eprintln!("{} ...", drill.name);
        drill.run()
    };
    let rows: Vec<_> = drills.into_iter().map(run).collect();
    print!("{}", report::table(&rows));
    if let Some(path) = &arguments.json {
        let text = format!("{:#}\n", report::json(&rows));
        std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(rows.iter().all(report::Row::kept))
}
