//! The first process of a machine that boots another kernel; see `lb_tests::guest`.
//!
//! Tests put it into an initramfs as /init. Elsewhere it does nothing and says so.

#![expect(clippy::print_stderr, reason = "a command line speaks to its user")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let Err(error) = lb_tests::guest::init::run();
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
