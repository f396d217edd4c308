//! The claims hold for what they should, and do not for what they should not.

use std::panic::{self, UnwindSafe};

use super::*;
use crate::fixture::catalogue;

#[cfg(feature = "kernel")]
#[test]
fn each_target_has_its_program() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/fuzz_targets");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    let names: Vec<_> = TARGETS.iter().map(|target| format!("{}.rs", target.name)).collect();
    assert_eq!(files, names);
}

/// Whether a claim fails; quietly, since it is expected to.
fn fails(claim: impl FnOnce() + UnwindSafe) -> bool {
    panic::catch_unwind(claim).is_err()
}

/// The frame of a fixture that is forwarded, and all places of it in which a changed byte must be
/// found. What depends on the flow's hash alone is any value's.
#[test]
fn a_changed_byte_of_a_forwarded_frame_is_found() {
    for (name, free) in [
        ("tcp_4in4", 0..0),
        ("tcp_6in6", 15..18),
        ("gue_4in6", 15..18),
        ("gre_6in4", 0..0),
        ("l2_keeps_a_tag", 0..0),
    ] {
        let fixture = catalogue().into_iter().find(|each| each.name == name).unwrap();
        let outcome = pipeline::Outcome::on_its_own(&fixture.frame_in);
        let (_, backend) = outcome.lookups.backend.unwrap();
        let check = |left: &[u8]| {
            let spread = forwarded::Spread::default();
            forwarded::check(&fixture.frame_in, left, &backend, &spread, false);
        };
        check(&outcome.frame);
        let is_gue = name.starts_with("gue");
        for at in (0..outcome.frame.len()).filter(|at| !free.contains(at)) {
            // The UDP source port is the hash's too.
            if is_gue && (54..56).contains(&at) {
                continue;
            }
            let mut mutant = outcome.frame.clone();
            mutant[at] ^= 1;
            assert!(fails(|| check(&mutant)), "{name}: byte {at}");
        }
        assert!(fails(|| check(&outcome.frame[..outcome.frame.len() - 1])), "{name}: cut short");
    }
}

#[test]
fn a_changed_byte_of_an_answer_is_found() {
    for name in [
        "an_echo_to_a_vip_is_answered",
        "an_ipv6_echo_to_a_vip_is_answered",
        "too_big_over_ipv6_is_reported",
        "the_last_hop_is_reported",
    ] {
        let fixture = catalogue().into_iter().find(|each| each.name == name).unwrap();
        let check = |left: &[u8]| replied::check(&fixture.frame_in, left, fixture.reason);
        check(&fixture.frame_out);
        let class_and_label = if fixture.frame_out[14] >> 4 == 6 { 14..18 } else { 0..0 };
        for at in (0..fixture.frame_out.len()).filter(|at| !class_and_label.contains(at)) {
            let mut mutant = fixture.frame_out.clone();
            mutant[at] ^= 1;
            assert!(fails(|| check(&mutant)), "{name}: byte {at}");
        }
    }
}

#[test]
fn the_plain_sum_is_that_of_rfc_1071() {
    // RFC 1071 §3.
    assert_eq!(naive::sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    assert_eq!(naive::sum(&[0xff]), 0xff00);
    assert!(naive::same_sum(0, 0xffff) && !naive::same_sum(0, 1));
}

/// etherparse reads on behind it; for us it is another protocol, in IPv4 alone.
#[test]
fn what_an_ipv4_authentication_header_hides_is_no_flow_of_ours() {
    let tcp = [0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0];
    let behind = crate::packet::authentication(6, &tcp);
    let total = u8::try_from(20 + behind.len()).unwrap();
    let header = [0x45, 0, 0, total, 0, 0, 0x40, 0, 64, 51, 0, 0, 10, 0, 0, 1, 203, 0, 113, 10];
    let ethernet = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let frame = [&ethernet[..], &header[..], &behind[..]].concat();
    let theirs = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
    assert!(matches!(theirs.transport, Some(etherparse::TransportSlice::Tcp(_))));
    let ours = lb_common::datapath::classify(&lb_common::image::Buffer::new(&frame, 0));
    assert_eq!(ours.unwrap_err(), lb_common::verdict::Reason::OtherProtocol);
    classify(&frame);
}
