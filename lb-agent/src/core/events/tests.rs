//! Each change is told once, with its reason; and the ring keeps the last.

use std::collections::BTreeMap;

use lb_common::config::Weight;

use super::*;
use crate::core::drain::Drain;
use crate::core::effective::{EffectivePool, effective};
use crate::core::health::Conditions;
use crate::core::overrides::{Change, Overrides};
use crate::core::samples::desired;
use crate::core::way::{Link, LinkKind, Way, Ways};

fn words(seen: &[Occurrence]) -> Vec<String> {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let word = |each: &Occurrence| {
        let Occurrence { kind, object, from, to, reason } = each;
        format!("{} {object} {} -> {}: {reason}", kind.name(), shown(from), shown(to))
    };
    seen.iter().map(word).collect()
}

#[test]
fn a_condition_is_told_with_what_the_check_said() {
    let transition = |to| Transition {
        pool: "web".to_owned(),
        backend: "web-1".to_owned(),
        from: Condition::Unknown,
        to,
        reason: "the answer is 503".to_owned(),
    };
    let seen = [of_health(&transition(Condition::Up)), of_health(&transition(Condition::Down))];
    let expected = [
        "backend_up backend web/web-1 unknown -> up: the answer is 503",
        "backend_down backend web/web-1 unknown -> down: the answer is 503",
    ];
    assert_eq!(words(&seen), expected);
}

#[test]
fn each_command_on_a_backend_is_told_once() {
    let plain = Override::default();
    let weight = |weight| Override { weight, ..plain };
    let drain = |deadline_s, forced| Override {
        drain: Some(Drain { deadline_s, forced, ..Drain::default() }),
        ..plain
    };
    let rows = [
        (plain, weight(Some(50)), vec!["weight_changed backend web/b 100 -> 50: by command"]),
        (
            weight(Some(50)),
            plain,
            vec!["weight_changed backend web/b 50 -> 100: by command: as configured"],
        ),
        (plain, drain(None, false), vec!["drain_begun backend web/b - -> -: by command"]),
        (
            drain(None, false),
            drain(Some(9), false),
            vec!["drain_changed backend web/b - -> -: by command"],
        ),
        (
            drain(Some(9), false),
            drain(Some(9), true),
            vec!["drain_forced backend web/b - -> -: the deadline has passed"],
        ),
        (drain(None, true), plain, vec!["drain_taken_back backend web/b - -> -: by command"]),
        (drain(None, false), drain(None, false), vec![]),
        (plain, plain, vec![]),
    ];
    for (before, after, expected) in rows {
        assert_eq!(words(&of_override(("web", "b"), 100, &before, &after)), expected);
    }
}

#[test]
fn commands_that_come_with_a_configuration_are_told_of_the_backends_it_has() {
    let desired = desired("[{ name: web, backends: [{ name: b, address: 10.3.0.1 }] }]", "[]");
    let plain = Overrides::default();
    let command = |backend| plain.with("web", backend, Change::Weight(Weight::new(7)));
    let told =
        |before: &Overrides, after: &Overrides| words(&of_overrides(&desired, before, after));
    let (known, gone) = (command("b"), command("gone"));
    assert_eq!(told(&plain, &known), ["weight_changed backend web/b 100 -> 7: by command"]);
    assert_eq!(
        told(&known, &plain),
        ["weight_changed backend web/b 7 -> 100: by command: as configured"]
    );
    assert_eq!(told(&gone, &plain), Vec::<String>::new());
}

#[test]
fn slots_are_told_when_the_first_moves_and_when_the_last_has_settled() {
    let told = |before, after| of_slots(before, after).map(|seen| seen.kind);
    assert_eq!(told(0, 3), Some(EventKind::TransitionBegun));
    assert_eq!(told(3, 2), None);
    assert_eq!(told(2, 0), Some(EventKind::TransitionEnded));
    assert_eq!(told(0, 0), None);
}

type Pools = BTreeMap<String, EffectivePool>;

/// A pool of two tiers, with these conditions and overrides.
fn pool(conditions: [Condition; 3], overrides: &Overrides) -> Pools {
    let health = "{ type: tcp, port: 80, interval: 1s, timeout: 500ms, panic_threshold: 34 }";
    let backends = "[{ name: a, address: 10.3.0.1 }, { name: b, address: 10.3.0.2 },\
                     { name: c, address: 10.3.0.3, tier: 1 }]";
    let pools = format!("[{{ name: web, health: {health}, backends: {backends} }}]");
    let names = ["a", "b", "c"].into_iter().zip(conditions);
    let conditions: Conditions = names.map(|(name, condition)| ("web", name, condition)).collect();
    effective(&desired(&pools, "[]"), overrides, &conditions)
}

#[test]
fn panic_and_the_tier_in_use_are_told_when_they_change() {
    use Condition::{Down, Up};
    let plain = Overrides::default();
    let all = pool([Up, Up, Up], &plain);
    let one = pool([Down, Up, Up], &plain);
    let panic = pool([Down, Down, Up], &plain);
    let drain = |overrides: &Overrides, name| {
        overrides.with("web", name, Change::Drain(Some(Drain::default())))
    };
    let standby = pool([Up, Up, Up], &drain(&drain(&plain, "a"), "b"));
    let none = pool([Up, Up, Up], &drain(&drain(&drain(&plain, "a"), "b"), "c"));
    let told = |before: &Pools, after: &Pools| words(&of_pools(before, after));

    assert_eq!(told(&BTreeMap::new(), &all), Vec::<String>::new());
    assert_eq!(told(&all, &one), Vec::<String>::new());
    assert_eq!(told(&one, &panic), ["panic_begun pool web - -> -: 1 up, 2 down"]);
    assert_eq!(told(&panic, &panic), Vec::<String>::new());
    assert_eq!(told(&panic, &all), ["panic_ended pool web - -> -: 3 up, 0 down"]);
    let lost = ["tier_changed pool web 0 -> 1: no backend of tier 0 takes new flows"];
    assert_eq!(told(&all, &standby), lost);
    let back = ["tier_changed pool web 1 -> 0: a backend of tier 0 takes new flows again"];
    assert_eq!(told(&standby, &all), back);
    let nobody = ["tier_changed pool web 1 -> none: no backend takes new flows"];
    assert_eq!(told(&standby, &none), nobody);
}

fn known(mac: u8) -> Way {
    let gateway = "10.2.0.1".parse().unwrap();
    let kind = LinkKind::Plain;
    let link = Link { index: 2, name: "eth0".into(), mac: [2; 6], mtu_bytes: 1600, up: true, kind };
    Way::Known { gateway, link, mac: [mac; 6], mtu_bytes: 1600 }
}

fn to_all(way: &Way, count: u8) -> Ways {
    (1..=count).map(|number| ([10, 3, 0, number].into(), way.clone())).collect()
}

#[test]
fn a_next_hop_is_told_once_however_many_backends_are_behind_it() {
    let told = |before: &Ways, after: &Ways| words(&of_ways(before, after));
    let problem = "there is no route".to_owned();
    let lost = Way::Unknown { gateway: None, link: None, problem };
    let many = to_all(&known(4), 10);

    assert_eq!(
        told(&Ways::new(), &many),
        ["next_hop_known next_hop 10.2.0.1 - -> 04:04:04:04:04:04 on eth0, MTU 1600: \
          the way to 10.3.0.1, 10.3.0.2, 10.3.0.3, 10.3.0.4 and 6 more"]
    );
    assert_eq!(told(&many, &many), Vec::<String>::new());
    assert_eq!(
        told(&to_all(&known(4), 1), &to_all(&known(6), 1)),
        ["next_hop_known next_hop 10.2.0.1 04:04:04:04:04:04 on eth0, MTU 1600 -> \
          06:06:06:06:06:06 on eth0, MTU 1600: the way to 10.3.0.1"]
    );
    assert_eq!(
        told(&many, &to_all(&lost, 10)),
        ["next_hop_unknown next_hop none 04:04:04:04:04:04 on eth0, MTU 1600 -> unknown: \
          the way to 10.3.0.1, 10.3.0.2, 10.3.0.3, 10.3.0.4 and 6 more: there is no route"]
    );
}

fn filled(events: usize) -> Ring {
    let mut ring = Ring::new(100);
    for number in 0..events {
        let occurrence = Occurrence::new(EventKind::WeightChanged, "backend web/b", "by command");
        ring.push(occurrence.now(&number), "2026-11-21T10:00:00.000Z".to_owned(), 7);
    }
    ring
}

fn numbers(page: &Page) -> Vec<u64> {
    page.events.iter().map(|event| event.sequence).collect()
}

#[test]
fn the_ring_gives_what_came_after_a_number() {
    let ring = filled(3);
    assert_eq!((ring.last(), ring.generation()), (102, 7));
    assert_eq!(numbers(&ring.after(0, 10)), [100, 101, 102]);
    assert_eq!(numbers(&ring.after(100, 10)), [101, 102]);
    assert_eq!(numbers(&ring.after(100, 1)), [101]);
    assert_eq!(numbers(&ring.after(102, 10)), [] as [u64; 0]);
    assert_eq!(ring.after(0, 10).lost, None, "an earlier run's are not missing");
    assert_eq!(numbers(&ring.after(900, 10)), [100, 101, 102], "a clock that was ahead");
    assert_eq!(Ring::new(100).after(0, 10), Page::default());
}

#[test]
fn the_ring_says_what_it_has_lost() {
    let ring = filled(RING_EVENTS + 10);
    let page = ring.after(104, 2);
    assert_eq!(numbers(&page), [110, 111]);
    assert_eq!((page.missing, ring.after(0, 1).missing), (5, 10), "of this run alone");
    let lost = page.lost.unwrap();
    assert_eq!((lost.kind, lost.sequence), (EventKind::EventsLost, 109));
    assert_eq!((lost.from.as_deref(), lost.to.as_deref()), (Some("105"), Some("109")));
    assert_eq!(lost.reason, "5 events lost: only the last 1024 are kept");
    assert_eq!(ring.after(109, 1).lost, None);
    assert_eq!(ring.after(0, usize::MAX).events.len(), RING_EVENTS);
}
