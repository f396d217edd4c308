//! Texts in health checks: paths, names, and others of limited length.

use core::ops::RangeInclusive;
use std::format;
use std::string::{String, ToString};

use super::values;
use crate::config::error::Findings;
use crate::config::file::limit;
use crate::config::position::Path;

/// A field that may be absent: absent, right, or wrong, and then there is nothing.
#[expect(clippy::option_option, reason = "absent is not wrong")]
pub(super) fn some_or_wrong<T>(field: Option<Option<T>>) -> Option<Option<T>> {
    match field {
        None => Some(None),
        Some(checked) => checked.map(Some),
    }
}

/// The path of an HTTP request.
pub(super) fn absolute_path(
    text: &str,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<String> {
    // Anything but printable ASCII could end the request line early.
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(text.to_string());
    }
    let message = format!("{text:?} is not a path: \"/\", then printable ASCII without blanks");
    findings.add(path, message);
    None
}

/// A text whose length is in `bytes` and whose letters are right.
pub(super) fn limited(
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

/// The name of a host: dots between labels of letters, digits, dashes and underscores.
pub(super) fn host_name(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<String> {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(inner)
    };
    if limit::HOST_NAME_BYTES.contains(&text.len()) && text.split('.').all(is_label) {
        return Some(text.to_string());
    }
    findings.add(path, format!("{text:?} is not the name of a host"));
    None
}

/// A name in the DNS, which may end in a dot, or be one.
pub(super) fn query_name(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<String> {
    if text == "." {
        return Some(text.to_string());
    }
    host_name(text.strip_suffix('.').unwrap_or(text), path, findings)
}

/// The absolute path of a file.
pub(super) fn file_path(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<String> {
    if text.starts_with('/') && !text.contains('\0') {
        return Some(text.to_string());
    }
    findings.add(path, format!("{text:?} is not an absolute path"));
    None
}
