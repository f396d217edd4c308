//! Set-up, build, demo, benchmark, fuzzing, tests and style checks of this repository, as `cargo xtask <command>`.
//!
//! Why a program and not scripts: the steps need a compiler choice, change detection and a source
//! scan, and those deserve tests. It depends on no other crate of the workspace, so it builds and
//! runs while those are broken. Each command starts by making sure of what it needs: `demo` on a
//! fresh machine installs, builds and runs.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "talking to a person is its job")]

mod bench;
mod clock;
mod demo;
mod drill;
mod ebpf;
mod fuzz;
mod host;
mod process;
mod setup;
mod test;
mod tidy;
mod toolchain;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::host::Profile;
use crate::workspace::Workspace;

/// What the command line says.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find out what is missing on this machine, and install it.
    Setup,
    /// Build the BPF programs, then the agent, lb-ctl and the test programs.
    Build {
        /// Build the host side optimised (the default).
        #[arg(long, conflicts_with = "debug")]
        release: bool,
        /// Build the host side with the dev profile; the BPF programs are always optimised.
        #[arg(long)]
        debug: bool,
    },
    /// Build, then run the balancer with real traffic between network namespaces.
    Demo,
    /// Build, then measure what the balancer costs, beside a floor and a baseline.
    Bench(bench::Options),
    /// Build, then break things under load, and measure what clients see.
    Drill(drill::Options),
    /// Build, then look for inputs for which a claim does not hold.
    Fuzz(fuzz::Options),
    /// Build, then run every test layer; stop at the first that fails.
    Test {
        /// Run this layer alone.
        #[arg(long, value_name = "LAYER")]
        only: Option<test::Layer>,
        /// The same as `--only kernels`.
        #[arg(long, conflicts_with = "only")]
        kernels: bool,
    },
    /// Check format, lints and the rules that no lint knows; report all findings at once.
    Tidy,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    match &arguments.command {
        Command::Setup => {
            setup::run(&workspace)?;
            setup::run_for_fuzzing(&workspace)?;
            setup::run_for_guests(&workspace)?;
        }
        Command::Build { debug, .. } => {
            let profile = if *debug { Profile::Dev } else { Profile::Release };
            build(&workspace, profile)?;
        }
        Command::Demo => {
            build(&workspace, Profile::Release)?;
            return demo::run(&workspace);
        }
        Command::Test { only, kernels } => {
            let only = if *kernels { Some(test::Layer::Kernels) } else { *only };
            test::run(&workspace, only)?;
        }
        Command::Fuzz(options) => {
            setup::run_for_fuzzing(&workspace)?;
            if options.needs_the_agent() {
                build(&workspace, Profile::Release)?;
            } else {
                setup::run(&workspace)?;
                fuzz::build_seeds(&workspace)?;
            }
            fuzz::run(&workspace, options)?;
        }
        Command::Drill(options) => {
            build(&workspace, Profile::Release)?;
            return drill::run(&workspace, options);
        }
        Command::Bench(options) => {
            bench::check()?;
            build(&workspace, Profile::Release)?;
            return bench::run(&workspace, options);
        }
        Command::Tidy => {
            let toolchain = setup::run(&workspace)?;
            ebpf::build(&workspace, &toolchain)?;
            tidy::run(&workspace, &toolchain)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Brings the machine up to date and builds both sides.
fn build(workspace: &Workspace, profile: Profile) -> Result<setup::Ready> {
    let toolchain = setup::run(workspace)?;
    ebpf::build(workspace, &toolchain)?;
    host::build(workspace, profile)?;
    Ok(toolchain)
}
