//! Every fixture, on the host and in the kernel, byte for byte.

use std::collections::BTreeSet;

use lb_common::abi::{Encapsulation, Features, ProbeMark};
use lb_common::datapath::Context;
use lb_common::image::{Buffer, Recorder, State};
use lb_common::verdict::{OriginReason, Reason};
use lb_tests::fixture::check::{
    balancer_in_the_kernel, difference, origin_in_the_kernel, probe_in_the_kernel,
};
use lb_tests::fixture::kernel::Kernel;
use lb_tests::fixture::probe::{self, Probe};
use lb_tests::fixture::{self, Fixture, HASH_SEED, catalogue, origin, standard};

/// Collects what differs, so that one run shows all of it.
fn assert_none(differences: &[String]) {
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

#[test]
fn fixtures_hold_on_the_host() {
    let check = |fixture: Fixture| {
        let (got, frame, pins) = fixture.on_the_host();
        let Fixture { name, reason, frame_out, pins_after, .. } = fixture;
        difference(name, ((reason, pins_after), &frame_out), ((got, pins), &frame))
    };
    assert_none(&catalogue().into_iter().filter_map(check).collect::<Vec<_>>());
}

#[test]
fn fixtures_hold_in_the_kernel() {
    assert_none(&balancer_in_the_kernel().unwrap().1);
}

/// A probe for a backend looks like a client's packet for it, however it is wrapped.
#[test]
fn a_probe_is_wrapped_as_a_packet_of_a_client_is() {
    let (wrapped, differences) = probe_in_the_kernel().unwrap();
    assert_none(&differences);
    assert!(wrapped >= 10, "no more than {wrapped} of them are packets that a probe may send");
    let encapsulations: BTreeSet<_> =
        catalogue().iter().filter_map(encapsulated_as_a_probe).collect();
    assert_eq!(encapsulations.len(), Encapsulation::ALL.len(), "{encapsulations:?}");
}

/// How a fixture's frame is wrapped when a probe sends it, if a probe may.
fn encapsulated_as_a_probe(fixture: &Fixture) -> Option<u8> {
    let backend = probe::chosen(fixture)?;
    probe::on_the_host(&fixture.maps, &fixture.frame_in, backend).ok()?;
    Some(fixture.maps.backends.get(&backend)?.encapsulation)
}

/// A filter that a dead agent has left behind does nothing, and a probe that names nobody is no
/// packet for whoever would get it.
#[test]
fn packets_without_the_mark_are_left_alone_and_those_that_name_nobody_are_dropped() {
    let _network = Kernel::load(&standard()).unwrap();
    let program = Probe::load(&standard()).unwrap();
    let fixture = catalogue().into_iter().find(|each| each.name == "tcp_4in4").unwrap();
    let frame = &fixture.frame_in;
    let known = ProbeMark::of(probe::chosen(&fixture).unwrap()).value();
    let outcome = |mark| program.run_marked(frame, mark).unwrap();
    assert_eq!(outcome(known).0, probe::LEAVES);
    for mark in [0, known & 0xffff, known | 1 << 15, known | 1 << 31, !known] {
        assert_eq!(outcome(mark), (probe::NOT_OURS, frame.clone()), "{mark:#x}");
    }
    for mark in [ProbeMark::BASE, ProbeMark::BASE | 127, ProbeMark::BASE | 0x7fff] {
        assert_eq!(outcome(mark), (probe::DROPPED, frame.clone()), "{mark:#x}");
    }
}

#[test]
fn every_reason_has_a_fixture() {
    let covered: BTreeSet<_> = catalogue().iter().map(|fixture| fixture.reason).collect();
    let missing: Vec<_> = Reason::ALL.iter().filter(|reason| !covered.contains(reason)).collect();
    // The kernel always leaves headroom in a test-run: the next test makes that one on the host.
    assert_eq!(missing, [&Reason::NoHeadroom]);
    let covered: BTreeSet<_> = origin::catalogue().iter().map(|fixture| fixture.reason).collect();
    assert_eq!(covered.len(), OriginReason::ALL.len());
}

#[test]
fn a_frame_without_headroom_is_dropped_as_it_came() {
    let fixture = catalogue().into_iter().find(|each| each.name == "tcp_4in4").unwrap();
    let state = State::new(1);
    let tables = Recorder::new(&fixture.maps, &state, 0);
    assert_eq!(with_headroom(&fixture, &tables, 19), Reason::NoHeadroom);
    assert!(tables.backend_counters().is_empty(), "nothing was sent, so nothing is counted");
    assert!(tables.service_counters().is_empty());
}

/// A reply needs room too, for its own headers.
#[test]
fn without_headroom_a_packet_that_is_too_big_is_dropped_as_it_came() {
    let names = ["a_long_packet_is_quoted_in_part", "the_last_hop_over_ipv6_is_reported"];
    for fixture in catalogue().into_iter().filter(|each| names.contains(&each.name)) {
        let state = State::new(1);
        let tables = Recorder::new(&fixture.maps, &state, 0);
        let reason = with_headroom(&fixture, &tables, 27);
        assert!(matches!(reason, Reason::TooBig | Reason::HopLimit), "{reason:?}");
    }
}

/// What becomes of a fixture's frame with so many bytes of headroom; the frame stays as it came.
fn with_headroom(fixture: &Fixture, tables: &Recorder<'_>, headroom_bytes: usize) -> Reason {
    let mut frame = Buffer::new(&fixture.frame_in, headroom_bytes);
    let context = Context {
        hash_seed: HASH_SEED,
        ingress_ifindex: fixture::INGRESS_IFINDEX,
        features: Features::ALL,
    };
    let reason = lb_common::datapath::process(&mut frame, tables, &context);
    assert_eq!(frame.as_slice(), fixture.frame_in);
    reason
}

#[test]
fn a_forwarded_packet_is_counted_for_its_service_and_its_backend() {
    let kernel = Kernel::load(&standard()).unwrap();
    let fixture = catalogue().into_iter().find(|each| each.name == "tcp_4in6").unwrap();
    for _ in 0..3 {
        kernel.run(&fixture.frame_in).unwrap();
    }
    let maps = &kernel.datapath().maps;
    let bytes = 3 * fixture.frame_in.len() as u64;
    let backend = lb_common::abi::BackendIndex::new(fixture::backends::V6.0).unwrap();
    let counter = maps.backend_counter(backend).unwrap();
    assert_eq!((counter.packets, counter.bytes), (3, bytes));
    // The second service of the fixtures' list.
    let counter = maps.service_counter(1).unwrap();
    assert_eq!((counter.packets, counter.bytes), (3, bytes));
    assert_eq!(maps.service_counter(0).unwrap().packets, 0);
}

/// Both ends of an eviction, and of a bucket that has nothing to give, in the kernel's counters.
#[test]
fn trouble_with_a_pin_is_counted() {
    let kernel = Kernel::load(&standard()).unwrap();
    let counted = |name| {
        let fixture = catalogue().into_iter().find(|each| each.name == name).unwrap();
        let before = kernel.pin_events().unwrap();
        kernel.run_fixture(&fixture).unwrap();
        let after = kernel.pin_events().unwrap();
        [after[0] - before[0], after[1] - before[1]]
    };
    assert_eq!(counted("a_syn_goes_to_the_new_backend_and_is_pinned"), [0, 0]);
    assert_eq!(counted("an_unconfirmed_pin_gives_way_to_a_syn"), [1, 0]);
    assert_eq!(counted("a_syn_without_room_goes_where_its_next_packets_will"), [0, 1]);
}

#[test]
fn outer_flow_labels_differ_by_flow() {
    let label = |port: u16| {
        let segment = lb_tests::packet::tcp(port, 443, b"");
        let fields = lb_tests::packet::Ipv4Fields::default();
        let packet = lb_tests::packet::ipv4(
            [198, 51, 100, 7].into(),
            [203, 0, 113, 10].into(),
            6,
            &fields,
            &segment,
        );
        let frame = lb_tests::packet::ethernet(&[], 0x0800, &packet);
        let (reason, out) = fixture::on_the_host(&standard(), HASH_SEED, &frame);
        assert_eq!(reason, Reason::Forwarded);
        u32::from_be_bytes([0, out[15] & 0x0f, out[16], out[17]])
    };
    let labels: BTreeSet<_> = (1..=100).map(label).collect();
    assert!(labels.len() >= 99, "{} labels for 100 flows", labels.len());
    assert_eq!(label(7), label(7));
}

#[test]
fn origin_fixtures_hold_on_the_host() {
    let check = |each: origin::OriginFixture| {
        let (got, frame) = origin::on_the_host(&each.frame_in);
        difference(each.name, (each.reason, &each.frame_out), (got, &frame))
    };
    assert_none(&origin::catalogue().into_iter().filter_map(check).collect::<Vec<_>>());
}

#[test]
fn origin_fixtures_hold_in_the_kernel() {
    assert_none(&origin_in_the_kernel().unwrap().1);
}
