//! The end of a panic: a pool whose checks were not believed is believed again as a whole.
//!
//! What made all checks fail, a lost link for instance, ends for all backends at once, but their
//! probes come one after the other. If the first that is up ended the panic, the others would be down
//! for the rest of the interval, and their connections, which live, would be reset elsewhere.

use std::collections::BTreeMap;

use super::EffectivePool;
use crate::core::health::{Checks, Condition, Conditions};

/// Whether somebody of a pool is used although its checks fail.
pub fn is_panic_in_force(pool: &EffectivePool) -> bool {
    pool.values().any(|backend| backend.usable && backend.condition == Condition::Down)
}

/// What to act on: what the checks say, but in pools that are in panic, what was acted on before, as
/// long as somebody who is down passed its last check: it is up, or down, within an interval or two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acted {
    /// The conditions.
    pub conditions: Conditions,
    /// Whether they are not all those of the checks.
    pub is_behind: bool,
}

impl Acted {
    /// Works them out from the checks and from what is in force.
    pub fn on(checks: &Checks, in_force: &BTreeMap<String, EffectivePool>) -> Self {
        let mut acted = Self { conditions: checks.conditions(), is_behind: false };
        for (name, pool) in in_force {
            if !is_panic_in_force(pool) || !is_anybody_rising(checks, name, pool) {
                continue;
            }
            for (backend, effective) in pool {
                if acted.conditions.of(name, backend) != effective.condition {
                    acted.is_behind = true;
                    acted.conditions = acted.conditions.with(name, backend, effective.condition);
                }
            }
        }
        acted
    }
}

fn is_anybody_rising(checks: &Checks, name: &str, pool: &EffectivePool) -> bool {
    let machines = pool.keys().filter_map(|backend| Some(checks.of(name, backend)?.machine));
    machines
        .into_iter()
        .any(|machine| machine.condition() == Condition::Down && machine.against() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::effective::effective;
    use crate::core::health::Outcome;
    use crate::core::overrides::Overrides;
    use crate::core::samples::desired;

    const INTERVAL_NS: u64 = 1_000_000_000;

    /// Three backends that are all down and all used; then their probes say this, in turn: those of
    /// the first backend's column, the second's, the third's, once an interval. Gives, for each result,
    /// what is acted on, and whether that is behind.
    fn recovery(rounds: [&str; 3]) -> Vec<(String, bool)> {
        let backends =
            [1, 2, 3].map(|number| format!("{{ name: b{number}, address: 10.3.0.{number} }}"));
        let health = "{ type: tcp, port: 80, interval: 1s, timeout: 500ms, rise: 2, fall: 2 }";
        let pools =
            format!("[{{ name: web, health: {health}, backends: [{}] }}]", backends.join(", "));
        let desired = desired(&pools, "[]");
        let mut checks = Checks::default();
        checks.configure(&desired, |_, _| Condition::Down, 0);
        let mut in_force = effective(&desired, &Overrides::default(), &checks.conditions());
        assert!(is_panic_in_force(&in_force["web"]));
        let mut steps = Vec::new();
        for (round, results) in (1..).zip(rounds) {
            let now_ns = round * INTERVAL_NS;
            for (probe, result) in checks.due(now_ns).into_iter().zip(results.chars()) {
                let passed = result == '+';
                let outcome =
                    Outcome { passed, detail: String::new(), took_ns: 1, certificate_end_s: None };
                checks.finish(probe.id, Some(outcome), now_ns);
                let Acted { conditions, is_behind } = Acted::on(&checks, &in_force);
                in_force = effective(&desired, &Overrides::default(), &conditions);
                let used = in_force["web"].values().filter(|backend| backend.usable).count();
                let up = ["b1", "b2", "b3"].map(|name| conditions.of("web", name));
                let up = up.iter().filter(|condition| **condition == Condition::Up).count();
                steps.push((format!("{used} used, {up} up"), is_behind));
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
}
