//! Who takes new flows, for random pools under random commands.

use lb_common::config::Limits;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::core::drain::Drain;
use crate::core::overrides::{Change, Override};
use crate::core::samples::{Sample, desired, limits, sample};

/// A configuration, and commands on the backends that it has.
fn commanded() -> impl Strategy<Value = (Limits, Sample, Overrides)> {
    let change = prop_oneof![
        proptest::option::of((0..=1000u64).prop_map(|weight| Weight::new(weight).unwrap()))
            .prop_map(Change::Weight),
        proptest::option::of(any::<bool>().prop_map(|forced| Drain { forced, ..Drain::default() }))
            .prop_map(Change::Drain),
    ];
    let commands = vec((any::<prop::sample::Index>(), change), 0..12);
    (limits(), sample(), commands).prop_map(|(limits, sample, commands)| {
        let backends: Vec<_> = sample
            .pools
            .iter()
            .flat_map(|pool| pool.backends.iter().map(|backend| (&pool.name, &backend.name)))
            .collect();
        let mut overrides = Overrides::default();
        for (index, change) in commands {
            if !backends.is_empty() {
                let (pool, backend) = index.get(&backends);
                overrides = overrides.with(pool, backend, change);
            }
        }
        (limits, sample, overrides)
    })
}

/// The weight a backend would have if tiers did not exist.
fn weight_on_its_own(backend: &Backend, entry: Override) -> u16 {
    if entry.drain.is_some() { 0 } else { entry.weight.unwrap_or(backend.weight.value()) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_backend_has_a_state_and_a_weight_in_range(
        (limits, sample, overrides) in commanded(),
    ) {
        let desired = sample.desired(&limits);
        let all = effective(&desired, &overrides, &Conditions::default());
        prop_assert!(all.keys().eq(desired.pools.keys()));
        for (name, pool) in &desired.pools {
            prop_assert!(all[name].keys().eq(pool.backends.keys()));
            for backend in all[name].values() {
                prop_assert!(backend.weight.value() <= Weight::MAX);
                prop_assert!(backend.table_weight() <= backend.weight);
            }
        }
    }

    #[test]
    fn exactly_the_lowest_tier_with_a_ready_backend_takes_traffic(
        (limits, sample, overrides) in commanded(),
    ) {
        let desired = sample.desired(&limits);
        let all = effective(&desired, &overrides, &Conditions::default());
        for (name, pool) in &desired.pools {
            let weight = |backend_name: &str| {
                let entry = overrides.of(name, backend_name);
                weight_on_its_own(&pool.backends[backend_name], entry)
            };
            let ready = pool.backends.iter().filter(|(name, _)| weight(name) > 0);
            let lowest = ready.map(|(_, backend)| backend.tier).min();
            for (backend_name, backend) in &pool.backends {
                let in_table = all[name][backend_name].table_weight().value();
                let expected = if Some(backend.tier) == lowest { weight(backend_name) } else { 0 };
                prop_assert_eq!(in_table, expected, "{}", backend_name);
            }
        }
    }

    #[test]
    fn the_state_says_why_a_backend_takes_no_traffic((limits, sample, overrides) in commanded()) {
        let desired = sample.desired(&limits);
        let all = effective(&desired, &overrides, &Conditions::default());
        for (name, pool) in &desired.pools {
            let lowest_active = all[name]
                .iter()
                .filter(|(_, effective)| effective.state == State::Active)
                .map(|(backend, _)| pool.backends[backend].tier)
                .min();
            for (backend_name, effective) in &all[name] {
                let entry = overrides.of(name, backend_name);
                let backend = &pool.backends[backend_name];
                let holds = match effective.state {
                    State::Active => effective.table_weight() > Weight::ZERO,
                    State::Standby => {
                        effective.weight > Weight::ZERO && lowest_active < Some(backend.tier)
                    }
                    State::Draining => entry.drain.is_some_and(|drain| !drain.forced),
                    State::Drained => entry.drain.is_some_and(|drain| drain.forced),
                    State::Disabled => entry.drain.is_none() && weight_on_its_own(backend, entry) == 0,
                    State::Waiting | State::Down => false,
                };
                prop_assert!(holds, "{backend_name}: {effective:?} with {entry:?}");
            }
        }
    }

    #[test]
    fn a_drained_backend_is_out_of_the_table_and_undrain_restores_it(
        (limits, sample, overrides) in commanded(),
    ) {
        let desired = sample.desired(&limits);
        for (pool, backend) in sample.pools.iter().flat_map(|pool| {
            pool.backends.iter().map(move |backend| (&pool.name, &backend.name))
        }) {
            let undrained = overrides.with(pool, backend, Change::Drain(None));
            let drained = undrained.with(pool, backend, Change::Drain(Some(Drain::default())));
            let while_drained = effective(&desired, &drained, &Conditions::default())[pool][backend];
            prop_assert_eq!(while_drained.state, State::Draining);
            prop_assert_eq!(while_drained.table_weight(), Weight::ZERO);
            let again = drained.with(pool, backend, Change::Drain(None));
            prop_assert_eq!(effective(&desired, &again, &Conditions::default()), effective(&desired, &undrained, &Conditions::default()));
        }
    }
}

const TIERS: &str = "[{ name: web, backends: [
    { name: main, address: 10.3.0.1, weight: 100 },
    { name: off, address: 10.3.0.2, weight: 0 },
    { name: spare, address: 10.3.0.3, weight: 70, tier: 1 } ] }]";

fn states(overrides: &Overrides) -> Vec<(State, u16)> {
    let conditions = Conditions::default();
    let pool = effective(&desired(TIERS, "[]"), overrides, &conditions).remove("web").unwrap();
    pool.values().map(|backend| (backend.state, backend.table_weight().value())).collect()
}

#[test]
fn a_backup_takes_over_when_the_last_primary_is_drained() {
    let nothing = Overrides::default();
    let drained = nothing.with("web", "main", Change::Drain(Some(Drain::default())));

    let calm = [(State::Active, 100), (State::Disabled, 0), (State::Standby, 0)];
    let failover = [(State::Draining, 0), (State::Disabled, 0), (State::Active, 70)];
    assert_eq!(states(&nothing), calm);
    assert_eq!(states(&drained), failover);
}

#[test]
fn a_weight_by_command_wins_over_the_file_in_both_directions() {
    let weight = |weight| Change::Weight(Weight::new(weight));
    let overrides =
        Overrides::default().with("web", "main", weight(0)).with("web", "off", weight(5));

    let expected = [(State::Disabled, 0), (State::Active, 5), (State::Standby, 0)];
    assert_eq!(states(&overrides), expected);
}

/// The states of three backends of tier 0 and one of tier 1, whose checks say this: `U`p, `D`own or
/// `?`; a small letter if nothing is sent there.
fn checked(threshold: u8, said: &str) -> String {
    let backend =
        |(number, tier)| format!("{{ name: b{number}, address: 10.3.0.{number}, tier: {tier} }}");
    let backends = [(1, 0), (2, 0), (3, 0), (4, 1)].map(backend).join(", ");
    let health = format!("{{ type: tcp, port: 80, panic_threshold: {threshold} }}");
    let desired =
        desired(&format!("[{{ name: web, health: {health}, backends: [{backends}] }}]"), "[]");
    let conditions =
        (1..).zip(said.chars()).fold(Conditions::default(), |known, (number, letter)| {
            let condition = match letter {
                'U' => Condition::Up,
                'D' => Condition::Down,
                _ => Condition::Unknown,
            };
            known.with("web", &format!("b{number}"), condition)
        });
    let pool = effective(&desired, &Overrides::default(), &conditions).remove("web").unwrap();
    let letter = |backend: &Effective| {
        let letter = match backend.state {
            State::Active => 'A',
            State::Standby => 'S',
            State::Waiting => 'W',
            State::Down => 'D',
            State::Draining | State::Drained | State::Disabled => '!',
        };
        if backend.usable { letter } else { letter.to_ascii_lowercase() }
    };
    pool.values().map(letter).collect()
}

#[test]
fn what_is_down_takes_nothing_and_the_next_tier_takes_over_when_all_of_one_are() {
    assert_eq!(checked(0, "UUUU"), "AAAS");
    assert_eq!(checked(0, "UDUU"), "AdAS");
    assert_eq!(checked(0, "DDDU"), "dddA");
    assert_eq!(checked(0, "DDDD"), "dddd");
}

#[test]
fn not_all_backends_are_in_service_before_the_first_check() {
    assert_eq!(checked(1, "????"), "wwww");
    assert_eq!(checked(100, "?U??"), "wAww");
}

#[test]
fn when_too_few_are_up_the_checks_are_not_believed() {
    assert_eq!(checked(1, "DDDD"), "AAAS");
    assert_eq!(checked(1, "DDDU"), "dddA");
    assert_eq!(checked(50, "DDDU"), "AAAS");
    assert_eq!(checked(50, "DDUU"), "ddAS");
    assert_eq!(checked(50, "DD?U"), "AAwS", "who is new waits, and ends no panic");
    assert_eq!(checked(50, "D??U"), "dwwA", "not before most have been asked");
}

#[test]
fn a_drained_backend_that_goes_down_loses_its_flows_and_stays_drained() {
    let pools = "[{ name: web, health: { type: tcp, port: 80 }, backends: [
        { name: b1, address: 10.3.0.1 }, { name: b2, address: 10.3.0.2 } ] }]";
    let overrides = Overrides::default().with("web", "b1", Change::Drain(Some(Drain::default())));
    let conditions = Conditions::default().with("web", "b1", Condition::Down);
    let pool = effective(&desired(pools, "[]"), &overrides, &conditions).remove("web").unwrap();
    assert_eq!((pool["b1"].state, pool["b1"].usable), (State::Draining, false));
    assert_eq!((pool["b2"].state, pool["b2"].usable), (State::Active, true));
}

#[test]
fn nothing_is_sent_to_a_backend_whose_flows_were_ended_by_command() {
    let pools = "[{ name: web, health: { type: tcp, port: 80, panic_threshold: 100 }, backends: [
        { name: b1, address: 10.3.0.1 }, { name: b2, address: 10.3.0.2 } ] }]";
    let forced = Drain { forced: true, ..Drain::default() };
    let overrides = Overrides::default().with("web", "b1", Change::Drain(Some(forced)));
    for condition in [Condition::Up, Condition::Down, Condition::Unknown] {
        let conditions = Conditions::default().with("web", "b1", condition);
        let pool = effective(&desired(pools, "[]"), &overrides, &conditions).remove("web").unwrap();
        assert_eq!((pool["b1"].state, pool["b1"].usable), (State::Drained, false), "{condition:?}");
        assert_eq!(pool["b2"].state, State::Active);
    }
}
