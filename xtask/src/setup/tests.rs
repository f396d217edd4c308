//! What a machine is told that cannot be set up from here.

use std::path::PathBuf;

use super::{LAB, Means, Survey};
use crate::toolchain::{Candidate, Choice, PINNED_NIGHTLY, Source};

const ROOT_ON_DEBIAN: Means = Means { apt: true, root: true, rustup: true };

fn complete() -> Survey {
    let compiler = Candidate { source: Source::Debian, installed: true, complete: true };
    Survey {
        lab: Vec::new(),
        build: Vec::new(),
        components: Vec::new(),
        compilers: Choice { candidates: vec![compiler], remarks: Vec::new() },
        linker: Some(PathBuf::from("/opt/bpf-linker")),
    }
}

#[test]
fn a_complete_machine_needs_nothing_not_even_root() {
    assert!(complete().ready().is_some());
    let nothing = Means { apt: false, root: false, rustup: false };
    assert_eq!(complete().obstacles(nothing), None);
}

#[test]
fn root_with_apt_meets_no_obstacle() {
    let survey = Survey { lab: LAB.iter().collect(), ..complete() };
    assert!(survey.ready().is_none());
    assert_eq!(survey.obstacles(ROOT_ON_DEBIAN), None);
}

#[test]
fn without_root_each_package_is_named_with_its_purpose_and_the_command() {
    let survey = Survey { lab: LAB.iter().collect(), ..complete() };
    let text = survey.obstacles(Means { root: false, ..ROOT_ON_DEBIAN }).unwrap();
    assert!(text.contains("iproute2 (program ip): builds the network namespaces"), "{text}");
    assert!(text.contains("apt-get install --no-install-recommends iproute2 ethtool"), "{text}");
}

#[test]
fn without_apt_no_command_is_shown_that_cannot_work() {
    let compilers = Choice { candidates: Vec::new(), remarks: Vec::new() };
    let survey = Survey { lab: LAB.iter().collect(), compilers, ..complete() };
    let text = survey.obstacles(Means { apt: false, root: true, rustup: false }).unwrap();
    assert!(!text.contains("apt-get"), "{text}");
    assert!(text.contains(PINNED_NIGHTLY), "{text}");
}

#[test]
fn an_incomplete_compiler_is_not_ready() {
    let compiler = Candidate { source: Source::Debian, installed: true, complete: false };
    let compilers = Choice { candidates: vec![compiler], remarks: Vec::new() };
    let survey = Survey { compilers, ..complete() };
    assert!(survey.ready().is_none());
    let text = survey.obstacles(Means { root: false, ..ROOT_ON_DEBIAN }).unwrap();
    assert!(text.contains("rust-web-clippy"), "{text}");
}

#[test]
fn components_without_rustup_are_left_to_the_user() {
    let survey = Survey { components: vec!["clippy"], ..complete() };
    assert_eq!(survey.obstacles(ROOT_ON_DEBIAN), None);
    let text = survey.obstacles(Means { rustup: false, ..ROOT_ON_DEBIAN }).unwrap();
    assert!(text.contains("clippy"), "{text}");
}
