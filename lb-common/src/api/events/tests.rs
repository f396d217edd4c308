//! Events as JSON, and the page of docs that lists them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::string::{String, ToString};
use std::{env, format, fs};

use super::*;

fn page() -> String {
    let mut page = String::from(
        "# Events\n\nThis page is generated from `lb-common/src/api/events.rs`: \
         `UPDATE_GOLDEN=1 cargo test -p lb-common --all-features` writes it.\n\n\
         Each is a line in the agent's log, of the level given here, and an event of \
         `lb-ctl events`. How to read them: [operations](operations.md#events).\n\n\
         | kind | level | meaning |\n|---|---|---|\n",
    );
    for kind in EventKind::ALL {
        let level = match kind.severity() {
            Severity::Ok => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        writeln!(page, "| `{}` | {level} | {} |", kind.name(), kind.help()).unwrap();
    }
    page
}

#[test]
fn the_events_page_lists_every_kind() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "docs/events.md is out of date: set UPDATE_GOLDEN=1");
}

#[test]
fn kinds_have_one_name_each_in_json_too() {
    let names: BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), EventKind::ALL.len());
    for kind in EventKind::ALL {
        let json = serde_json::to_string(kind).unwrap();
        assert_eq!(json, format!("\"{}\"", kind.name()));
        assert_eq!(serde_json::from_str::<EventKind>(&json).unwrap(), *kind);
    }
}

#[test]
fn an_event_is_one_line() {
    let event = Event {
        sequence: 1_795_257_373_001,
        at: "2026-11-21T10:00:00.125Z".to_string(),
        generation: 7,
        kind: EventKind::BackendDown,
        object: "backend web/web-1".to_string(),
        from: Some("up".to_string()),
        to: Some("down".to_string()),
        reason: "two\nlines".to_string(),
    };
    let line = serde_json::to_string(&event).unwrap();
    let expected = r#"{"sequence":1795257373001,"at":"2026-11-21T10:00:00.125Z","generation":7,"kind":"backend_down","object":"backend web/web-1","from":"up","to":"down","reason":"two\nlines"}"#;
    assert_eq!(line, expected);
    assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
}
