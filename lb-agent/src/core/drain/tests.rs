//! Drains in virtual time.

use super::*;

const SECOND_NS: u64 = 1_000_000_000;

/// Looks once a second: flows, and in how many seconds the last window closes.
fn progress(looks: &[(u64, Option<u64>)]) -> Progress {
    let mut progress = Progress::default();
    for (second, (flows, closes_s)) in (1..).zip(looks) {
        let now_ns = second * SECOND_NS;
        let closes_ns = closes_s.map(|closes_s| now_ns + closes_s * SECOND_NS);
        progress.look(*flows, closes_ns, now_ns);
    }
    progress
}

#[test]
fn a_drain_is_done_when_neither_a_pin_nor_a_slot_has_named_the_backend_twice() {
    assert!(!progress(&[]).is_done());
    assert!(!progress(&[(0, None)]).is_done());
    assert!(progress(&[(0, None), (0, None)]).is_done());
    assert!(!progress(&[(0, None), (1, None), (0, None)]).is_done(), "a flow came late");
    assert!(!progress(&[(0, Some(5)), (0, Some(4))]).is_done(), "silent flows may be left");
    assert!(progress(&[(3, Some(1)), (0, None), (0, None), (0, None)]).is_done());
}

#[test]
fn the_end_is_estimated_from_the_flows_that_ended_since_there_were_most() {
    let falling = progress(&[(40, Some(90)), (100, Some(89)), (90, Some(88)), (80, Some(87))]);
    assert!((falling.flows_per_s() - 10.0).abs() < 1e-9);
    assert_eq!(falling.left_s(), Some(87), "not before the window closes");
    let later = progress(&[(100, None), (90, None), (80, None)]);
    assert_eq!((later.flows(), later.left_s()), (Some(80), Some(8)));
}

#[test]
fn while_no_flow_has_ended_nobody_can_tell_the_end() {
    assert_eq!(progress(&[(100, Some(90))]).left_s(), None);
    assert_eq!(progress(&[(100, None), (100, None)]).left_s(), None);
    assert_eq!(progress(&[(0, Some(90))]).left_s(), Some(90));
}

#[test]
fn before_the_first_look_nobody_knows_how_many_flows_are_left() {
    assert_eq!((progress(&[]).flows(), progress(&[]).left_s()), (None, None));
}

#[test]
fn a_backend_that_is_drained_anew_is_not_done_by_what_was_seen_before() {
    let mut drains = Drains::default();
    for second in 1..=2 {
        drains.look([("web", "a", 0, None), ("web", "b", 0, None)].into_iter(), second * SECOND_NS);
    }
    drains.retain(|_, backend| backend == "b");
    assert!(!drains.of("web", "a").is_done() && drains.of("web", "b").is_done());
}

#[test]
fn the_phase_says_what_the_deadline_has_done() {
    let drain = Drain { since_s: 100, deadline_s: Some(200), force: true, forced: false };
    let (under_way, done) = (progress(&[(1, None)]), progress(&[(0, None), (0, None)]));
    assert_eq!(drain.phase(&under_way, 199), Phase::Draining);
    assert_eq!(drain.phase(&under_way, 200), Phase::Overdue);
    assert!(!drain.is_to_be_forced(199) && drain.is_to_be_forced(200));
    let forced = Drain { forced: true, ..drain };
    assert_eq!(forced.phase(&under_way, 200), Phase::Forced);
    assert!(!forced.is_to_be_forced(300), "once is enough");
    assert_eq!(forced.phase(&done, 300), Phase::Done);
    let patient = Drain { deadline_s: None, ..drain };
    assert_eq!(patient.phase(&under_way, u64::MAX), Phase::Draining);
    assert!(!Drain { force: false, ..drain }.is_to_be_forced(300));
}

#[test]
fn each_drain_is_told_done_once_and_forgotten_when_it_is_taken_back() {
    let mut drains = Drains::default();
    let mut look = |all: &[(&'static str, u64)], second: u64| {
        let seen = all.iter().map(|(name, flows)| ("web", *name, *flows, None));
        drains.look(seen, second * SECOND_NS)
    };
    assert_eq!(look(&[("a", 0), ("b", 1)], 1), []);
    assert_eq!(look(&[("a", 0), ("b", 0)], 2), [("web", "a")]);
    assert_eq!(look(&[("b", 0)], 3), [("web", "b")]);
    assert_eq!(look(&[("a", 0), ("b", 0)], 4), [], "a has begun anew");
    assert_eq!(drains.of("web", "a"), progress_at(4));
}

fn progress_at(second: u64) -> Progress {
    let mut progress = Progress::default();
    progress.look(0, None, second * SECOND_NS);
    progress
}
