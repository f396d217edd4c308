//! What results come to besides conditions: reports, holding down, averages.

use lb_common::config::Adapt;

use super::*;

#[test]
fn a_report_is_read_word_by_word() {
    let said = |percent, drained, is_down| Ok(Report { percent, drained, is_down });
    let rows = [
        ("75%\n", said(Some(75), None, false)),
        ("up 50%\r\n", said(Some(50), None, false)),
        ("ready,100%", said(Some(100), Some(false), false)),
        ("DRAIN", said(None, Some(true), false)),
        ("maint # disk change\n", said(None, Some(true), false)),
        ("down", said(None, None, true)),
        ("stopped", said(None, None, true)),
        ("maxconn:30 40%", said(Some(40), None, false)),
        ("250%", said(Some(100), None, false)),
        ("0%", said(Some(0), None, false)),
        ("", Err("an empty report".to_owned())),
        ("# nothing", Err("an empty report".to_owned())),
        ("-5%", Err("\"-5%\" is no word of a report".to_owned())),
        ("75", Err("\"75\" is no word of a report".to_owned())),
        ("up slowly", Err("\"slowly\" is no word of a report".to_owned())),
    ];
    for (line, expected) in rows {
        assert_eq!(Report::parse(line), expected, "{line:?}");
    }
}

#[test]
fn what_a_report_does_not_mention_stays() {
    let mut load = Load::default();
    for (line, percent, drained, none) in [
        ("75%", 75, false, false),
        ("drain", 75, true, true),
        ("50%", 50, true, true),
        ("up", 50, true, true),
        ("ready", 50, false, false),
        ("0%", 0, false, true),
    ] {
        load.take(Report::parse(line).unwrap());
        assert_eq!((load, load.wants_none()), (Load { percent, drained }, none), "{line}");
    }
}

/// Moments, in seconds, at which a backend that fails at once and passes at once changes its
/// condition: it is told to fail at the moments given, each time for a second.
fn changes(failures_s: &[u64], until_s: u64) -> Vec<(u64, Condition)> {
    let desired = desired(
        "[{ name: web, failover: { hold_down: 10s, hold_down_max: 1m }, \
            health: { type: tcp, port: 80, interval: 1s, timeout: 500ms, rise: 1, fall: 1 }, \
            backends: [{ name: b1, address: 10.3.0.1 }] }]",
        "[]",
    );
    let mut checks = configured(&desired, Condition::Up);
    let mut changes = Vec::new();
    for second in 1..=until_s {
        let now_ns = START_NS + second * SECOND_NS;
        for probe in checks.due(now_ns) {
            let passed = !failures_s.contains(&second);
            let transition = checks.finish(probe.id, Some(outcome(passed)), now_ns);
            changes.extend(transition.map(|transition| (second, transition.to)));
        }
    }
    changes
}

#[test]
fn a_backend_that_flaps_stays_down_for_longer_each_time() {
    use Condition::{Down, Up};
    // The first recovery is believed at once; the next failure holds for 10 s, the one after for 20.
    let expected = [(5, Down), (6, Up), (10, Down), (20, Up), (25, Down), (45, Up)];
    assert_eq!(changes(&[5, 10, 25], 60), expected);
}

#[test]
fn a_backend_is_not_held_for_longer_than_the_longest() {
    let failures = [1, 3, 15, 40, 85, 150];
    let changes = changes(&failures, 300);
    let downs = changes.chunks(2).map(|pair| pair[1].0 - pair[0].0).collect::<Vec<_>>();
    assert_eq!(downs, [1, 10, 20, 40, 60, 60]);
}

#[test]
fn failures_far_apart_are_each_the_first() {
    use Condition::{Down, Up};
    let expected = [(5, Down), (6, Up), (70, Down), (71, Up)];
    assert_eq!(changes(&[5, 70], 100), expected, "it stayed up for longer than a minute");
}

#[test]
fn answers_are_averaged_and_failures_are_no_answers() {
    let mut checks = configured(&checked(""), Condition::Up);
    let mut average_ns = |second: u64, passed, took_ns| {
        let now_ns = START_NS + second * SECOND_NS;
        for probe in checks.due(now_ns) {
            checks.finish(probe.id, Some(Outcome { took_ns, ..outcome(passed) }), now_ns);
        }
        checks.known("web", "b1", now_ns).answer_ns
    };
    assert_eq!(average_ns(1, true, 8_000), Some(8_000));
    assert_eq!(average_ns(2, false, 900_000), Some(8_000));
    assert_eq!(average_ns(3, true, 16_000), Some(9_000));
}

#[test]
fn failures_that_are_not_believed_hold_nobody() {
    let mut checks = configured(&checked(""), Condition::Up);
    let mut second = 0;
    let mut all = |checks: &mut Checks, passed, times| {
        for _ in 0..times {
            second += 1;
            let now_ns = START_NS + second * SECOND_NS;
            for probe in checks.due(now_ns) {
                checks.finish(probe.id, Some(outcome(passed)), now_ns);
            }
        }
        START_NS + second * SECOND_NS
    };
    all(&mut checks, false, 3);
    all(&mut checks, true, 2);
    let now_ns = all(&mut checks, false, 3);
    assert!(checks.of("web", "b1").unwrap().held_ns(now_ns).is_some());
    checks.release("web");
    assert_eq!(checks.of("web", "b1").unwrap().held_ns(now_ns), None);
    all(&mut checks, true, 2);
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Up);
}

#[test]
fn a_report_is_forgotten_when_nobody_asks_any_more() {
    let with = |adapt| {
        let mut desired = checked("");
        desired.pools.get_mut("web").unwrap().adapt = adapt;
        desired
    };
    let adapt = Adapt {
        report_port: Some(9000),
        response_time: true,
        floor: 10,
        step: 10,
        every: Duration::from_secs(5),
    };
    let mut checks = configured(&with(Some(adapt)), Condition::Up);
    let now_ns = START_NS + SECOND_NS;
    let drain = Report { drained: Some(true), ..Report::default() };
    for probe in checks.due(now_ns) {
        assert_eq!(probe.report_port, Some(9000));
        checks.finish(probe.id, Some(Outcome { report: Some(drain), ..outcome(true) }), now_ns);
    }
    assert!(checks.known("web", "b1", now_ns).load.wants_none());
    let unasked = with(Some(Adapt { report_port: None, ..adapt }));
    checks.configure(&unasked, |_, _| Condition::Up, now_ns);
    assert!(!checks.known("web", "b1", now_ns).load.wants_none());
}
