//! Broken links are found, and only those.

use super::{applies_to, check};

fn found(path: &str, text: &str) -> Vec<String> {
    let files = ["README.md", "docs/testing.md", "docs/adr", "docs/adr/0001-state.md"];
    let findings = check(path, text, |path| files.contains(&path));
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_link_to_a_missing_file_is_found_at_its_line() {
    let findings = found("README.md", "Read\n[this](docs/gone.md) and [that](docs/testing.md).\n");
    assert_eq!(findings, ["README.md:2: link to `docs/gone.md`, which does not exist"]);
}

#[test]
fn links_are_relative_to_their_page() {
    let text = "[a](../testing.md#layers) [b](0001-state.md) [c](../adr/) [d](../../README.md)";
    assert!(found("docs/adr/0001-state.md", text).is_empty());
    assert_eq!(found("docs/adr/0001-state.md", "[a](testing.md)").len(), 1);
    assert_eq!(found("README.md", "[a](../README.md)").len(), 1);
}

#[test]
fn images_titles_and_reference_links_are_checked_too() {
    let text = "![picture](gone.png \"title\")\n[label]: docs/gone.md\n";
    assert_eq!(found("README.md", text).len(), 2);
}

#[test]
fn other_sites_anchors_and_code_are_left_alone() {
    let text = "[a](https://example.com/x.md) [b](#part) [c](mailto:a@example.com) `[d](gone.md)`\n\
                ```\n[e](gone.md)\n```\n";
    assert!(found("README.md", text).is_empty());
}

#[test]
fn only_the_documents_are_checked() {
    assert!(applies_to("README.md") && applies_to("docs/adr/0001-state.md"));
    assert!(!applies_to("tests/fixtures/README.md"));
}
