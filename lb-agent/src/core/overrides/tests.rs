//! Operator commands on random backends, and their JSON.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::core::samples::{desired, limits, sample};

fn drain() -> impl Strategy<Value = Drain> {
    let deadline = proptest::option::of(0..1_u64 << 40);
    (0..1_u64 << 40, deadline, any::<bool>(), any::<bool>()).prop_map(
        |(since_s, deadline_s, force, forced)| Drain { since_s, deadline_s, force, forced },
    )
}

/// A command on one of a few backends, some of which no sample has.
fn command() -> impl Strategy<Value = (String, String, Change)> {
    let change = prop_oneof![
        proptest::option::of((0..=1000u64).prop_map(|weight| Weight::new(weight).unwrap()))
            .prop_map(Change::Weight),
        proptest::option::of(drain()).prop_map(Change::Drain),
    ];
    (0..6u8, 0..7u8, change)
        .prop_map(|(pool, backend, change)| (format!("p{pool}"), format!("b{backend}"), change))
}

fn overrides() -> impl Strategy<Value = Overrides> {
    vec(command(), 0..20).prop_map(|commands| {
        commands.into_iter().fold(Overrides::default(), |overrides, (pool, backend, change)| {
            overrides.with(&pool, &backend, change)
        })
    })
}

/// All of them, one by one.
fn list(overrides: &Overrides) -> Vec<(&str, &str, Override)> {
    let mut all = Vec::new();
    for (pool, backends) in &overrides.pools {
        all.extend(backends.iter().map(|(name, entry)| (pool.as_str(), name.as_str(), *entry)));
    }
    all
}

proptest! {
    #[test]
    fn a_command_changes_its_own_field_and_nothing_else(
        before in overrides(),
        (pool, backend, change) in command(),
    ) {
        let after = before.with(&pool, &backend, change);

        let old = before.of(&pool, &backend);
        let expected = match change {
            Change::Weight(weight) => Override { weight: weight.map(Weight::value), ..old },
            Change::Drain(drain) => Override { drain, ..old },
        };
        prop_assert_eq!(after.of(&pool, &backend), expected);
        for (other_pool, other, entry) in list(&before) {
            if (other_pool, other) != (pool.as_str(), backend.as_str()) {
                prop_assert_eq!(after.of(other_pool, other), entry);
            }
        }
    }

    #[test]
    fn taking_a_command_back_leaves_no_trace(
        before in overrides(),
        (pool, backend, change) in command(),
    ) {
        let old = before.of(&pool, &backend);
        let back = match change {
            Change::Weight(_) => Change::Weight(old.weight.and_then(|w| Weight::new(w.into()))),
            Change::Drain(_) => Change::Drain(old.drain),
        };
        prop_assert_eq!(before.with(&pool, &backend, change).with(&pool, &backend, back), before);
    }

    #[test]
    fn json_gives_back_what_was_stored(overrides in overrides()) {
        let text = serde_json::to_string(&overrides).unwrap();
        prop_assert_eq!(serde_json::from_str::<Overrides>(&text).unwrap(), overrides);
    }

    #[test]
    fn only_overrides_of_backends_that_have_gone_go(
        before in overrides(),
        limits in limits(),
        sample in sample(),
    ) {
        let desired = sample.desired(&limits);
        let kept = before.kept_for(&desired);
        let known = |pool: &str, name: &str| {
            desired.pools.get(pool).is_some_and(|pool| pool.backends.contains_key(name))
        };
        let expected: Vec<_> =
            list(&before).into_iter().filter(|(pool, name, _)| known(pool, name)).collect();
        prop_assert_eq!(list(&kept), expected);
        prop_assert_eq!(kept.kept_for(&desired), kept.clone());
        prop_assert!(kept.pools.values().all(|backends| !backends.is_empty()));
    }
}

#[test]
fn the_stored_form_stays_as_it_is() {
    let drain = Drain { since_s: 7, deadline_s: Some(9), force: true, forced: false };
    let overrides = Overrides::default()
        .with("web", "web-1", Change::Weight(Weight::new(50)))
        .with("web", "web-2", Change::Drain(Some(drain)));

    let text = r#"{"pools":{"web":{"web-1":{"weight":50},"web-2":{"drain":{"since_s":7,"deadline_s":9,"force":true,"forced":false}}}}}"#;
    assert_eq!(serde_json::to_string(&overrides).unwrap(), text);
    assert_eq!(serde_json::from_str::<Overrides>(text).unwrap(), overrides);
}

#[test]
fn drains_without_a_time_that_an_older_agent_stored_are_read() {
    let text = r#"{"pools":{"web":{"web-1":{"weight":50,"drain":false},"web-2":{"drain":true}}}}"#;
    let overrides: Overrides = serde_json::from_str(text).unwrap();
    assert_eq!(overrides.of("web", "web-1").drain, None);
    assert_eq!(overrides.of("web", "web-2").drain, Some(Drain::default()));
    let drains: Vec<_> = overrides.drains().collect();
    assert_eq!(drains, [("web", "web-2", Drain::default())]);
}

#[test]
fn a_field_that_this_agent_does_not_know_is_refused() {
    let text = r#"{"pools":{"web":{"web-1":{"drain":true,"until":"tomorrow"}}}}"#;
    let error = serde_json::from_str::<Overrides>(text).unwrap_err();
    assert!(error.to_string().contains("unknown field `until`"), "{error}");
}

#[test]
fn a_backend_of_the_same_name_in_another_pool_is_another_backend() {
    let overrides = Overrides::default().with("web", "b1", Change::Drain(Some(Drain::default())));
    let only_api = desired("[{ name: api, backends: [{ name: b1, address: 10.3.0.2 }] }]", "[]");

    assert_eq!(overrides.of("api", "b1"), Override::default());
    assert_eq!(overrides.kept_for(&only_api), Overrides::default());
}

#[test]
fn a_stored_weight_out_of_range_is_refused() {
    let stored = |weight: &str| {
        let text =
            format!(r#"{{"pools":{{"web":{{"web-1":{{"weight":{weight},"drain":false}}}}}}}}"#);
        serde_json::from_str::<Overrides>(&text).map_err(|error| error.to_string())
    };
    for weight in ["1001", "5000", "70000"] {
        let error = stored(weight).unwrap_err();
        assert!(error.contains(&format!("weight {weight} is not in 0..=1000")), "{error}");
    }
    assert_eq!(stored("1000").unwrap().of("web", "web-1").weight, Some(1000));
    assert_eq!(stored("null").unwrap().of("web", "web-1").weight, None);
}
