//! The loaded program, its filters and what it counts. Needs root.

use std::process::Command;

use lb_common::wire::ipv4::{self, Ipv4};
use zerocopy::big_endian::U16;

use super::*;
use crate::io::lab::{LIMITS, enter_new_network, ip};

/// `TC_ACT_SHOT`.
const DROPPED: u32 = 2;

fn load() -> TunnelProgram {
    let settings = Settings::default();
    let options = TunnelOptions { pins: None, limits: LIMITS, hash_seed: [1, 2], settings };
    TunnelProgram::load(&options).unwrap()
}

fn tc(arguments: &[&str]) -> String {
    let output = Command::new("tc").args(arguments).output().unwrap();
    assert!(output.status.success(), "tc {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Filters at the egress of `lab0`: ours, and all.
fn filters() -> (usize, usize) {
    let text = tc(&["filter", "show", "dev", "lab0", "egress"]);
    (text.matches(" lb_probe direct-action").count(), text.matches(" handle ").count())
}

#[test]
fn each_agent_finds_the_filter_of_the_one_before_and_nobody_elses() {
    enter_new_network();
    ip("link add lab0 type veth peer name lab1");
    let nobody = BTreeSet::new();
    assert!(!detach("lab0").unwrap(), "there is not even a qdisc");
    let mut first = load();
    first.attach("lab0").unwrap();
    first.attach("lab0").unwrap();
    assert_eq!(filters(), (1, 1));
    drop(first);
    assert_eq!(filters(), (1, 1), "it goes with the process");
    let another = ["filter", "add", "dev", "lab0", "egress", "protocol", "all", "prio", "7"];
    // A program of one instruction, in the language of old: return 0.
    tc(&[&another[..], &["bpf", "bytecode", "1,6 0 0 0", "classid", "1:1"]].concat());
    let all = filters().1;
    load().attach("lab0").unwrap();
    assert_eq!(filters(), (1, all));

    let lab0 = BTreeSet::from(["lab0".to_owned()]);
    assert_eq!(detach_others(&lab0).unwrap(), Vec::<String>::new());
    assert_eq!(filters(), (1, all));
    assert_eq!(detach_others(&nobody).unwrap(), ["lab0"]);
    assert_eq!(filters(), (0, all - 1));
    assert!(load().attach("lab9").is_err(), "there is no such interface");
}

#[test]
fn packets_are_counted_for_the_backend_that_their_mark_names() {
    let program = load();
    let mut header = Ipv4 {
        version_ihl: 0x45,
        type_of_service: 0,
        total_length: U16::new(28),
        identification: U16::ZERO,
        fragment: U16::new(ipv4::DONT_FRAGMENT),
        time_to_live: 64,
        protocol: lb_common::wire::protocol::UDP,
        checksum: U16::ZERO,
        source: [10, 2, 0, 2],
        destination: [203, 0, 113, 10],
    };
    header.checksum = ipv4::checksum(&header);
    let udp = [0, 9, 0, 53, 0, 8, 0, 0];
    let frame = [&[0; 12], &[8, 0][..], header.as_bytes(), &udp].concat();
    let (third, fourth) = (BackendIndex::new(3).unwrap(), BackendIndex::new(4).unwrap());
    // An entry that has not been written leads nowhere.
    let (action, after) = program.test_run(&frame, ProbeMark::of(third).value(), 1).unwrap();
    assert_eq!((action, after), (DROPPED, frame));
    let counts = program.counts();
    let count = counts.of_backend(third);
    assert_eq!((count.wrapped, count.refused), (0, 1));
    assert_eq!(refusal(&count), "next_hop_unknown");
    assert_eq!(counts.of_backend(fourth), ProbeCount::default());
    assert_eq!(counts.of_backend(BackendIndex::new(BackendIndex::MAX).unwrap()).wrapped, 0);
}
