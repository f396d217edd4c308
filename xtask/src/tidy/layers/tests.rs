//! The direction of dependencies.

use super::check;

fn found(path: &str, dependencies: &str) -> Vec<String> {
    let text = format!("[package]\nname = \"x\"\n{dependencies}\n[lints]\nworkspace = true\n");
    check(path, &text).iter().map(ToString::to_string).collect()
}

#[test]
fn a_dependency_against_the_arrows_is_found_in_each_section() {
    let line = "lb-agent.workspace = true";
    for section in ["dependencies", "dev-dependencies", "target.'cfg(unix)'.dependencies"] {
        let findings = found("lb-ctl/Cargo.toml", &format!("[{section}]\n{line}"));
        assert_eq!(findings, ["lb-ctl/Cargo.toml:4: lb-ctl may not depend on lb-agent"]);
    }
    assert_eq!(found("lb-ctl/Cargo.toml", "[dependencies.lb-agent]\npath = \"x\"").len(), 1);
    let renamed = "[dependencies]\nengine = { package = \"lb-agent\", path = \"../x\" }";
    assert_eq!(found("lb-common/Cargo.toml", renamed).len(), 1);
}

#[test]
fn xtask_depends_on_none_of_ours() {
    let line = "[dependencies]\nlb-common = { workspace = true }";
    assert_eq!(found("xtask/Cargo.toml", line).len(), 1);
}

#[test]
fn the_arrows_of_the_design_are_allowed() {
    let common =
        "[dependencies]\nlb-common = { workspace = true, features = [\"std\"] }\naya = \"1\"";
    for path in ["lb-ebpf/Cargo.toml", "lb-agent/Cargo.toml", "lb-ctl/Cargo.toml"] {
        assert!(found(path, common).is_empty(), "{path}");
    }
    assert!(found("tests/Cargo.toml", "[dependencies]\nlb-agent.workspace = true").is_empty());
    assert!(
        found("lb-ctl/Cargo.toml", "[dependencies]\n# lb-agent = 1\nlb-agent-like = 1").is_empty()
    );
}

#[test]
fn a_crate_without_the_lints_of_the_workspace_is_found() {
    assert_eq!(check("lb-ctl/Cargo.toml", "[package]\nname = \"lb-ctl\"\n").len(), 1);
}
