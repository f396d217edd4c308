//! Claims about the command line: what it reads, and what it refuses with which words.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;
use lb_common::api::EventsQuery;

use super::{ApplyOptions, Cli, Color, Drain, Format, Request, Source, parse, wants_json};
use crate::exit::Exit;

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(OsString::from).collect()
}

fn request(line: &str) -> Request {
    parse(&words(line)).unwrap().request
}

/// First line of what is said about a bad command line.
fn refusal(line: &str) -> String {
    let error = parse(&words(line)).unwrap_err();
    assert!(error.use_stderr(), "{line} is refused");
    error.to_string().lines().next().unwrap().to_owned()
}

fn drain(deadline: Option<Duration>, force_at_deadline: bool, wait: bool) -> Request {
    let backend = "web/web-1".parse().unwrap();
    Request::BackendDrain(Drain { backend, deadline, force_at_deadline, wait })
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_becomes_its_request() {
    let web_1 = || "web/web-1".parse().unwrap();
    let weight = |value| lb_common::config::Weight::new(value);
    let rows = [
        ("lb-ctl status", Request::Status),
        ("lb-ctl version", Request::Version),
        ("lb-ctl service list", Request::ServiceList),
        ("lb-ctl service show web", Request::ServiceShow("web".parse().unwrap())),
        ("lb-ctl backend list", Request::BackendList(None)),
        ("lb-ctl backend list web", Request::BackendList("web".parse().ok())),
        ("lb-ctl backend show web/web-1", Request::BackendShow(web_1())),
        ("lb-ctl backend weight web/web-1 0", Request::BackendWeight(web_1(), weight(0))),
        ("lb-ctl backend weight web/web-1 1000", Request::BackendWeight(web_1(), weight(1000))),
        ("lb-ctl backend weight web/web-1 --reset", Request::BackendWeight(web_1(), None)),
        ("lb-ctl backend drain backend/web/web-1", drain(None, false, false)),
        ("lb-ctl backend drain web/web-1 --wait", drain(None, false, true)),
        (
            "lb-ctl backend drain web/web-1 --deadline 10m --force-at-deadline",
            drain(Some(Duration::from_mins(10)), true, false),
        ),
        ("lb-ctl backend undrain web/web-1", Request::BackendUndrain(web_1())),
        ("lb-ctl health list", Request::HealthList(None)),
        ("lb-ctl health show web", Request::HealthShow("web".parse().unwrap())),
        ("lb-ctl health check web/web-1 --once", Request::HealthCheck(web_1())),
        ("lb-ctl health check web/web-1", Request::HealthCheck(web_1())),
        ("lb-ctl config validate -", Request::ConfigValidate(Source::Stdin)),
        ("lb-ctl config show", Request::ConfigShow(None)),
        ("lb-ctl config show --generation 7", Request::ConfigShow(Some(7))),
        ("lb-ctl config history", Request::ConfigHistory),
        ("lb-ctl config diff a.yaml", Request::ConfigDiff(Source::File("a.yaml".into()))),
        ("lb-ctl state export", Request::StateExport),
        ("lb-ctl state import -", Request::StateImport(Source::Stdin, false)),
        ("lb-ctl events", Request::Events(EventsQuery::default())),
        (
            "lb-ctl events --follow --since 7",
            Request::Events(EventsQuery { since: Some(7), follow: true }),
        ),
        ("lb-ctl doctor", Request::Doctor),
        ("lb-ctl completion zsh", Request::Completion(clap_complete::Shell::Zsh)),
    ];
    for (line, expected) in rows {
        assert_eq!(request(line), expected, "{line}");
    }
}

#[test]
fn apply_takes_all_its_options() {
    let how = ApplyOptions { dry_run: true, yes: true, expect_generation: Some(7), max_moved: 50 };
    let line = "lb-ctl config apply a.yaml --dry-run --yes --expect-generation 7";
    assert_eq!(request(line), Request::ConfigApply(Source::File("a.yaml".into()), how));
}

#[test]
fn rollback_takes_the_options_of_apply() {
    let mut how =
        ApplyOptions { dry_run: false, yes: false, expect_generation: None, max_moved: 50 };
    let line = "lb-ctl config rollback";
    assert_eq!(request(line), Request::ConfigRollback(None, how.clone()));
    how.yes = true;
    how.max_moved = 100;
    let line = "lb-ctl config rollback 7 --yes --max-moved 100";
    assert_eq!(request(line), Request::ConfigRollback(Some(7), how));
    assert!(refusal("lb-ctl config rollback 7 --max-moved 101").contains("101"));
}

#[test]
fn trace_reads_both_families_and_defaults_to_tcp() {
    for (src, dst) in [("192.0.2.1:4", "203.0.113.10:80"), ("[2001:db8::1]:4", "[::2]:80")] {
        let Request::Trace(trace) = request(&format!("lb-ctl trace --src {src} --dst {dst}"))
        else {
            panic!("a trace")
        };
        assert_eq!(trace.source.to_string(), src);
        assert_eq!(trace.destination.to_string(), dst);
        assert_eq!(trace.protocol, "tcp");
    }
}

#[test]
fn globals_stand_before_or_after_the_command() {
    for line in [
        "lb-ctl -s /tmp/s -o json --color never --timeout 500ms -q status",
        "lb-ctl status -s /tmp/s -o json --color never --timeout 500ms -q",
    ] {
        let options = parse(&words(line)).unwrap().options;
        assert_eq!(options.socket, Path::new("/tmp/s"));
        assert_eq!(options.format, Format::Json);
        assert_eq!(options.color, Color::Never);
        assert_eq!(options.timeout, Duration::from_millis(500));
        assert!(options.quiet && !options.verbose);
    }
}

#[test]
fn mistakes_are_named() {
    let backend = "a backend is named POOL/NAME, as in `lb-ctl backend list -o name`";
    let spelling = "names have 1 to 63 letters, digits, '.', '_' or '-'";
    let endpoint = "write address and port: 198.51.100.7:40000 or [2001:db8::7]:40000";
    let rows = [
        (
            "lb-ctl backend weight web/web-1 1001",
            "error: invalid value '1001' for '[WEIGHT]': 1001 is not a whole number in 0..=1000"
                .to_owned(),
        ),
        (
            "lb-ctl backend weight web/web-1 -1",
            "error: invalid value '-1' for '[WEIGHT]': -1 is not a whole number in 0..=1000"
                .to_owned(),
        ),
        (
            "lb-ctl backend weight web/web-1 5 --reset",
            "error: the argument '[WEIGHT]' cannot be used with '--reset'".to_owned(),
        ),
        (
            "lb-ctl backend drain web-1",
            format!("error: invalid value 'web-1' for '<POOL/NAME>': {backend}"),
        ),
        (
            "lb-ctl backend drain a/b/c",
            format!("error: invalid value 'a/b/c' for '<POOL/NAME>': {backend}"),
        ),
        (
            "lb-ctl service show we%b",
            format!("error: invalid value 'we%b' for '<NAME>': {spelling}"),
        ),
        (
            "lb-ctl trace --src 2001:db8::1 --dst [::1]:80",
            format!("error: invalid value '2001:db8::1' for '--src <IP:PORT>': {endpoint}"),
        ),
        (
            "lb-ctl trace --src 192.0.2.1:4 --dst [::1]:80",
            "error: --src and --dst are of different address families".to_owned(),
        ),
        (
            "lb-ctl trace --src 192.0.2.1:4 --dst 192.0.2.2:80 --proto sctp",
            "error: invalid value 'sctp' for '--proto <PROTO>': it is tcp or udp".to_owned(),
        ),
        (
            "lb-ctl --timeout 0s status",
            "error: invalid value '0s' for '--timeout <TIME>': must be longer than zero".to_owned(),
        ),
        (
            "lb-ctl -q -v status",
            "error: the argument '--quiet' cannot be used with '--verbose'".to_owned(),
        ),
        ("lb-ctl statu", "error: unrecognized subcommand 'statu'".to_owned()),
    ];
    for (line, expected) in rows {
        assert_eq!(refusal(line), expected, "{line}");
    }
}

#[test]
fn a_weight_command_needs_a_weight_or_reset() {
    assert!(refusal("lb-ctl backend weight web/web-1").contains("required arguments"));
}

#[test]
fn names_of_64_bytes_are_too_long() {
    let name = "n".repeat(63);
    assert_eq!(
        request(&format!("lb-ctl service show {name}")),
        Request::ServiceShow(name.parse().unwrap())
    );
    assert!(refusal(&format!("lb-ctl service show {name}n")).contains("1 to 63"));
}

#[test]
fn json_is_recognised_before_parsing() {
    for line in ["x -o json", "x -ojson", "x -o=json", "x --output json", "x --output=json"] {
        assert!(wants_json(&words(line)), "{line}");
    }
    for line in ["x json", "x -o yaml", "x --output=yaml json"] {
        assert!(!wants_json(&words(line)), "{line}");
    }
}

fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
    let path = format!("{path}{}", command.get_name());
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    found.push((path.clone(), help));
    for inner in command.get_subcommands() {
        leaves(inner, &format!("{path} "), found);
    }
}

#[test]
fn every_command_has_an_example_of_itself() {
    let mut found = Vec::new();
    leaves(&Cli::command(), "", &mut found);
    assert!(found.len() > 15, "{found:?}");
    for (path, help) in found {
        assert!(help.contains("Example"), "{path}");
        assert!(help.contains(&path), "{path}");
    }
}

#[test]
fn help_lists_every_exit_code() {
    let help = crate::exit::help_text();
    for exit in Exit::ALL {
        assert!(help.contains(&format!("{:>2}  {}\n", exit.code(), exit.meaning())), "{exit:?}");
    }
    let codes: Vec<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
}
