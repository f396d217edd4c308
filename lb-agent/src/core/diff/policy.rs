//! What differs in how a pool's backends are checked, left and taken back.

use std::collections::BTreeMap;

use lb_common::config::{Adapt, Failover, HealthCheck, HealthKind};
use serde_json::Value;

use super::{Details, shown};

/// A longer value is not shown: a file of certificates, for instance.
const SHOWN_MAX_BYTES: usize = 80;

pub(super) fn health(
    details: &mut Details,
    before: Option<&HealthCheck>,
    after: Option<&HealthCheck>,
) {
    let (Some(before), Some(after)) = (before, after) else {
        let kind = |check: Option<&HealthCheck>| {
            let asked = check.map(|check| asked(&check.kind));
            asked.and_then(|asked| asked.get("type").cloned()).unwrap_or_else(none)
        };
        details.note_as("health", &kind(before), &kind(after), String::clone);
        return;
    };
    let (was, is) = (asked(&before.kind), asked(&after.kind));
    let fields = was.keys().chain(is.keys().filter(|field| !was.contains_key(*field)));
    for field in fields {
        let [was, is] = [&was, &is].map(|fields| fields.get(field).cloned().unwrap_or_else(none));
        details.note_as(&format!("health.{field}"), &was, &is, String::clone);
    }
    let port = |port: &Option<u16>| shown(port.as_ref());
    details.note_as("health.port", &before.port, &after.port, port);
    details.note("health.interval", &before.interval, &after.interval);
    details.note("health.timeout", &before.timeout, &after.timeout);
    details.note("health.rise", &before.rise, &after.rise);
    details.note("health.fall", &before.fall, &after.fall);
    let (was, is) = (before.panic_threshold, after.panic_threshold);
    details.note("health.panic_threshold", &was, &is);
    details.note_as("health.via", &before.via, &after.via, |via| format!("{via:?}").to_lowercase());
}

pub(super) fn failover(details: &mut Details, before: &Failover, after: &Failover) {
    details.note("failover.max_ejected", &before.max_ejected, &after.max_ejected);
    details.note("failover.hold_down", &before.hold_down, &after.hold_down);
    details.note("failover.hold_down_max", &before.hold_down_max, &after.hold_down_max);
    details.note("failover.failback_delay", &before.failback_delay, &after.failback_delay);
    details.note("failover.slow_start", &before.slow_start, &after.slow_start);
    let (was, is) = (before.at_start, after.at_start);
    details.note_as("failover.at_start", &was, &is, |it| format!("{it:?}").to_lowercase());
}

pub(super) fn adapt(details: &mut Details, before: Option<&Adapt>, after: Option<&Adapt>) {
    let (Some(before), Some(after)) = (before, after) else {
        let there = |adapt: Option<&Adapt>| adapt.map_or_else(none, |_| "on".to_owned());
        details.note_as("adapt", &there(before), &there(after), String::clone);
        return;
    };
    let port = |port: &Option<u16>| shown(port.as_ref());
    details.note_as("adapt.report_port", &before.report_port, &after.report_port, port);
    details.note("adapt.response_time", &before.response_time, &after.response_time);
    details.note("adapt.floor", &before.floor, &after.floor);
    details.note("adapt.step", &before.step, &after.step);
    details.note("adapt.every", &before.every, &after.every);
}

fn none() -> String {
    "none".to_owned()
}

/// What a check asks: its fields as they are written, those of `tls.trust` too.
fn asked(kind: &HealthKind) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    flatten(&mut fields, String::new(), &serde_json::to_value(kind).unwrap_or_default());
    if let HealthKind::Http(http) = kind {
        fields.insert("expect_status".to_owned(), http.expect_status.to_string());
    }
    fields
}

fn flatten(fields: &mut BTreeMap<String, String>, name: String, value: &Value) {
    if let Value::Object(inner) = value {
        for (field, value) in inner {
            let dot = if name.is_empty() { "" } else { "." };
            flatten(fields, format!("{name}{dot}{field}"), value);
        }
        return;
    }
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_short = text.len() <= SHOWN_MAX_BYTES;
    let text = if is_short { text } else { format!("of {} bytes", text.len()) };
    if !value.is_null() {
        fields.insert(name, text);
    }
}
