//! Rules about one Rust file.
//!
//! Where `unsafe` may stand, what pure code may not touch, how long a file may be and how it opens.
//! Each rule reports the line it means.

use super::Finding;
use super::lexer::{self, Split};

const LONGEST_FILE: usize = 400;

/// The adapters between safe code and the kernel; nothing else needs `unsafe`.
const UNSAFE_PLACES: [&str; 2] = ["lb-ebpf/", "lb-agent/src/io/"];

/// Code that takes bytes and `now`, and returns values.
const PURE_PLACES: [&str; 4] = [
    "lb-common/src/datapath/",
    "lb-common/src/datapath.rs",
    "lb-agent/src/core/",
    "lb-agent/src/core.rs",
];
/// What only the edge may use.
const IMPURE: [&str; 16] = [
    "tokio",
    "aya",
    "aya_obj",
    "aya_log",
    "std::fs",
    "fs::",
    "std::net::Tcp",
    "TcpStream",
    "TcpListener",
    "std::net::Udp",
    "UdpSocket",
    "SystemTime",
    "Instant::now",
    "thread::sleep",
    "crate::io",
    "crate::app",
];
/// A test of pure code has to get its first instant from somewhere.
const ALLOWED_IN_TESTS: &str = "Instant::now";

/// Everything that is wrong with a file.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let split = lexer::split(text);
    let mut findings = Vec::new();
    findings.extend(opening(path, text));
    findings.extend(length(path, text));
    findings.extend(module_file(path));
    findings.extend(unsafe_code(path, &split));
    findings.extend(unfinished(path, &split));
    findings.extend(impure(path, &split));
    findings
}

fn opening(path: &str, text: &str) -> Option<Finding> {
    let opens = text.starts_with("//!");
    (!opens).then(|| Finding::new(path, 1, "does not open with `//!`: say what it is and why"))
}

fn length(path: &str, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    (lines > LONGEST_FILE).then(|| {
        let what = format!("{lines} lines; at most {LONGEST_FILE} are allowed");
        Finding::new(path, LONGEST_FILE + 1, what)
    })
}

fn module_file(path: &str) -> Option<Finding> {
    let is_one = path.rsplit('/').next() == Some("mod.rs");
    is_one.then(|| Finding::new(path, 1, "is called mod.rs: use foo.rs beside foo/"))
}

fn unsafe_code(path: &str, split: &Split) -> Vec<Finding> {
    if UNSAFE_PLACES.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let places = UNSAFE_PLACES.join(" and ");
    lines_with(&split.code, "unsafe")
        .map(|line| Finding::new(path, line, format!("`unsafe` is allowed only in {places}")))
        .collect()
}

fn unfinished(path: &str, split: &Split) -> Vec<Finding> {
    let in_code = ["todo!", "unimplemented!", "#[ignore"];
    let in_comments = ["FIXME", "XXX"];
    let found = in_code
        .into_iter()
        .flat_map(|mark| lines_with(&split.code, mark).map(move |line| (line, mark)))
        .chain(
            in_comments
                .into_iter()
                .flat_map(|mark| lines_with(&split.comments, mark).map(move |line| (line, mark))),
        );
    found.map(|(line, mark)| Finding::new(path, line, format!("`{mark}` is left over"))).collect()
}

fn impure(path: &str, split: &Split) -> Vec<Finding> {
    if !PURE_PLACES.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    IMPURE
        .into_iter()
        .filter(|thing| !(is_test && *thing == ALLOWED_IN_TESTS))
        .flat_map(|thing| lines_with(&split.code, thing).map(move |line| (line, thing)))
        .map(|(line, thing)| Finding::new(path, line, format!("pure code uses `{thing}`")))
        .collect()
}

/// The numbers of the lines that have `word`, not as a part of a longer name.
fn lines_with<'t>(text: &'t str, word: &'t str) -> impl Iterator<Item = usize> + 't {
    text.lines()
        .enumerate()
        .filter(move |(_, line)| has_word(line, word))
        .map(|(index, _)| index + 1)
}

fn has_word(line: &str, word: &str) -> bool {
    let starts_as_name = word.starts_with(lexer::is_name);
    // "std::net::Tcp" stands for every name that begins so.
    let ends_as_name =
        word.ends_with(lexer::is_name) && !word.ends_with("Tcp") && !word.ends_with("Udp");
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        !(starts_as_name && before.is_some_and(lexer::is_name)
            || ends_as_name && after.is_some_and(lexer::is_name))
    })
}

#[cfg(test)]
mod tests;
