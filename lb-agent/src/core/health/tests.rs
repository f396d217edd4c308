//! Conditions and check times, in virtual time.

mod policy;
mod tunnel;

use std::collections::BTreeSet;

use lb_common::config::Desired;
use proptest::prelude::*;

use super::*;
use crate::core::samples::desired;

const SECOND_NS: u64 = 1_000_000_000;
const START_NS: u64 = 1_000 * SECOND_NS;

fn recorded(machine: &mut Machine, results: &str) -> String {
    let letter = |condition| match condition {
        Condition::Unknown => '?',
        Condition::Up => 'U',
        Condition::Down => 'D',
    };
    let record = |result| {
        machine.record(result == '+', 2, 3);
        letter(machine.condition())
    };
    results.chars().map(record).collect()
}

#[test]
fn every_state_answers_every_result() {
    for (condition, results, conditions) in [
        (Condition::Unknown, "+", "U"),
        (Condition::Unknown, "-", "D"),
        (Condition::Up, "+", "U"),
        (Condition::Up, "---", "UUD"),
        (Condition::Up, "--+--+---", "UUUUUUUUD"),
        (Condition::Down, "-", "D"),
        (Condition::Down, "++", "DU"),
        (Condition::Down, "+-+-++", "DDDDDU"),
    ] {
        assert_eq!(recorded(&mut Machine::new(condition), results), conditions, "{condition:?}");
    }
}

#[test]
fn failures_spread_over_a_day_never_add_up() {
    let mut machine = Machine::new(Condition::Up);
    for _ in 0..1000 {
        assert_eq!(recorded(&mut machine, "--+"), "UUU");
    }
}

/// Two backends that are checked each second, and one pool that is not checked.
fn checked(fields: &str) -> Desired {
    checked_by("tcp", fields)
}

fn checked_by(kind: &str, fields: &str) -> Desired {
    desired(
        &format!(
            "[{{ name: web, table_slots: 251, \
             health: {{ type: {kind}, interval: 1s, timeout: 500ms{fields} }}, \
             backends: [{{ name: b1, address: 10.3.0.1 }}, {{ name: b2, address: 10.3.0.2 }}] }}, \
             {{ name: plain, table_slots: 251, backends: [{{ name: b3, address: 10.3.0.3 }}] }}]"
        ),
        "[{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [443, 8080], pool: web }]",
    )
}

fn configured(desired: &Desired, condition: Condition) -> Checks {
    let mut checks = Checks::default();
    checks.configure(desired, |_, _| condition, START_NS);
    checks
}

fn outcome(passed: bool) -> Outcome {
    let detail = if passed { "connected" } else { "refused" }.into();
    Outcome { passed, detail, took_ns: 1, certificate_end_s: None, report: None }
}

#[test]
fn pools_without_a_check_are_not_asked_and_count_as_up() {
    let checks = configured(&checked(""), Condition::Unknown);
    let names: Vec<_> = checks.iter().map(|(pool, name, _)| (pool, name)).collect();
    assert_eq!(names, [("web", "b1"), ("web", "b2")]);
    let condition = |pool, name| checks.known(pool, name, START_NS).condition;
    assert_eq!(condition("plain", "b3"), Condition::Up);
    assert_eq!(condition("web", "b1"), Condition::Unknown);
}

#[test]
fn the_port_is_the_checks_own_or_that_of_the_service() {
    let port_of =
        |desired| configured(&desired, Condition::Unknown).of("web", "b1").unwrap().address.port();
    let port = |fields| port_of(checked(fields));
    assert_eq!(port(""), 443);
    assert_eq!(port(", port: 9000"), 9000);
    let dns = |fields| port_of(checked_by("dns", fields));
    assert_eq!(dns(", query: a.example"), 53);
    assert_eq!(dns(", query: a.example, port: 5353"), 5353);
    assert_eq!(port_of(checked_by("icmp", "")), 0, "it has none");
}

#[test]
fn the_first_probes_are_spread_over_the_interval_and_soon_if_nothing_is_known() {
    let times = |condition| -> Vec<u64> {
        let checks = configured(&checked(""), condition);
        checks.iter().map(|(_, _, checked)| checked.next_ns - START_NS).collect()
    };
    let (known, unknown) = (times(Condition::Up), times(Condition::Unknown));
    assert!(known.iter().all(|wait_ns| *wait_ns < SECOND_NS), "{known:?}");
    assert!(unknown.iter().all(|wait_ns| *wait_ns < SECOND_NS / 10), "{unknown:?}");
    assert_ne!(known[0], known[1]);
    assert_eq!(known, times(Condition::Up), "the same at each start");
    let mut hourly = checked("");
    hourly.pools.get_mut("web").unwrap().health.as_mut().unwrap().interval =
        Duration::from_hours(1);
    let hourly = configured(&hourly, Condition::Unknown);
    let soon = hourly.iter().all(|(.., checked)| checked.next_ns - START_NS < SECOND_NS);
    assert!(soon, "who takes nothing before waits a second at most");
    let elsewhere = {
        let mut desired = checked("");
        desired.node.name = "edge-2".to_owned();
        configured(&desired, Condition::Up)
    };
    let times: Vec<_> =
        elsewhere.iter().map(|(_, _, checked)| checked.next_ns - START_NS).collect();
    assert_ne!(known, times, "another way on each balancer");
}

#[test]
fn a_probe_is_due_once_an_interval_and_not_again_while_it_is_under_way() {
    let mut checks = configured(&checked(""), Condition::Up);
    let all: BTreeSet<_> = checks.due(START_NS + SECOND_NS).iter().map(|probe| probe.id).collect();
    assert_eq!(all.len(), 2);
    assert_eq!(checks.next_ns(), None);
    assert_eq!(checks.due(START_NS + 9 * SECOND_NS), []);

    let planned = checks.of("web", "b1").unwrap().next_ns;
    for id in all {
        assert_eq!(checks.finish(id, Some(outcome(true)), START_NS + SECOND_NS), None);
    }
    assert_eq!(checks.of("web", "b1").unwrap().next_ns, planned + SECOND_NS);
}

#[test]
fn probes_that_were_missed_are_left_out_and_the_beat_is_kept() {
    let mut checks = configured(&checked(""), Condition::Up);
    let planned = checks.of("web", "b1").unwrap().next_ns;
    let late_ns = START_NS + 10 * SECOND_NS;
    for probe in checks.due(late_ns) {
        checks.finish(probe.id, Some(outcome(true)), late_ns);
    }
    let next_ns = checks.of("web", "b1").unwrap().next_ns;
    assert!((late_ns..=late_ns + SECOND_NS).contains(&next_ns));
    assert_eq!((next_ns - planned) % SECOND_NS, 0);
}

/// Lets a second's probes of `backend` come to these results, one each second.
fn seconds(checks: &mut Checks, from_s: u64, results: &str) -> Vec<Transition> {
    let mut transitions = Vec::new();
    for (second, result) in (from_s..).zip(results.chars()) {
        let now_ns = START_NS + second * SECOND_NS;
        for probe in checks.due(now_ns) {
            let passed = result == '+' || probe.address.ip().to_string() == "10.3.0.2";
            transitions.extend(checks.finish(probe.id, Some(outcome(passed)), now_ns));
        }
    }
    transitions
}

#[test]
fn a_backend_goes_down_after_its_failures_in_a_row_and_says_why() {
    let mut checks = configured(&checked(""), Condition::Up);
    assert_eq!(seconds(&mut checks, 1, "+--+--"), []);
    let down = seconds(&mut checks, 7, "-");
    let expected = Transition {
        pool: "web".into(),
        backend: "b1".into(),
        from: Condition::Up,
        to: Condition::Down,
        reason: "refused".into(),
    };
    assert_eq!(down, [expected]);
    let checked = checks.of("web", "b1").unwrap();
    assert_eq!(checked.since_ns, START_NS + 7 * SECOND_NS);
    assert_eq!(checked.last().unwrap().outcome, outcome(false));
    let up = seconds(&mut checks, 8, "++");
    assert_eq!(up.len(), 1);
    assert_eq!(up[0].to, Condition::Up);
}

#[test]
fn a_change_of_the_check_keeps_what_is_known_and_one_of_the_address_does_not() {
    let mut checks = configured(&checked(""), Condition::Up);
    seconds(&mut checks, 1, "---");
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Down);

    checks.configure(&checked(", fall: 5"), |_, _| Condition::Unknown, START_NS + 5 * SECOND_NS);
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Down);

    let mut moved = checked("");
    let backend = moved.pools.get_mut("web").unwrap().backends.get_mut("b1").unwrap();
    backend.address = "10.3.0.9".parse().unwrap();
    checks.configure(&moved, |_, _| Condition::Unknown, START_NS + 6 * SECOND_NS);
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Unknown);
    assert_eq!(checks.known("web", "b2", START_NS).condition, Condition::Up);
}

#[test]
fn what_a_probe_of_an_older_check_says_is_not_taken() {
    let mut checks = configured(&checked(""), Condition::Up);
    let probes = checks.due(START_NS + SECOND_NS);
    let now_ns = START_NS + SECOND_NS;
    checks.configure(&checked(", fall: 1"), |_, _| Condition::Unknown, now_ns);
    for probe in probes {
        assert_eq!(checks.finish(probe.id, Some(outcome(false)), now_ns), None);
    }
    assert_eq!(checks.iter().filter(|(_, _, checked)| checked.last().is_some()).count(), 0);
}

#[test]
fn a_probe_under_way_survives_a_change_that_does_not_concern_it() {
    let mut checks = configured(&checked(""), Condition::Up);
    let probes = checks.due(START_NS + SECOND_NS);
    checks.configure(&checked(""), |_, _| Condition::Unknown, START_NS + SECOND_NS);
    assert_eq!(checks.next_ns(), None, "still under way");
    for probe in probes {
        checks.finish(probe.id, Some(outcome(true)), START_NS + SECOND_NS);
    }
    assert_eq!(checks.iter().filter(|(_, _, checked)| checked.last().is_some()).count(), 2);
}

proptest! {
    /// Whatever the results, the condition is the one that a reader of them all would tell: another
    /// once as many in a row speak against it as are needed, counted since the last change.
    #[test]
    fn a_condition_needs_its_results_in_a_row(
        results in prop::collection::vec(any::<bool>(), 0..200),
        rise in 1_u32..5,
        fall in 1_u32..5,
    ) {
        let mut machine = Machine::new(Condition::Unknown);
        let mut row: Vec<bool> = Vec::new();
        for passed in results {
            row.push(passed);
            let (up, down) = (Some(Condition::Up), Some(Condition::Down));
            let ends_with = |needed, result| {
                row.iter().rev().take_while(|each| **each == result).count() >= needed as usize
            };
            let expected = match machine.condition() {
                Condition::Unknown => if passed { up } else { down },
                Condition::Up => if ends_with(fall, false) { down } else { None },
                Condition::Down => if ends_with(rise, true) { up } else { None },
            };
            prop_assert_eq!(machine.record(passed, rise, fall), expected);
            if expected.is_some() {
                prop_assert_eq!(Some(machine.condition()), expected);
                row.clear();
            }
        }
    }
}

#[test]
fn a_probe_that_could_not_be_asked_says_nothing_and_is_due_again() {
    let mut checks = configured(&checked(", fall: 1"), Condition::Up);
    let now_ns = START_NS + SECOND_NS;
    for probe in checks.due(now_ns) {
        assert_eq!(checks.finish(probe.id, None, now_ns), None);
    }
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Up);
    let again = checks.due(now_ns + SECOND_NS);
    assert_eq!(again.len(), 2);
    let (id, now_ns) = (again[0].id, now_ns + SECOND_NS);
    assert_eq!(checks.miss(id, "no way", now_ns), Some(("web", again[0].backend.as_str())));
    assert_eq!(checks.miss(id, "no way", now_ns), None, "told once");
    assert_eq!(checks.take_made_again(), []);
    checks.finish(id, Some(outcome(true)), now_ns);
    assert_eq!(checks.take_made_again(), [("web".to_owned(), again[0].backend.clone())]);
    assert_eq!(checks.take_made_again(), []);
}

#[test]
fn only_a_used_entry_of_the_same_address_speaks_for_a_backend() {
    let desired = checked("");
    let mut agent = crate::core::samples::Agent::default();
    let step = agent.change(&desired, &crate::core::target::Ways::new()).unwrap();
    let image = step.ops.iter().fold(Image::default(), |mut image, op| {
        crate::core::plan::carry_out(&mut image, op);
        image
    });
    let ids = Ids::adopt(&image).assign(&desired).unwrap();
    let index = ids.backend("web", "b1").unwrap();
    let of_b1 =
        |image: &Image, desired: &Desired| believed(desired, &ids, image, false).of("web", "b1");
    assert_eq!(of_b1(&image, &desired), Condition::Up);
    assert_eq!(of_b1(&Image::default(), &desired), Condition::Unknown);

    let waiting = {
        let mut desired = desired.clone();
        desired.pools.get_mut("web").unwrap().failover.at_start = AtStart::Wait;
        desired
    };
    let at_start = |desired: &Desired| believed(desired, &ids, &image, true).of("web", "b1");
    assert_eq!(at_start(&desired), Condition::Up);
    assert_eq!(at_start(&waiting), Condition::Unknown);
    assert_eq!(of_b1(&image, &waiting), Condition::Up, "a check that comes later is no start");

    let mut down = image.clone();
    down.backends.get_mut(&index).unwrap().flags &= !BackendEntry::USABLE;
    assert_eq!(of_b1(&down, &desired), Condition::Unknown);

    // Another name for the server that is there: nothing about it has changed.
    let mut renamed = desired.clone();
    let backends = &mut renamed.pools.get_mut("web").unwrap().backends;
    let b1 = backends.remove("b1").unwrap();
    backends.insert("renamed".to_owned(), b1);
    let of_renamed = |image: &Image| believed(&renamed, &ids, image, false).of("web", "renamed");
    assert_eq!(of_renamed(&image), Condition::Up);
    assert_eq!(of_renamed(&down), Condition::Unknown);

    let mut moved = desired.clone();
    let backend = moved.pools.get_mut("web").unwrap().backends.get_mut("b1").unwrap();
    backend.address = "10.3.0.9".parse().unwrap();
    assert_eq!(of_b1(&image, &moved), Condition::Unknown);
}

#[test]
fn the_end_of_a_certificate_is_known_until_another_is_seen() {
    let mut checks = configured(&checked(""), Condition::Up);
    let seen = |end_s| Outcome { certificate_end_s: end_s, ..outcome(true) };
    for (second, end_s, known) in [(1, Some(5), Some(5)), (2, None, Some(5)), (3, Some(9), Some(9))]
    {
        let now_ns = START_NS + second * SECOND_NS;
        for probe in checks.due(now_ns) {
            checks.finish(probe.id, Some(seen(end_s)), now_ns);
        }
        assert_eq!(checks.of("web", "b1").unwrap().certificate_end_s, known);
    }
}

#[test]
fn the_last_results_are_kept_and_no_more() {
    let mut checks = configured(&checked(""), Condition::Up);
    seconds(&mut checks, 1, "--+-+-+");
    let kept: Vec<_> = checks.of("web", "b1").unwrap().results.iter().collect();
    let passed: String =
        kept.iter().map(|last| if last.outcome.passed { '+' } else { '-' }).collect();
    assert_eq!(passed, "+-+-+");
    let times: Vec<_> = kept.iter().map(|last| (last.at_ns - START_NS) / SECOND_NS).collect();
    assert_eq!(times, [3, 4, 5, 6, 7]);
}
