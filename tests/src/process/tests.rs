//! What tests rely on when they start processes.

use super::*;

const LIMIT: Duration = Duration::from_secs(5);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn run_gives_back_input_output_errors_and_code() {
    let finished = run_with_input(shell("cat; echo oops >&2; exit 7"), "hello", LIMIT).unwrap();
    assert_eq!((finished.code, &*finished.stdout), (Some(7), "hello"));
    assert_eq!(finished.stderr, "oops\n");
    assert!(finished.clone().with_code(7).is_ok());
    let message = finished.success().unwrap_err().to_string();
    assert!(message.contains("expected exit code 0, got code 7"), "{message}");
}

#[test]
fn a_command_that_does_not_end_is_killed_and_reported_with_what_it_said() {
    let started = now();
    let error = run(shell("echo begun; exec sleep 60"), Duration::from_millis(200)).unwrap_err();
    assert!(started.elapsed() < LIMIT);
    assert!(format!("{error:#}").contains("begun"), "{error:#}");
}

#[test]
fn a_dropped_process_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::spawn(shell("exec sleep 60"), "sleeper", dir.path()).unwrap();
    let entry = PathBuf::from(format!("/proc/{}", process.pid()));
    assert!(entry.exists());
    drop(process);
    assert!(!entry.exists());
}

#[test]
fn waiting_in_vain_names_what_was_waited_for() {
    let error = wait_until("rain", Duration::from_millis(20), || Ok(None::<()>)).unwrap_err();
    assert!(error.to_string().contains("rain"), "{error}");
}
