//! Each rule fires on what it forbids, and not on what it allows.

use super::check;

const OPENING: &str = "//! What it is.\n";

/// What is found in a file that opens as it should.
fn found(path: &str, code: &str) -> Vec<String> {
    check(path, &format!("{OPENING}{code}")).iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_must_say_what_it_is() {
    let findings = check("lb-ctl/src/args.rs", "use std::fmt;\n");
    assert_eq!(findings.len(), 1);
    assert!(findings.iter().any(|finding| finding.line == 1 && finding.what.contains("//!")));
    assert!(found("lb-ctl/src/args.rs", "#![forbid(unsafe_code)]\n").is_empty());
}

#[test]
fn a_long_file_is_found_at_the_first_line_too_many() {
    assert!(found("lb-ctl/src/args.rs", &"// x\n".repeat(399)).is_empty());
    let findings = found("lb-ctl/src/args.rs", &"// x\n".repeat(400));
    assert_eq!(findings, ["lb-ctl/src/args.rs:401: 401 lines; at most 400 are allowed"]);
}

#[test]
fn mod_rs_is_found() {
    assert_eq!(found("lb-ctl/src/cmd/mod.rs", "").len(), 1);
    assert!(found("lb-ctl/src/cmd/my_mod.rs", "").is_empty());
}

#[test]
fn unsafe_is_found_outside_its_places() {
    let code = "fn f() {\n    unsafe { g() }\n}\n";
    let findings = found("lb-agent/src/core/plan.rs", code);
    assert!(findings.iter().any(|text| text.starts_with("lb-agent/src/core/plan.rs:3: `unsafe`")));
    assert_eq!(found("lb-common/src/frame.rs", code).len(), 1);
    assert!(found("lb-ebpf/src/frame.rs", code).is_empty());
    assert!(found("lb-agent/src/io/bpf.rs", code).is_empty());
}

#[test]
fn the_word_unsafe_is_not_unsafe_code() {
    let code = "#![forbid(unsafe_code)]\n// unsafe\nconst S: &str = \"unsafe\";\n";
    assert!(found("lb-common/src/lib.rs", code).is_empty());
}

#[test]
fn unfinished_work_is_found() {
    for code in [
        "fn f() { todo!() }\n",
        "fn f() { unimplemented!(\"later\") }\n",
        "#[ignore = \"slow\"]\nfn f() {}\n",
        "#[ignore]\nfn f() {}\n",
        "// FIXME: later\n",
        "/* XXX */\n",
    ] {
        assert_eq!(found("lb-ctl/src/args.rs", code).len(), 1, "{code}");
    }
    for code in ["// TODO-correctness(RFC 2003 3.1): say what.\n", "const S: &str = \"XXX\";\n"] {
        assert!(found("lb-ctl/src/args.rs", code).is_empty(), "{code}");
    }
}

#[test]
fn pure_code_must_stay_pure() {
    let pure = [
        "lb-common/src/datapath.rs",
        "lb-common/src/datapath/icmp.rs",
        "lb-agent/src/core/plan.rs",
    ];
    for path in pure {
        for code in [
            "use tokio::time;\n",
            "use aya::maps::HashMap;\n",
            "use aya_obj::Object;\n",
            "use std::fs;\n",
            "use std::{fmt, io};\nfn f() { fs::read(p) }\n",
            "use std::net::TcpStream as S;\n",
            "let now = Instant::now();\n",
            "let now: SystemTime = x;\n",
            "use crate::io::bpf;\n",
        ] {
            assert!(!found(path, code).is_empty(), "{path}: {code}");
        }
        assert!(found(path, "use std::net::Ipv4Addr;\n// like tokio\n").is_empty(), "{path}");
    }
    assert!(found("lb-agent/src/app.rs", "use tokio::time;\n").is_empty());
}

#[test]
fn only_a_test_of_pure_code_may_read_the_clock() {
    let code = "let start = Instant::now();\n";
    assert!(found("lb-agent/src/core/health/tests.rs", code).is_empty());
    assert_eq!(found("lb-agent/src/core/health.rs", code).len(), 1);
}
