//! A child's failure must reach the caller by name.

use std::env;
use std::fs;
use std::process::{self, Command};

use super::{last_lines, output, run, run_logged};

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_failing_child_is_an_error_with_its_name_and_status() {
    let error = run("the step", &mut shell("exit 3")).unwrap_err().to_string();
    assert!(error.contains("the step failed") && error.contains('3'), "{error}");
    assert!(run("the step", &mut shell("exit 0")).is_ok());
}

#[test]
fn a_missing_program_is_named() {
    let error = run("the step", &mut Command::new("/nonexistent/program")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/program"), "{error}");
}

#[test]
fn a_logged_child_leaves_both_its_streams_in_the_log() {
    let log = env::temp_dir().join(format!("xtask-log-{}", process::id()));
    run_logged("the step", &log, &mut shell("echo first; echo second >&2")).unwrap();
    assert_eq!(last_lines(&log, 9), ["first", "second"]);
    assert_eq!(last_lines(&log, 1), ["second"]);
    assert!(run_logged("the step", &log, &mut shell("echo gone; exit 1")).is_err());
    fs::remove_file(log).unwrap();
}

#[test]
fn output_of_a_failed_child_is_not_taken_for_an_answer() {
    assert_eq!(output(&mut shell("echo yes")).as_deref(), Some("yes\n"));
    assert_eq!(output(&mut shell("echo yes; exit 1")), None);
}
