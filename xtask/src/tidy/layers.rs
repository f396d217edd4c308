//! Which crate of the workspace may depend on which: arrows point one way.

use super::Finding;
use super::lexer::is_name;

/// A crate's directory, and the crates of ours it may use.
const LAYERS: [(&str, &[&str]); 7] = [
    ("lb-common", &[]),
    ("lb-ebpf", &["lb-common"]),
    ("lb-agent", &["lb-common"]),
    ("lb-ctl", &["lb-common"]),
    ("tests", &["lb-common", "lb-agent"]),
    ("tests/fuzz", &["lb-tests"]),
    ("xtask", &[]),
];
const OURS: [&str; 6] = ["lb-common", "lb-ebpf", "lb-agent", "lb-ctl", "lb-tests", "xtask"];

/// Dependencies that point the wrong way, and crates that leave the lints of the workspace out.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let crate_directory = path.strip_suffix("/Cargo.toml").unwrap_or_default();
    let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == crate_directory) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut section = "";
    let mut has_lints = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        }
        has_lints |= section == "lints" && line.replace(' ', "") == "workspace=true";
        if !section.contains("dependencies") {
            continue;
        }
        for name in OURS.iter().filter(|name| !allowed.contains(name) && names(line, name)) {
            let what = format!("{crate_directory} may not depend on {name}");
            findings.push(Finding::new(path, index + 1, what));
        }
    }
    if !has_lints {
        findings.push(Finding::new(path, 1, "does not take over the lints of the workspace"));
    }
    findings
}

/// True if the line has the crate's name, not as a part of a longer one.
fn names(line: &str, name: &str) -> bool {
    let is_part = |character: char| is_name(character) || character == '-';
    line.split(|character| !is_part(character)).any(|word| word == name)
}

#[cfg(test)]
mod tests;
