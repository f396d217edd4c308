//! The files that the rules look at, read once; and which names may stand at the top.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Finding;

/// What the top of the repository may hold, besides dot-files: the parts of the workspace, the
/// documents, and what cargo, rustfmt and clippy want to find there.
const TOP_LEVEL: [&str; 16] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "docs",
    "lb-agent",
    "lb-common",
    "lb-ctl",
    "lb-ebpf",
    "rustfmt.toml",
    "target",
    "tests",
    "xtask",
];

/// A text file by its path from the root, with `/` between the parts.
#[derive(Debug)]
pub(super) struct TextFile {
    pub(super) path: String,
    pub(super) text: String,
}

/// The repository as the rules see it.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Names at the top.
    pub(super) top_level: Vec<String>,
    /// Sources, manifests and Markdown.
    pub(super) files: Vec<TextFile>,
    /// Every file and directory, for links.
    paths: Vec<String>,
}

impl Tree {
    /// Reads the tree below `root`, without dot-files and build output.
    ///
    /// # Errors
    /// When a directory or text file cannot be read.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.visit(root, "")?;
        Ok(tree)
    }

    /// True if a file or directory has this path from the root.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known == path)
    }

    fn visit(&mut self, directory: &Path, prefix: &str) -> Result<()> {
        let unreadable = || format!("cannot read {}", directory.display());
        for entry in fs::read_dir(directory).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if prefix.is_empty() {
                self.top_level.push(name.clone());
            }
            let build_output = prefix.is_empty() && name == "target";
            if name.starts_with('.') || build_output {
                continue;
            }
            let path = format!("{prefix}{name}");
            let kind = entry.file_type().with_context(unreadable)?;
            if kind.is_dir() {
                self.visit(&entry.path(), &format!("{path}/"))?;
            } else if [".rs", ".md", "Cargo.toml"].iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(entry.path())
                    .with_context(|| format!("cannot read {path} as text"))?;
                self.files.push(TextFile { path: path.clone(), text });
            }
            self.paths.push(path);
        }
        Ok(())
    }
}

/// Names at the top that are none of the parts.
pub(super) fn top_level(names: &[String]) -> Vec<Finding> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| Finding::new(name, 1, "does not belong at the top of the repository"))
        .collect()
}
