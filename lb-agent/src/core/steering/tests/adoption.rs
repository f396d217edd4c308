//! What the next agent makes of the maps.

use super::*;

const TAKES: u8 = BackendEntry::ACCEPTS_NEW | BackendEntry::USABLE;
const WAITS: u8 = BackendEntry::USABLE;

impl Life {
    /// The agent starts anew, and has heard nobody yet. The maps have these flags and weights.
    fn starts_anew(&mut self, second: u64, entries: &[(&str, u8, u16)]) -> &mut Self {
        let ids = Ids::default().assign(&self.desired).unwrap();
        let entry = |(name, flags, weight): &(&str, u8, u16)| {
            let entry = BackendEntry { flags: *flags, weight: *weight, ..BackendEntry::default() };
            (ids.backend("web", name).unwrap(), entry)
        };
        let backends = entries.iter().map(entry).collect();
        let observed = Image { backends, ..Image::default() };
        let now_ns = second * SECOND_NS;
        self.steering = Steering::adopt(&self.desired, &self.overrides, (&ids, &observed), now_ns);
        self.known.clear();
        self
    }
}

#[test]
fn the_tier_in_use_outlives_the_agent() {
    let mut life = Life::new("failover: { failback_delay: 60s }", TIERS);
    life.starts_anew(0, &[("a", WAITS, 100), ("b", TAKES, 100)]);
    assert_eq!(life.at(0), "a=standby:0 b=active:100");
    assert_eq!(life.at(60), "a=standby:0 b=active:100", "it may fail its checks");
    assert_eq!(life.know("a", |_| {}).at(61), "a=standby:0 b=active:100");
    assert_eq!(life.at(121), "a=active:100 b=standby:0");
}

#[test]
fn a_lower_tier_that_was_only_spared_takes_nothing_over_at_a_restart() {
    let mut life = Life::new("failover: { max_ejected: 50 }", FIVE);
    let entries = [("a", 0, 100), ("b", WAITS, 100), ("c", WAITS, 100)];
    life.starts_anew(0, &[&entries[..], &[("y", TAKES, 100), ("z", TAKES, 100)]].concat());
    life.is("a", Condition::Unknown, 0);
    assert_eq!(life.at(0), "a!=waiting:0 b=standby:0 c=standby:0 y=active:100 z=active:100");
    life.know("b", |_| {});
    assert_eq!(life.at(1), "a!=waiting:0 b=active:100 c=active:100 y=standby:0 z=standby:0");
}

#[test]
fn an_operators_weight_is_not_taken_for_an_adaptation_by_the_next_agent() {
    let mut life = Life::new(ADAPT, TIERS);
    life.command("a", Change::Weight(Weight::new(20)));
    life.starts_anew(0, &[("a", TAKES, 20), ("b", WAITS, 100)]);
    assert_eq!(life.at(1), "a=active:20 b=standby:0");
    life.know("a", |_| {});
    assert_eq!(life.at(6), "a=active:20 b=standby:0");
}

#[test]
fn a_slow_start_goes_on_where_the_last_agent_left_it() {
    let mut life = Life::new("failover: { slow_start: 100s }", THREE);
    life.at(0);
    life.is("a", Condition::Down, 1).at(1);
    life.is("a", Condition::Up, 10).at(10);
    let before = life.at(45);
    assert_eq!(before, "a=active:36 b=active:100 c=active:100");
    life.starts_anew(45, &[("a", TAKES, 36), ("b", TAKES, 100), ("c", TAKES, 100)]);
    assert_eq!(life.at(45), before);
    assert_eq!(life.next_s(), Some(55));
    assert_eq!(life.at(55), "a=active:45 b=active:100 c=active:100");
    assert_eq!(life.at(120), "a=active:100 b=active:100 c=active:100");
}

#[test]
fn who_wanted_nothing_gets_nothing_until_it_has_been_heard_by_the_next_agent() {
    let mut life = Life::new(ADAPT, THREE);
    life.starts_anew(0, &[("a", WAITS, 100), ("b", TAKES, 40), ("c", TAKES, 100)]);
    assert_eq!(life.at(0), "a=draining:0 b=active:40 c=active:100");
    assert!(life.steering.is_behind(), "its first result changes no condition");
    assert_eq!(life.at(5), "a=draining:0 b=active:40 c=active:100", "nobody has been heard");
    life.know("a", |known| known.load.drained = true).know("b", |_| {}).know("c", |_| {});
    assert_eq!(life.at(10), "a=draining:0 b=active:70 c=active:100");
    assert!(!life.steering.is_behind());
    life.know("a", |known| known.load.drained = false);
    assert_eq!(life.at(11), "a=active:100 b=active:70 c=active:100");
}

#[test]
fn a_tier_that_waited_is_not_taken_for_one_that_wanted_nothing() {
    let mut life = Life::new(ADAPT, TIERS);
    life.starts_anew(0, &[("a", TAKES, 100), ("b", WAITS, 100)]);
    assert_eq!(life.at(0), "a=active:100 b=standby:0");
}

#[test]
fn where_nobody_is_checked_nobody_is_waited_for() {
    let mut life = Life::new("failover: { max_ejected: 50 }", TIERS);
    life.desired.pools.get_mut("web").unwrap().health = None;
    // Its weight was 0 when the last agent wrote the maps.
    life.starts_anew(0, &[("a", WAITS, 0), ("b", TAKES, 100)]);
    assert_eq!(life.at(0), "a=active:100 b=standby:0");
    assert!(!life.steering.is_behind());
}
