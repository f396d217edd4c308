//! The rules together, over a tree on disk.

use std::env;
use std::fs;
use std::process;

use super::files::{Tree, top_level};
use super::findings;

#[test]
fn a_tree_is_read_without_dot_files_and_build_output() {
    let root = env::temp_dir().join(format!("xtask-tree-{}", process::id()));
    for directory in ["lb-ctl/src", "target/debug", ".git", "docs"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let bad = "fn f() { todo!() }\n";
    for file in ["lb-ctl/src/args.rs", "target/debug/out.rs", ".git/hook.rs"] {
        fs::write(root.join(file), bad).unwrap();
    }
    fs::write(root.join("README.md"), "[a](docs) [b](lb-ctl/src/args.rs) [c](gone)\n").unwrap();
    fs::write(root.join("notes.txt"), "x").unwrap();

    let found: Vec<String> =
        findings(&Tree::read(&root).unwrap()).iter().map(ToString::to_string).collect();
    fs::remove_dir_all(root).unwrap();
    assert_eq!(
        found,
        [
            "README.md:1: link to `gone`, which does not exist",
            "lb-ctl/src/args.rs:1: `todo!` is left over",
            "lb-ctl/src/args.rs:1: does not open with `//!`: say what it is and why",
            "notes.txt:1: does not belong at the top of the repository",
        ]
    );
}

#[test]
fn dot_files_and_the_parts_may_stand_at_the_top() {
    let names = [".gitignore", "xtask", "Cargo.lock", "LICENSE-MIT", "scripts"].map(str::to_owned);
    let found: Vec<String> = top_level(&names).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["scripts:1: does not belong at the top of the repository"]);
}
