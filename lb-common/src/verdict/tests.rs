//! The reasons, and the page of docs that is made from them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::string::String;
use std::{env, fs};

use super::*;
use crate::metrics::{Metric, MetricKind};

fn page() -> String {
    let mut page = String::from(
        "# Counters and metrics\n\nThis page is generated from `lb-common/src/verdict.rs` and `metrics.rs`: \
         `UPDATE_GOLDEN=1 cargo test -p lb-common --all-features` writes it.\n\n\
         Each packet ends for exactly one reason, and each reason has one counter of packets and \
         bytes (of the frame as received). `lb-ctl status -o wide` shows them all.\n\n\
         ## Balancer\n\n| reason | verdict | meaning |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let verdict = reason.verdict().name();
        writeln!(page, "| `{}` | {verdict} | {} |", reason.name(), reason.help()).unwrap();
    }
    page.push_str(
        "\n## Pins\n\nFlows are pinned only while their slot is in transition. What can go wrong \
         with a pin is counted here; the packet itself ends for one of the reasons above.\n\n\
         | event | meaning |\n|---|---|\n",
    );
    for event in PinEvent::ALL {
        writeln!(page, "| `{}` | {} |", event.name(), event.help()).unwrap();
    }
    page.push_str(
        "\n## Origin\n\n`lb-agent origin status` shows these.\n\n\
         | reason | verdict | meaning |\n|---|---|---|\n",
    );
    for reason in OriginReason::ALL {
        let verdict = reason.verdict().name();
        writeln!(page, "| `{}` | {verdict} | {} |", reason.name(), reason.help()).unwrap();
    }
    page.push_str(
        "\n## Prometheus\n\n`GET /v1/metrics` on the control socket, and `GET /metrics` at the \
         address that `metrics.listen` of the configuration names, give these as OpenMetrics text \
         (the table is `lb-common/src/metrics.rs`). Labels are names of the configuration and the \
         reasons above, never a client.\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in Metric::ALL {
        let (kind, total) = match metric.kind() {
            MetricKind::Counter => ("counter", "_total"),
            MetricKind::Gauge => ("gauge", ""),
        };
        let labels = metric.labels().join(", ");
        let name = metric.name();
        writeln!(page, "| `{name}{total}` | {kind} | {labels} | {} |", metric.help()).unwrap();
    }
    page
}

#[test]
fn the_metrics_page_lists_every_reason_pin_event_and_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page(), "docs/metrics.md is out of date: set UPDATE_GOLDEN=1");
}

#[test]
fn counters_are_numbered_in_order_and_names_are_unique() {
    for (number, reason) in (0..).zip(Reason::ALL) {
        assert_eq!(reason.index(), number);
    }
    for (number, reason) in (0..).zip(OriginReason::ALL) {
        assert_eq!(reason.index(), number);
    }
    for (number, event) in (0..).zip(PinEvent::ALL) {
        assert_eq!(event.index(), number);
    }
    assert_eq!(PinEvent::ALL.len(), PinEvent::COUNT as usize);
    assert_ne!(PinEvent::Evicted.name(), PinEvent::Full.name());
    let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(names.len(), Reason::ALL.len());
}
