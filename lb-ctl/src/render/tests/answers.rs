//! Configuration, traces, findings, versions and problems as they are printed; and numbers.

use lb_common::api::{
    Change, ChangeKind, ConfigDiff, ConfigText, Finding, Item, Move, Problem, ProblemItem,
    Severity, Trace, TraceStep,
};

use super::{item, list};
use crate::args::Format;
use crate::render::number::{bytes, count, exact, share};
use crate::render::{
    CheckedConfig, LocalItem, Palette, Versions, View, document, local, problem_text,
};

fn diff(kinds: &[(ChangeKind, &str, &str)]) -> Item<ConfigDiff> {
    let change = |(kind, object, detail): &(ChangeKind, &str, &str)| Change {
        kind: *kind,
        object: (*object).to_owned(),
        detail: (*detail).to_owned(),
    };
    item(ConfigDiff {
        changes: kinds.iter().map(change).collect(),
        moves: Vec::new(),
        applied: false,
    })
}

#[test]
fn a_diff_is_a_table_and_a_sum() {
    let diff = diff(&[
        (ChangeKind::Add, "backend web/web-3", ""),
        (ChangeKind::Modify, "backend web/web-1", "weight 100 -> 50"),
        (ChangeKind::Remove, "service old", ""),
    ]);
    let expected = "\
ACTION   OBJECT              DETAIL
add      backend web/web-3
modify   backend web/web-1   weight 100 -> 50
remove   service old

Plan against generation 7: 1 to add, 1 to modify, 1 to remove.
";
    assert_eq!(diff.text(false, Palette::PLAIN), expected);
    assert_eq!(diff.names(), ["backend/web/web-3", "backend/web/web-1", "service/old"]);
}

#[test]
fn a_diff_says_what_moves_and_what_becomes_of_flows() {
    let mut diff = diff(&[(ChangeKind::Remove, "backend web/web-3", "")]);
    let moved = |pool: &str, share, keeps_flows, flows_pinned| Move {
        pool: pool.to_owned(),
        service: None,
        share,
        keeps_flows,
        flows_pinned,
    };
    let service = Move { service: Some("www".to_owned()), ..moved("web", 1.0, false, 2) };
    diff.item.moves = vec![moved("api", 1.0, false, 0), moved("web", 0.335, true, 12), service];
    let text = diff.text(false, Palette::PLAIN);
    let expected = "0 to add, 0 to modify, 1 to remove.\n\
        100.0% of pool api moves; flows of before move too, and break.\n\
        33.5% of pool web moves; flows of before stay where they are (12 pinned now).\n\
        service www leaves pool web; flows of before move too, and break (2 pinned now).\n";
    assert!(text.ends_with(expected), "{text}");
}

#[test]
fn an_empty_diff_says_so() {
    let text = diff(&[]).text(false, Palette::PLAIN);
    assert_eq!(text, "No differences from generation 7.\n");
}

#[test]
fn the_running_configuration_is_its_text_alone() {
    let config = item(ConfigText { file: "a.yaml".to_owned(), text: "pools: []\n".to_owned() });
    assert_eq!(config.text(false, Palette::PLAIN), "pools: []\n");
    assert_eq!(config.text(true, Palette::PLAIN), "# a.yaml, generation 7\npools: []\n");
}

fn trace() -> Trace {
    let step =
        |step: &str, detail: &str| TraceStep { step: step.to_owned(), detail: detail.to_owned() };
    Trace {
        verdict: "tx".to_owned(),
        reason: "forwarded".to_owned(),
        help: "Sent.".to_owned(),
        service: Some("web".to_owned()),
        backend: Some("web/web-1".to_owned()),
        outer_destination: "10.3.0.2".parse().ok(),
        steps: vec![step("service", "web matches"), step("next_hop", "10.2.0.1")],
        model_agrees: true,
    }
}

#[test]
fn a_trace_is_its_verdict_then_its_steps() {
    let expected = "\
tx (forwarded): Sent.
service web, backend web/web-1, outer destination 10.3.0.2

STEP       DETAIL
service    web matches
next_hop   10.2.0.1
";
    assert_eq!(item(trace()).text(false, Palette::PLAIN), expected);
    assert_eq!(item(trace()).names(), ["backend/web/web-1"]);
}

#[test]
fn a_trace_the_model_disagrees_with_is_called_a_defect() {
    let wrong = Trace {
        verdict: "pass".to_owned(),
        reason: "no_service".to_owned(),
        service: None,
        backend: None,
        outer_destination: None,
        steps: Vec::new(),
        model_agrees: false,
        ..trace()
    };
    let expected = "\
pass (no_service): Sent.

Defect: the agent's model of the program disagrees with the kernel. Please report this output.
";
    assert_eq!(item(wrong.clone()).text(false, Palette::PLAIN), expected);
    assert_eq!(item(wrong).names(), ["reason/no_service"]);
}

#[test]
fn findings_come_with_their_cures_below() {
    let finding = |check: &str, severity, cure: &str| Finding {
        check: check.to_owned(),
        severity,
        message: format!("{check} was looked at"),
        cure: cure.to_owned(),
    };
    let findings = list(vec![
        finding("kernel", Severity::Ok, ""),
        finding("mtu", Severity::Warning, "raise it"),
        finding("pins", Severity::Error, "mount a bpffs"),
    ]);
    let expected = "\
CHECK    SEVERITY   FINDING
kernel   ok         kernel was looked at
mtu      warning    mtu was looked at
pins     error      pins was looked at

What to do:
  mtu: raise it
  pins: mount a bpffs

1 error, 1 warning.
";
    assert_eq!(findings.text(false, Palette::PLAIN), expected);
    assert_eq!(findings.names(), ["finding/kernel", "finding/mtu", "finding/pins"]);
}

#[test]
fn versions_and_checked_files_are_told() {
    let versions = |agent: Option<&str>| {
        let versions = Versions {
            client_version: "0.1.0",
            agent_version: agent.map(str::to_owned),
            layout_version: agent.map(|_| 3),
        };
        LocalItem::new("Version", versions)
    };
    let known = versions(Some("0.2.0"));
    let text = "lb-ctl:   0.1.0, API lb/v1\nagent:    0.2.0, map layout 3\n";
    assert_eq!(known.text(false, Palette::PLAIN), text);
    assert_eq!(known.names(), ["lb-ctl/0.1.0", "lb-agent/0.2.0"]);
    assert!(versions(None).text(false, Palette::PLAIN).ends_with("agent:    does not answer\n"));

    let file = "a.yaml".to_owned();
    let checked = CheckedConfig {
        file,
        valid: true,
        services: 1,
        pools: 2,
        backends: 0,
        map_memory_bytes: 3 << 20,
        map_memory_bytes_per_cpu: 1 << 10,
    };
    let checked = LocalItem::new("ConfigCheck", checked);
    let text = "a.yaml is valid: 1 service, 2 pools, 0 backends\n\
                memory of its maps: 3.0MiB, and 1.0KiB for each CPU\n";
    assert_eq!(checked.text(false, Palette::PLAIN), text);
}

#[test]
fn documents_made_here_have_the_common_shape() {
    let versions = Versions { client_version: "1", agent_version: None, layout_version: None };
    let versions = local(LocalItem::new("Version", versions)).unwrap();
    let json = document(&versions, Format::Json, Palette::PLAIN).unwrap();
    let expected = r#"{
  "apiVersion": "lb/v1",
  "kind": "Version",
  "item": {
    "client_version": "1",
    "agent_version": null,
    "layout_version": null
  }
}"#;
    assert_eq!(json, expected);
}

#[test]
fn a_problem_is_told_with_all_it_knows() {
    let place = |line, column, path: &str| ProblemItem {
        file: "edge.yaml".to_owned(),
        line,
        column,
        path: path.to_owned(),
        message: "is wrong".to_owned(),
    };
    let problem = Problem {
        kind: "invalid_config".to_owned(),
        title: "two mistakes".to_owned(),
        status: 422,
        detail: Some("one\ntwo".to_owned()),
        did_you_mean: vec!["web/web-1".to_owned(), "web/web-2".to_owned()],
        errors: vec![place(Some(12), Some(9), "pools[0].name"), place(None, None, "")],
    };
    let expected = "\
error: two mistakes
  one
  two
  edge.yaml:12:9: pools[0].name: is wrong
  edge.yaml: is wrong
  did you mean: web/web-1, web/web-2?";
    assert_eq!(problem_text(&problem, Palette::PLAIN), expected);
}

#[test]
fn numbers_keep_three_or_four_digits() {
    let counts = [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "10.0k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (1_234_567, "1.2M"),
        (u64::MAX, "18.4E"),
    ];
    for (value, expected) in counts {
        assert_eq!(count(value), expected, "{value}");
    }
    let sizes = [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0KiB"),
        (1_048_575, "1.0MiB"),
        (96 << 20, "96.0MiB"),
        (u64::MAX, "16.0EiB"),
    ];
    for (value, expected) in sizes {
        assert_eq!(bytes(value), expected, "{value}");
    }
    assert_eq!(share(1.0 / 3.0), "33.3%");
    let exact_counts = [(0, "0"), (999, "999"), (1000, "1,000"), (1_048_576, "1,048,576")];
    for (value, expected) in exact_counts {
        assert_eq!(exact(value), expected, "{value}");
    }
}
