//! The text has every metric of the table, and the numbers that went in.

use std::collections::BTreeSet;

use super::*;

fn counter(packets: u64) -> Counter {
    Counter { packets, bytes: packets * 64 }
}

fn snapshot() -> Snapshot {
    let checks =
        CheckSample { is_up: true, passed: 5, failed: 1, not_made: 2, took_s: Some(0.000_25) };
    let backend = |name: &str, checks| BackendSample {
        pool: "web".to_owned(),
        name: name.to_owned(),
        counter: counter(7),
        is_active: true,
        weight: 100,
        flows: 3,
        checks,
    };
    Snapshot {
        node: "edge-1".to_owned(),
        started_at_s: 1_795_257_373.5,
        loop_lag_s: 0.002,
        generation: 9,
        refused: 2,
        events_lost: 4,
        interfaces: vec![("eth0".to_owned(), "native", true), ("eth1".to_owned(), "none", false)],
        reasons: Reason::ALL.iter().map(|reason| (*reason, counter(1))).collect(),
        services: vec![("web".to_owned(), counter(11))],
        pools: vec![("web".to_owned(), 2, false)],
        backends: vec![backend("web-1", Some(checks)), backend("web \"2\"", None)],
        pins: PinSample {
            used: 6,
            capacity: 1024,
            events: PinEvent::ALL.into_iter().map(|event| (event, 8)).collect(),
            slots: 12,
        },
    }
}

/// The parts between the outermost braces: the names of the labels.
fn labels(line: &str) -> Vec<&str> {
    let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
    let (labels, _) = rest.rsplit_once('}').unwrap();
    labels.split("\",").map(|label| label.split_once('=').unwrap().0).collect()
}

#[test]
fn every_metric_of_the_table_is_told_with_its_kind_and_labels() {
    let text = snapshot().text().unwrap();
    for metric in Metric::ALL {
        let (name, kind) = match metric.kind() {
            MetricKind::Counter => (format!("{}_total", metric.name()), "counter"),
            MetricKind::Gauge => (metric.name().to_owned(), "gauge"),
        };
        assert!(text.contains(&format!("# HELP {} {}\n", metric.name(), metric.help())), "{name}");
        assert!(text.contains(&format!("# TYPE {} {kind}\n", metric.name())), "{name}");
        let is_sample = |line: &&str| {
            line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let samples: Vec<_> = text.lines().filter(is_sample).collect();
        assert!(!samples.is_empty(), "{name} has no sample:\n{text}");
        for sample in samples {
            assert_eq!(labels(sample), metric.labels(), "{sample}");
        }
    }
    let told: BTreeSet<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(told.len(), Metric::ALL.len(), "{text}");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn numbers_come_out_as_they_went_in() {
    let text = snapshot().text().unwrap();
    let samples = [
        "lb_agent_info{node=\"edge-1\",version=\"0.1.0\"} 1",
        "lb_agent_start_time_seconds 1795257373.5",
        "lb_config_refused_total 2",
        "lb_interface_attached{interface=\"eth1\",mode=\"none\"} 0",
        "lb_reason_bytes_total{reason=\"forwarded\",verdict=\"tx\"} 64",
        "lb_service_packets_total{service=\"web\"} 11",
        "lb_backend_up{pool=\"web\",backend=\"web-1\"} 1",
        "lb_backend_packets_total{pool=\"web\",backend=\"web \\\"2\\\"\"} 7",
        "lb_checks_total{pool=\"web\",backend=\"web-1\",result=\"failed\"} 1",
        "lb_check_duration_seconds{pool=\"web\",backend=\"web-1\"} 0.00025",
        "lb_pin_events_total{event=\"full\"} 8",
        "lb_slots_in_transition 12",
    ];
    for sample in samples {
        assert!(text.lines().any(|line| line == sample), "no {sample} in\n{text}");
    }
    assert_eq!(text.matches("lb_backend_up{").count(), 1, "one of them is not checked");
}

#[test]
fn names_are_as_prometheus_wants_them() {
    let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    assert_eq!(names.len(), Metric::ALL.len());
    for metric in Metric::ALL {
        let (name, help) = (metric.name(), metric.help());
        assert!(name.starts_with("lb_") && !name.ends_with("_total"), "{name}");
        assert!(name.chars().all(|char| char.is_ascii_lowercase() || char == '_'), "{name}");
        assert!(help.ends_with('.'), "{name}: {help}");
    }
}
