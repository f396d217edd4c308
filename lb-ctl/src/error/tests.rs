//! Claims about failures: their exit codes and their words.

use std::io;
use std::path::Path;
use std::time::Duration;

use lb_common::api::Problem;
use lb_common::config;

use super::CtlError;
use crate::client::ClientError;
use crate::exit::Exit;
use crate::render::{Palette, problem_text};

fn connect(kind: io::ErrorKind) -> CtlError {
    ClientError::connect(Path::new("/run/a.sock"), kind.into()).into()
}

fn refused(kind: &str, status: u16) -> CtlError {
    let problem = Problem {
        kind: kind.to_owned(),
        title: "no".to_owned(),
        status,
        detail: None,
        did_you_mean: Vec::new(),
        errors: Vec::new(),
    };
    ClientError::Refused(Box::new(problem)).into()
}

fn text(error: &CtlError) -> String {
    problem_text(&error.problem(), Palette::PLAIN)
}

#[test]
fn each_way_to_be_out_of_reach_has_its_code_and_cure() {
    let rows = [
        (
            connect(io::ErrorKind::NotFound),
            Exit::Unreachable,
            "error: cannot reach the agent at /run/a.sock\n  cause: the socket does not exist\n  \
             cure: start lb-agent, or name its socket with -s or LB_CTL_SOCKET",
        ),
        (
            connect(io::ErrorKind::ConnectionRefused),
            Exit::Unreachable,
            "error: cannot reach the agent at /run/a.sock\n  \
             cause: nothing listens on the socket\n  \
             cure: the agent has stopped, forwarding goes on: start lb-agent and look at its log",
        ),
        (
            connect(io::ErrorKind::PermissionDenied),
            Exit::Permission,
            "error: may not use the agent's socket /run/a.sock\n  \
             cause: its owner, group and mode keep this user out\n  \
             cure: run as root or as a member of the socket's group",
        ),
        (
            ClientError::TimedOut { timeout: Duration::from_secs(2), change: true }.into(),
            Exit::TimedOut,
            "error: no answer from the agent within 2s\n  \
             cure: the change may or may not have been made: look before you repeat it",
        ),
        (
            ClientError::TimedOut { timeout: Duration::from_millis(1500), change: false }.into(),
            Exit::TimedOut,
            "error: no answer from the agent within 1s 500ms\n  \
             cure: the agent is busy or hangs: look at its log, or give more --timeout",
        ),
    ];
    for (error, exit, expected) in rows {
        assert_eq!(error.exit(), exit, "{error}");
        assert_eq!(text(&error), expected);
    }
}

#[test]
fn the_kind_of_a_refusal_decides_before_its_status() {
    let rows = [
        ("not_found", 404, Exit::NotFound),
        ("invalid_request", 422, Exit::Usage),
        ("invalid_request", 400, Exit::Usage),
        ("invalid_config", 422, Exit::InvalidConfig),
        ("conflict", 409, Exit::Conflict),
        ("internal", 500, Exit::Failed),
        ("forbidden", 403, Exit::Permission),
        ("new_kind", 404, Exit::NotFound),
        ("new_kind", 409, Exit::Conflict),
        ("new_kind", 422, Exit::InvalidConfig),
        ("new_kind", 504, Exit::TimedOut),
        ("new_kind", 503, Exit::Failed),
    ];
    for (kind, status, exit) in rows {
        assert_eq!(refused(kind, status).exit(), exit, "{kind} {status}");
    }
}

#[test]
fn a_refusal_is_passed_on_unchanged() {
    let CtlError::Client(ClientError::Refused(problem)) = refused("conflict", 409) else {
        panic!("a refusal")
    };
    assert_eq!(refused("conflict", 409).problem(), *problem);
}

#[test]
fn a_usage_error_keeps_its_title_to_one_line() {
    let error =
        CtlError::usage("error: bad\n\n  tip: good\n\nFor more information, try '--help'.\n");
    let problem = error.problem();
    assert_eq!((problem.title.as_str(), problem.status), ("bad", 400));
    assert_eq!(problem.detail.as_deref(), Some("tip: good\nFor more information, try '--help'."));
    assert_eq!(error.exit(), Exit::Usage);
}

#[test]
fn an_invalid_configuration_names_every_place() {
    let Err(error) = config::parse("edge.yaml", "pools: [") else { panic!("not YAML") };
    let count = error.problems.len();
    let error = CtlError::InvalidConfig(error);
    let problem = error.problem();
    assert_eq!(error.exit(), Exit::InvalidConfig);
    assert_eq!((problem.kind.as_str(), problem.status), ("invalid_config", 422));
    assert_eq!(problem.title, "edge.yaml is not valid");
    assert_eq!(problem.errors.len(), count);
    assert!(count > 0 && text(&error).contains("\n  edge.yaml:"), "{}", text(&error));
}

#[test]
fn removals_are_counted_in_words() {
    assert_eq!(
        text(&CtlError::NeedsYes { removals: 1 }),
        "error: the plan removes 1 object, and nobody can be asked\n  \
         cure: read the plan (--dry-run), then add --yes"
    );
    assert!(text(&CtlError::NeedsYes { removals: 2 }).contains("2 objects,"));
}
