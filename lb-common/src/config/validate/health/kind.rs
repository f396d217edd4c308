//! What a health check asks: the fields of its type, and none of another's.

use core::ops::RangeInclusive;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use super::values;
use crate::config::desired::{HealthKind, HttpCheck, HttpMethod, StatusRange, Statuses};
use crate::config::error::Findings;
use crate::config::file::{HealthFile, HealthType, StatusFile, StatusesFile, default, limit};
use crate::config::position::Path;

/// Checks of these types send HTTP requests.
const HTTP: &[HealthType] = &[HealthType::Http];

/// What `file` asks. `path` is the check's.
pub(super) fn kind(
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<HealthKind> {
    refuse_fields_of_other_types(file, path, findings);
    match file.kind {
        HealthType::Tcp => Some(HealthKind::Tcp),
        HealthType::Http => http(file, path, findings).map(HealthKind::Http),
    }
}

/// Each field that belongs to some types only: its name, whether it is there, and whose it is.
const fn owned_fields(file: &HealthFile) -> [(&'static str, bool, &'static [HealthType]); 5] {
    [
        ("path", file.path.is_some(), HTTP),
        ("method", file.method.is_some(), HTTP),
        ("host", file.host.is_some(), HTTP),
        ("expect_status", file.expect_status.is_some(), HTTP),
        ("expect_body", file.expect_body.is_some(), HTTP),
    ]
}

fn refuse_fields_of_other_types(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) {
    for (field, is_there, owners) in owned_fields(file) {
        if is_there && !owners.contains(&file.kind) {
            let message = format!("a check of type {} has no {field}", file.kind.name());
            findings.add(&path.field(field), message);
        }
    }
}

/// The value of a field that checks of this type cannot do without.
fn needed<'a>(
    value: Option<&'a str>,
    (field, file): (&str, &HealthFile),
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<&'a str> {
    if value.is_none() {
        let message = format!("a check of type {} needs a {field}", file.kind.name());
        findings.add(&path.field(field), message);
    }
    value
}

fn http(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) -> Option<HttpCheck> {
    let asked = needed(file.path.as_deref(), ("path", file), path, findings)
        .and_then(|text| absolute_path(text, &path.field("path"), findings));
    let host = file.host.as_deref().map(|text| {
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let what = "of printable ASCII without blanks";
        limited(text, &limit::HOST_BYTES, (is_visible, what), &path.field("host"), findings)
    });
    let statuses = match &file.expect_status {
        None => Some(Statuses(Vec::from([default::EXPECT_STATUS]))),
        Some(statuses) => expect_status(statuses, &path.field("expect_status"), findings),
    };
    let method = file.method.unwrap_or(HttpMethod::Get);
    let body_path = path.field("expect_body");
    let body = file
        .expect_body
        .as_deref()
        .map(|text| limited(text, &limit::TEXT_BYTES, (|_: &str| true, ""), &body_path, findings));
    if body.is_some() && method == HttpMethod::Head {
        findings.add(&body_path, "an answer to HEAD has no body");
    }
    Some(HttpCheck {
        path: asked?,
        method,
        host: some_or_wrong(host)?,
        expect_status: statuses?,
        expect_body: some_or_wrong(body)?,
    })
}

/// A field that may be absent: absent, right, or wrong, and then there is nothing.
#[expect(clippy::option_option, reason = "absent is not wrong")]
fn some_or_wrong<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(checked) => checked.map(Some),
    }
}

fn absolute_path(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<String> {
    // Anything but printable ASCII could end the request line early.
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_string());
    }
    let message = format!("{text:?} is not a path: \"/\", then printable ASCII without blanks");
    findings.add(path, message);
    None
}

/// A text whose length is in `bytes` and whose letters are right.
fn limited(
    text: &str,
    bytes: &RangeInclusive<usize>,
    (is_right, of_what): (impl Fn(&str) -> bool, &str),
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<String> {
    if bytes.contains(&text.len()) && is_right(text) {
        return Some(text.to_string());
    }
    let message = format!("must be {} bytes {of_what}", values::span(bytes));
    findings.add(path, message.trim_end());
    None
}

fn expect_status(
    file: &StatusesFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Statuses> {
    if file.entries().is_empty() {
        findings.add(path, "is empty: no status would pass");
        return None;
    }
    let mut ranges = Vec::new();
    for (index, status) in file.entries().iter().enumerate() {
        let range = status_range(status);
        if range.is_none() {
            let span = values::span(&limit::STATUS);
            let message =
                format!("{status} is not a status in {span}, nor a range such as 200-299");
            match file {
                StatusesFile::One(_) => findings.add(path, message),
                StatusesFile::List(_) => findings.add(&path.item(index), message),
            }
        }
        ranges.push(range);
    }
    ranges.into_iter().collect::<Option<Vec<_>>>().map(Statuses)
}

fn status_range(file: &StatusFile) -> Option<StatusRange> {
    let text = file.to_string();
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let status = |text: &str| text.parse::<u16>().ok().filter(|it| limit::STATUS.contains(it));
    let range = StatusRange { first: status(first)?, last: status(last)? };
    (range.first <= range.last).then_some(range)
}
