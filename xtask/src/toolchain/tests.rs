//! Which compiler is taken on which machine.

use super::{
    Candidate, Facts, PINNED_NIGHTLY, Source, has_toolchain, is_host_build_variable,
    version_number, wanted, weigh,
};

const NIGHTLY: Source = Source::Rustup("nightly");
const PINNED: Source = Source::Rustup(PINNED_NIGHTLY);
const GOOD: Facts =
    Facts { minor: 97, llvm: 22, has_cargo: true, has_source: true, has_clippy: true };

fn ready(source: Source) -> Candidate {
    Candidate { source, installed: true, complete: true }
}

#[test]
fn a_nightly_with_a_newer_llvm_is_passed_over_with_a_reason() {
    let newer = Facts { llvm: 23, ..GOOD };
    let choice = weigh([(NIGHTLY, Some(newer)), (Source::Debian, Some(GOOD))], true, true);
    assert_eq!(choice.candidates, [ready(Source::Debian)]);
    assert!(choice.remarks.iter().any(|remark| remark.contains("LLVM is 23")), "{choice:?}");
}

#[test]
fn the_first_complete_compiler_wins() {
    let probed = [(NIGHTLY, Some(GOOD)), (PINNED, Some(GOOD)), (Source::Debian, Some(GOOD))];
    assert_eq!(weigh(probed, true, true).candidates, [ready(NIGHTLY)]);
}

#[test]
fn a_compiler_that_is_there_comes_before_one_to_be_fetched() {
    let choice = weigh([(PINNED, None), (Source::Debian, Some(GOOD))], true, true);
    assert_eq!(choice.candidates.first(), Some(&ready(Source::Debian)));
}

#[test]
fn with_nothing_there_the_pinned_nightly_is_fetched_first() {
    let nothing = [(NIGHTLY, None), (PINNED, None), (Source::Debian, None)];
    let sources = |rustup, apt| -> Vec<Source> {
        weigh(nothing, rustup, apt).candidates.into_iter().map(|found| found.source).collect()
    };
    assert_eq!(sources(true, true), [PINNED, Source::Debian]);
    assert_eq!(sources(false, true), [Source::Debian]);
    assert_eq!(sources(false, false), []);
}

#[test]
fn missing_parts_are_noticed() {
    let no_clippy = Facts { has_clippy: false, ..GOOD };
    let choice = weigh([(Source::Debian, Some(no_clippy))], true, true);
    let incomplete = Candidate { source: Source::Debian, installed: true, complete: false };
    assert_eq!(choice.candidates, [incomplete]);

    let no_source = Facts { has_source: false, ..GOOD };
    let choice = weigh([(NIGHTLY, Some(no_source)), (Source::Debian, Some(GOOD))], true, true);
    assert_eq!(choice.candidates.first(), Some(&ready(Source::Debian)));
}

#[test]
fn a_compiler_too_old_for_the_workspace_is_refused() {
    let old = Facts { minor: 63, llvm: 14, ..GOOD };
    let choice = weigh([(Source::Debian, Some(old))], true, true);
    assert_eq!(choice.candidates, []);
    assert!(choice.remarks.iter().any(|remark| remark.contains("1.63")), "{choice:?}");
}

#[test]
fn the_variable_narrows_the_choice_and_nonsense_is_refused() {
    assert_eq!(wanted(Some("debian")).unwrap(), [Source::Debian]);
    assert_eq!(wanted(Some("nightly")).unwrap(), [NIGHTLY, PINNED]);
    assert_eq!(wanted(None).unwrap().len(), 3);
    assert!(wanted(Some("stable")).is_err());
}

#[test]
fn a_dated_nightly_is_not_the_floating_one() {
    let list = "stable-x86_64-unknown-linux-gnu (active, default)\n\
                nightly-2026-04-15-x86_64-unknown-linux-gnu\n";
    assert!(has_toolchain(list, PINNED_NIGHTLY));
    assert!(!has_toolchain(list, "nightly"));
    assert!(has_toolchain("nightly-x86_64-unknown-linux-gnu\n", "nightly"));
}

#[test]
fn versions_are_read_from_the_compilers_own_words() {
    let version = "rustc 1.96.0 (ac68faa20)\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
    assert_eq!(version_number(version, "release: 1."), Some(96));
    assert_eq!(version_number(version, "LLVM version: "), Some(22));
    assert_eq!(version_number("release: 1.x\n", "release: 1."), None);
}

#[test]
fn settings_of_the_outer_cargo_do_not_reach_the_bpf_build() {
    for name in ["CARGO", "CARGO_TARGET_DIR", "RUSTC", "RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        assert!(is_host_build_variable(name), "{name}");
    }
    for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "PATH", "HOME"] {
        assert!(!is_host_build_variable(name), "{name}");
    }
}
