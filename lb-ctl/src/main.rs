//! `lb-ctl`: the command line of the load balancer.
//!
//! One run is one command: [`args`] turns words into a valid request, [`cmd`] carries it out over
//! the agent's socket ([`client`]), [`render`] makes text of the answer and [`console`] prints it.
//! Data goes to stdout, everything else to stderr, and the exit status ([`exit`]) says how it
//! ended. Nothing is kept between runs, and nothing is changed but through the agent.

#![forbid(unsafe_code)]

mod args;
mod client;
mod cmd;
mod console;
mod error;
mod exit;
mod render;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::args::Format;
use crate::console::{Console, say};
use crate::error::CtlError;
use crate::exit::Exit;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let exit = match args::parse(&words) {
        Ok(invocation) => {
            let console = Console::new(&invocation.options);
            match cmd::run(invocation.request, &invocation.options, &console) {
                Ok(exit) => exit,
                Err(error) => fail(&error, &invocation.options, &console),
            }
        }
        Err(error) => unparsed(&error, args::wants_json(&words)),
    };
    exit.into()
}

fn fail(error: &CtlError, options: &args::Options, console: &Console) -> Exit {
    let problem = error.problem();
    if options.format == Format::Json {
        say(&render::problem_json(&problem));
    } else {
        console.fail(&problem);
    }
    error.exit()
}

/// `--help`, `--version`, or a mistake in the command line.
fn unparsed(error: &clap::Error, json: bool) -> Exit {
    if error.use_stderr() && json {
        say(&render::problem_json(&CtlError::usage(&error.to_string()).problem()));
    } else if let Err(_unwritable) = error.print() {
        return Exit::Failed;
    }
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}
