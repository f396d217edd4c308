//! The style of the repository: rustfmt, clippy for both targets, and the rules no lint knows.
//!
//! Everything is run and everything is reported, as `file:line: what`, before it fails. The rules
//! are pure functions from text to findings; `files` is the only part that touches the disk.

mod files;
mod layers;
mod lexer;
mod links;
mod rules;

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::clock::Stopwatch;
use crate::setup::Ready;
use crate::workspace::Workspace;
use crate::{ebpf, host, process};
use files::Tree;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finding {
    path: String,
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Runs all checks.
///
/// # Errors
/// Names every part that has findings.
pub(crate) fn run(workspace: &Workspace, ready: &Ready) -> Result<()> {
    let mut failed = Vec::new();
    let mut part = |name: &str, outcome: Result<()>| {
        if let Err(error) = outcome {
            eprintln!("tidy: {name}: {error:#}");
            failed.push(name.to_owned());
        }
    };
    let watch = Stopwatch::start();
    part("rules", rules(workspace));
    part("format", process::run("rustfmt", &mut format(workspace)));
    part("lints", process::run("clippy of the host side", &mut host_clippy(workspace)));
    part("lints of lb-ebpf", ebpf::clippy(workspace, ready));
    if !failed.is_empty() {
        bail!("not tidy: {}", failed.join(", "));
    }
    println!("tidy: clean ({watch})");
    Ok(())
}

fn format(workspace: &Workspace) -> Command {
    let mut command = host::cargo(workspace);
    command.args(["fmt", "--all", "--check"]);
    command
}

fn host_clippy(workspace: &Workspace) -> Command {
    let mut command = host::cargo(workspace);
    command.args(["clippy", "--workspace", "--exclude", "lb-ebpf"]);
    command.args(["--all-targets", "--all-features", "--keep-going", "--", "-D", "warnings"]);
    command
}

fn rules(workspace: &Workspace) -> Result<()> {
    let tree = Tree::read(workspace.root())?;
    let findings = findings(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} findings in {} files", findings.len(), tree.files.len());
    }
    Ok(())
}

/// All rules over all files, in the order of files and lines.
fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings = files::top_level(&tree.top_level);
    for file in &tree.files {
        if Path::new(&file.path).extension().is_some_and(|extension| extension == "rs") {
            findings.extend(rules::check(&file.path, &file.text));
        } else if file.path.ends_with("Cargo.toml") {
            findings.extend(layers::check(&file.path, &file.text));
        } else if links::applies_to(&file.path) {
            findings.extend(links::check(&file.path, &file.text, |path| tree.contains(path)));
        }
    }
    findings.sort();
    findings
}

#[cfg(test)]
mod tests;
