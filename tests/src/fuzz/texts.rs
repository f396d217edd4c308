//! Targets of the readers of text: `config`, `api` and `prefix`.

use std::net::IpAddr;
use std::str;

use lb_common::api;
use lb_common::config::{self, Prefix, ServerId};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Name of the file in messages.
const ORIGIN: &str = "edge.yaml";

/// An input: a configuration file.
///
/// # Panics
/// It is refused without a reason, or at a place that it does not have.
pub fn config(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Err(error) = config::parse(ORIGIN, text) else { return };
    assert!(!error.problems.is_empty(), "refused for nothing");
    // What is missing at the end is missing in the line behind the last.
    let lines = lines(text) + 1;
    let mut last = (None, None);
    for problem in &error.problems {
        assert!(!problem.message.is_empty(), "{problem:?}");
        assert_eq!(problem.line.is_some(), problem.column.is_some(), "{problem:?}");
        let in_the_text = |line| (1..=lines).contains(&line);
        assert!(problem.line.is_none_or(in_the_text), "{problem:?} of {lines} lines");
        assert!(problem.column.is_none_or(|column| column >= 1), "{problem:?}");
        let here = (problem.line, problem.column);
        assert!(last <= here, "problems come in the order of the text");
        last = here;
    }
    let shown = error.to_string();
    assert!(shown.starts_with(ORIGIN), "{shown}");
    let document = api::Problem::from(error);
    reads_back(&document);
}

/// Lines of a text, as YAML 1.1 ends them (§5.4), the empty one behind the last end among them.
fn lines(text: &str) -> usize {
    let ends = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
    1 + text.matches(ends).count()
}

/// An input: the body of a request to the control API, or of an answer.
///
/// # Panics
/// What was read is another thing once it has been written.
pub fn api(input: &[u8]) {
    reads_what_it_writes::<api::WeightRequest>(input);
    reads_what_it_writes::<api::ConfigRequest>(input);
    reads_what_it_writes::<api::TraceRequest>(input);
    reads_what_it_writes::<api::Item<api::Status>>(input);
    reads_what_it_writes::<api::Item<api::ConfigText>>(input);
    reads_what_it_writes::<api::Item<api::ConfigDiff>>(input);
    reads_what_it_writes::<api::Item<api::Trace>>(input);
    reads_what_it_writes::<api::List<api::Service>>(input);
    reads_what_it_writes::<api::List<api::Finding>>(input);
    reads_what_it_writes::<api::Problem>(input);
    // Has a number with a point, of which the reader may miss the last bit.
    let _ = serde_json::from_slice::<api::List<api::Backend>>(input);
}

/// An input: an address prefix, or the id of a QUIC server, as a configuration has it.
///
/// # Panics
/// What was read is another thing once it has been written.
pub fn prefix(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    if let Some(id) = ServerId::parse(text) {
        assert_eq!(id.to_string(), text.to_ascii_lowercase());
    }
    let Ok(prefix) = text.parse::<Prefix>() else { return };
    assert_eq!(prefix.to_string().parse(), Ok(prefix), "{prefix}");
    let (first, last) = (prefix.address(), prefix.last());
    assert!(prefix.contains(first) && prefix.contains(last), "{prefix}");
    assert_eq!(prefix.is_host(), first == last, "{prefix}");
    let shared = (bits(first) ^ bits(last)).leading_zeros();
    assert_eq!(shared.min(length(first)), u32::from(prefix.bits()), "{prefix} ends at {last}");
    let free = u128::from_be_bytes(prefix.free_bytes());
    assert_eq!(free, bits(first) ^ bits(last), "{prefix}");
}

/// The bits of an address from the left.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

const fn length(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Reads a document, if it is one of type `T`, and compares it with what it is written as.
fn reads_what_it_writes<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    input: &[u8],
) {
    if let Ok(document) = serde_json::from_slice::<T>(input) {
        reads_back(&document);
    }
}

pub(super) fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    document: &T,
) {
    let text = serde_json::to_string(document).expect("JSON");
    let again: T = serde_json::from_str(&text).expect("what we write, we read");
    assert_eq!(&again, document, "{text}");
}
