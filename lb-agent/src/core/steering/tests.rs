//! Decisions that follow on decisions, in virtual time.

mod adoption;
mod recovery;

use super::*;
use crate::core::drain::Drain;
use crate::core::health::{Condition, Load};
use crate::core::overrides::Change;
use crate::core::samples::desired;

const SECOND_NS: u64 = 1_000_000_000;

/// A pool `web`, what is known of its backends, and the last decision.
struct Life {
    desired: Desired,
    overrides: Overrides,
    known: BTreeMap<String, Known>,
    steering: Steering,
}

impl Life {
    /// `failover` and `backends` as a configuration has them; everybody is up.
    fn new(fields: &str, backends: &str) -> Self {
        let health = "{ type: tcp, port: 80, interval: 1s, timeout: 500ms, panic_threshold: 0 }";
        let pools =
            format!("[{{ name: web, health: {health}, {fields}, backends: [{backends}] }}]");
        let desired = desired(&pools, "[]");
        let (overrides, known, steering) = Default::default();
        Self { desired, overrides, known, steering }
    }

    fn is(&mut self, backend: &str, condition: Condition, at_s: u64) -> &mut Self {
        let known = self.known.entry(backend.to_owned()).or_default();
        (known.condition, known.since_ns) = (condition, at_s * SECOND_NS);
        self
    }

    fn know(&mut self, backend: &str, edit: impl FnOnce(&mut Known)) -> &mut Self {
        let known = self.known.entry(backend.to_owned()).or_default();
        known.answer_ns = Some(1_000_000);
        edit(known);
        self
    }

    fn command(&mut self, backend: &str, change: Change) -> &mut Self {
        self.overrides = self.overrides.with("web", backend, change);
        self
    }

    /// The decision of this moment: of each backend its state, and its weight in the table or, of those
    /// that have none, whether they are used.
    fn at(&mut self, second: u64) -> String {
        let known = |_: &str, backend: &str| self.known.get(backend).copied().unwrap_or_default();
        self.steering =
            self.steering.decide(&self.desired, &self.overrides, known, second * SECOND_NS);
        let told = self.steering.pools()["web"].iter().map(|(name, backend)| {
            let weight = backend.table_weight().value();
            let used = if backend.usable { "" } else { "!" };
            format!("{name}{used}={}:{weight}", backend.state.name())
        });
        told.collect::<Vec<_>>().join(" ")
    }

    fn next_s(&self) -> Option<u64> {
        self.steering.next_ns().map(|next_ns| next_ns / SECOND_NS)
    }
}

const THREE: &str = "{ name: a, address: 10.3.0.1 }, { name: b, address: 10.3.0.2 }, { name: c, address: 10.3.0.3 }";
const TIERS: &str = "{ name: a, address: 10.3.0.1 }, { name: b, address: 10.3.0.2, tier: 1 }";

#[test]
fn no_more_are_out_at_once_than_may_be_and_those_that_failed_first_are() {
    let mut life = Life::new("failover: { max_ejected: 40 }", THREE);
    assert_eq!(life.at(0), "a=active:100 b=active:100 c=active:100");
    let down = life.is("c", Condition::Down, 5).is("a", Condition::Down, 7).at(8);
    assert_eq!(down, "a=active:100 b=active:100 c!=down:0");
    assert!(is_sparing(&life.steering.pools()["web"]));
    assert!(!is_panic_in_force(&life.steering.pools()["web"]));
    let next = life.is("c", Condition::Up, 9).at(9);
    assert_eq!(next, "a!=down:0 b=active:100 c=active:100");
    assert!(!is_sparing(&life.steering.pools()["web"]));
}

#[test]
fn one_may_be_out_however_small_the_share() {
    let mut life = Life::new("failover: { max_ejected: 1 }", THREE);
    let down = life.is("b", Condition::Down, 1).is("c", Condition::Down, 2).at(3);
    assert_eq!(down, "a=active:100 b!=down:0 c=active:100");
}

#[test]
fn a_pool_that_fails_closed_has_nobody_when_nobody_is_up() {
    let mut life = Life::new("failover: {}", TIERS);
    let down = life.is("a", Condition::Down, 1).is("b", Condition::Down, 1).at(1);
    assert_eq!(down, "a!=down:0 b!=down:0");
}

#[test]
fn failover_is_at_once_and_failback_waits_without_a_break() {
    let mut life = Life::new("failover: { failback_delay: 60s }", TIERS);
    assert_eq!(life.at(0), "a=active:100 b=standby:0");
    assert_eq!(life.is("a", Condition::Down, 1).at(1), "a!=down:0 b=active:100");
    assert_eq!(life.is("a", Condition::Up, 10).at(10), "a=standby:0 b=active:100");
    assert_eq!(life.next_s(), Some(70));
    assert_eq!(life.is("a", Condition::Down, 50).at(50), "a!=down:0 b=active:100");
    assert_eq!(life.is("a", Condition::Up, 55).at(55), "a=standby:0 b=active:100");
    assert_eq!(life.next_s(), Some(115), "the time begins anew");
    assert_eq!(life.at(114), "a=standby:0 b=active:100");
    assert_eq!(life.at(115), "a=active:100 b=standby:0");
    assert_eq!(life.next_s(), None);
    assert_eq!(life.is("a", Condition::Down, 120).at(120), "a!=down:0 b=active:100");
    assert_eq!(
        life.is("a", Condition::Up, 121).is("b", Condition::Down, 121).at(121),
        "a=active:100 b!=down:0",
        "who is alone waits for nobody"
    );
}

#[test]
fn who_comes_back_gets_its_weight_in_steps_each_time() {
    let mut life = Life::new("failover: { slow_start: 100s }", THREE);
    assert_eq!(life.at(0), "a=active:100 b=active:100 c=active:100", "nobody came to others");
    for start in [10, 500] {
        life.is("c", Condition::Down, start - 1).at(start - 1);
        let weights: Vec<_> = (0..=11)
            .map(|step| {
                let told = life.is("c", Condition::Up, start).at(start + step * 10);
                let next_s = life.next_s();
                assert_eq!(next_s, (step < 10).then_some(start + (step + 1) * 10));
                told.rsplit(':').next().unwrap().parse::<u16>().unwrap()
            })
            .collect();
        assert_eq!(weights, [9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 100, 100]);
    }
    life.is("c", Condition::Down, 700).at(700);
    life.is("c", Condition::Up, 701).at(701);
    assert_eq!(life.is("c", Condition::Down, 730).at(730), "a=active:100 b=active:100 c!=down:0");
    assert_eq!(life.is("c", Condition::Up, 740).at(740), "a=active:100 b=active:100 c=active:9");
}

#[test]
fn an_undrained_and_a_new_backend_start_slowly_and_a_restart_does_not() {
    let mut life = Life::new("failover: { slow_start: 100s }", THREE);
    life.at(0);
    life.command("a", Change::Drain(Some(Drain::default()))).at(1);
    assert_eq!(
        life.command("a", Change::Drain(None)).at(2),
        "a=active:9 b=active:100 c=active:100"
    );
    let four = Life::new(
        "failover: { slow_start: 100s }",
        &format!("{THREE}, {{ name: d, address: 10.3.0.4 }}"),
    );
    life.desired = four.desired;
    life.is("d", Condition::Unknown, 3);
    assert!(life.at(3).ends_with("d!=waiting:0"));
    assert!(life.is("d", Condition::Up, 4).at(4).ends_with("d=active:9"));
    life.steering = Steering::default();
    assert_eq!(life.at(5), "a=active:100 b=active:100 c=active:100 d=active:100");
}

#[test]
fn at_a_first_start_nobody_comes_to_others() {
    let mut life = Life::new("failover: { slow_start: 100s }", TIERS);
    life.is("a", Condition::Unknown, 0).is("b", Condition::Unknown, 0).at(0);
    assert_eq!(life.is("b", Condition::Up, 1).at(1), "a!=waiting:0 b=active:100");
    assert_eq!(life.is("a", Condition::Up, 2).at(2), "a=active:100 b=standby:0");
}

const ADAPT: &str = "adapt: { report_port: 9000, floor: 20, step: 30, every: 5s }";

#[test]
fn weights_follow_reports_step_by_step_down_to_the_floor() {
    let mut life = Life::new(ADAPT, TIERS);
    assert_eq!(life.at(0), "a=active:100 b=standby:0");
    life.know("a", |known| known.load.percent = 4);
    let told: Vec<_> = [1, 5, 9, 10, 15, 20].map(|second| life.at(second)).into();
    let weight = |told: &String| told[9..].split(' ').next().unwrap().parse::<u16>().unwrap();
    assert_eq!(told.iter().map(weight).collect::<Vec<_>>(), [100, 70, 70, 40, 20, 20]);
    assert_eq!(life.next_s(), Some(25));
    life.know("a", |known| known.load.percent = 23);
    assert_eq!(life.at(25), "a=active:20 b=standby:0", "so little is not worth a change");
}

#[test]
fn a_server_that_reports_drain_or_nothing_takes_nothing_and_keeps_its_flows() {
    let mut life = Life::new(ADAPT, TIERS);
    life.at(0);
    life.know("a", |known| known.load.drained = true);
    assert_eq!(life.at(1), "a=draining:0 b=active:100");
    life.know("a", |known| known.load = Load { percent: 0, drained: false });
    assert_eq!(life.at(2), "a=draining:0 b=active:100");
    life.know("a", |known| known.load = Load::default());
    assert_eq!(life.at(3), "a=active:100 b=standby:0");
}

#[test]
fn who_answers_in_twice_the_time_gets_half_and_noise_changes_nothing() {
    let adapt = "adapt: { response_time: true, step: 100, every: 5s }";
    let mut life = Life::new(adapt, THREE);
    life.at(0);
    let times_ns = [("a", 9_000_000), ("b", 19_000_000), ("c", 9_200_000)];
    for (name, answer_ns) in times_ns {
        life.know(name, |known| known.answer_ns = Some(answer_ns));
    }
    assert_eq!(life.at(5), "a=active:100 b=active:50 c=active:100");
    for (name, answer_ns) in [("a", 1_000), ("b", 30_000), ("c", 10_000)] {
        life.know(name, |known| known.answer_ns = Some(answer_ns));
    }
    assert_eq!(life.at(10), "a=active:100 b=active:97 c=active:100", "below a millisecond");
}

#[test]
fn an_operators_weight_is_what_is_shared() {
    let mut life = Life::new(ADAPT, TIERS);
    life.know("a", |known| known.load.percent = 50);
    life.at(0);
    life.at(5);
    assert_eq!(
        life.command("a", Change::Weight(Weight::new(500))).at(6),
        "a=active:250 b=standby:0"
    );
    assert_eq!(life.command("a", Change::Weight(Weight::new(1))).at(7), "a=active:1 b=standby:0");
}

const FIVE: &str = "{ name: a, address: 10.3.0.1 }, { name: b, address: 10.3.0.2 }, \
    { name: c, address: 10.3.0.3 }, { name: y, address: 10.3.0.4, tier: 1 }, \
    { name: z, address: 10.3.0.5, tier: 1 }";

#[test]
fn who_is_spared_does_not_keep_a_standby_tier_from_taking_over() {
    let mut life = Life::new("failover: { max_ejected: 50 }", FIVE);
    life.at(0);
    for (name, second) in [("a", 1), ("b", 2), ("c", 3)] {
        life.is(name, Condition::Down, second);
    }
    assert_eq!(life.at(4), "a!=down:0 b=standby:0 c=standby:0 y=active:100 z=active:100");
}

#[test]
fn who_is_out_by_command_or_of_another_tier_takes_nobodys_room() {
    let mut life = Life::new("failover: { max_ejected: 34 }", FIVE);
    life.command("b", Change::Drain(Some(Drain::default())));
    life.is("b", Condition::Down, 1).is("z", Condition::Down, 2).is("a", Condition::Down, 3);
    assert_eq!(life.at(4), "a!=down:0 b!=draining:0 c=active:100 y=standby:0 z!=down:0");
}

#[test]
fn a_standby_that_answers_first_at_a_start_holds_nothing() {
    let mut life = Life::new("failover: { failback_delay: 60s }", TIERS);
    life.is("a", Condition::Unknown, 0).is("b", Condition::Unknown, 0).at(0);
    assert_eq!(life.is("b", Condition::Up, 1).at(1), "a!=waiting:0 b=active:100");
    assert_eq!(life.is("a", Condition::Up, 2).at(2), "a=active:100 b=standby:0");
    life.is("a", Condition::Down, 3).at(3);
    assert_eq!(life.is("a", Condition::Up, 4).at(4), "a=standby:0 b=active:100", "now it waits");
}

#[test]
fn each_lower_tier_waits_for_itself() {
    let three = format!("{TIERS}, {{ name: c, address: 10.3.0.3, tier: 2 }}");
    let mut life = Life::new("failover: { failback_delay: 60s }", &three);
    life.is("a", Condition::Down, 0).is("b", Condition::Down, 0).at(0);
    assert_eq!(life.is("b", Condition::Up, 10).at(10), "a!=down:0 b=standby:0 c=active:100");
    life.is("a", Condition::Up, 69).at(69);
    assert_eq!(life.at(70), "a=standby:0 b=standby:0 c=active:100");
    assert_eq!(life.at(129), "a=active:100 b=standby:0 c=standby:0");
}

#[test]
fn in_a_panic_nobody_starts_slowly() {
    let mut life = Life::new("failover: { slow_start: 100s }", THREE);
    let health = life.desired.pools.get_mut("web").unwrap().health.as_mut().unwrap();
    health.panic_threshold = 1;
    life.at(0);
    for (second, name) in (1..).zip(["a", "b", "c"]) {
        life.is(name, Condition::Down, second).at(second);
    }
    assert_eq!(life.at(4), "a=active:100 b=active:100 c=active:100");
    for name in ["a", "b", "c"] {
        life.is(name, Condition::Up, 5);
    }
    assert_eq!(life.at(5), "a=active:100 b=active:100 c=active:100");
}

#[test]
fn a_server_at_another_address_starts_slowly() {
    let mut life = Life::new("failover: { slow_start: 100s }", THREE);
    life.at(0);
    assert_eq!(life.is("a", Condition::Unknown, 1).at(1), "a!=waiting:0 b=active:100 c=active:100");
    assert_eq!(life.is("a", Condition::Up, 2).at(2), "a=active:9 b=active:100 c=active:100");
}
