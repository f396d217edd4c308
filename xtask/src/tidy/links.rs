//! Links between the documents: what a link names must be there.

use std::path::Path;

use super::Finding;

/// The documents that are checked.
pub(super) fn applies_to(path: &str) -> bool {
    let is_markdown = Path::new(path).extension().is_some_and(|extension| extension == "md");
    path == "README.md" || (path.starts_with("docs/") && is_markdown)
}

/// Links to files that do not exist. Links to other sites and within a page are not followed.
pub(super) fn check(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            if !resolve(path, file).is_some_and(|file| file.is_empty() || exists(&file)) {
                let what = format!("link to `{target}`, which does not exist");
                findings.push(Finding::new(path, index + 1, what));
            }
        }
    }
    findings
}

/// The targets of `[text](target "title")` and `[label]: target` on a line, outside inline code.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let mut found: Vec<&str> =
        prose.split("](").skip(1).filter_map(|after| after.split(')').next()).collect();
    if prose.starts_with('[')
        && let Some((_, target)) = prose.split_once("]: ")
    {
        found.push(target);
    }
    found
        .into_iter()
        .filter_map(|target| target.split_whitespace().next())
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect()
}

/// The path from the root that a link in `page` means; `None` if it leads out of the repository.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
