//! The end of a panic.

use crate::core::health::{Checks, Condition, Outcome};
use crate::core::overrides::Overrides;
use crate::core::samples::desired;
use crate::core::steering::{Steering, is_panic_in_force};

const INTERVAL_NS: u64 = 1_000_000_000;

/// Three backends that are all down and all used; then their probes say this, in turn: those of
/// the first backend's column, the second's, the third's, once an interval. Gives, for each result,
/// what is acted on, and whether that is behind.
fn recovery(rounds: [&str; 3]) -> Vec<(String, bool)> {
    let backends =
        [1, 2, 3].map(|number| format!("{{ name: b{number}, address: 10.3.0.{number} }}"));
    let health = "{ type: tcp, port: 80, interval: 1s, timeout: 500ms, rise: 2, fall: 2 }";
    let pools = format!("[{{ name: web, health: {health}, backends: [{}] }}]", backends.join(", "));
    let desired = desired(&pools, "[]");
    let mut checks = Checks::default();
    checks.configure(&desired, |_, _| Condition::Down, 0);
    let decide = |before: &Steering, checks: &Checks, now_ns| {
        let known = |pool: &str, backend: &str| checks.known(pool, backend, now_ns);
        before.decide(&desired, &Overrides::default(), known, now_ns)
    };
    let mut steering = decide(&Steering::default(), &checks, 0);
    assert!(is_panic_in_force(&steering.pools()["web"]));
    let mut steps = Vec::new();
    for (round, results) in (1..).zip(rounds) {
        let now_ns = round * INTERVAL_NS;
        for (probe, result) in checks.due(now_ns).into_iter().zip(results.chars()) {
            let passed = result == '+';
            let outcome = Outcome {
                passed,
                detail: String::new(),
                took_ns: 1,
                certificate_end_s: None,
                report: None,
            };
            checks.finish(probe.id, Some(outcome), now_ns);
            steering = decide(&steering, &checks, now_ns);
            let pool = &steering.pools()["web"];
            let used = pool.values().filter(|backend| backend.usable).count();
            let up = pool.values().filter(|backend| backend.condition == Condition::Up).count();
            steps.push((format!("{used} used, {up} up"), steering.is_behind()));
        }
    }
    steps
}

#[test]
fn those_who_recover_together_are_believed_together() {
    let steps = recovery(["+++", "+++", ""]);
    let waiting = |behind| ("3 used, 0 up".to_owned(), behind);
    let before = [waiting(false), waiting(false), waiting(false)];
    let during = [waiting(true), waiting(true), ("3 used, 3 up".to_owned(), false)];
    assert_eq!(steps, [before, during].concat());
}

#[test]
fn who_stays_down_holds_nobody_up() {
    let steps = recovery(["++-", "++-", ""]);
    assert_eq!(steps[3], ("3 used, 0 up".to_owned(), true));
    assert_eq!(steps[4], ("2 used, 2 up".to_owned(), false));
}

#[test]
fn who_fails_again_is_not_waited_for() {
    let steps = recovery(["+++", "+-+", ""]);
    assert_eq!(steps[4], ("3 used, 0 up".to_owned(), true), "the third still rises");
    assert_eq!(steps[5], ("2 used, 2 up".to_owned(), false));
}
