//! Indices over random histories of configurations.

use proptest::prelude::*;

use super::*;
use crate::core::samples::{Agent, desired, history};

/// The indices of one kind: names with their index, and the range they come from.
struct Kind {
    by_name: BTreeMap<String, u32>,
    range: std::ops::Range<u32>,
}

/// Services, pools, backends.
fn kinds(ids: &Ids, desired: &Desired) -> [Kind; 3] {
    let Limits { services, pools, backends, .. } = desired.limits;
    let service = |name: &String| (name.clone(), ids.service(name).unwrap());
    let pool = |name: &String| (name.clone(), ids.pool(name).unwrap());
    let of_pool = |(pool, spec): (&String, &lb_common::config::Pool)| {
        let backend = |name: &String| {
            let index = ids.backend(pool, name).unwrap();
            (format!("{pool}/{name}"), u32::from(index.value()))
        };
        spec.backends.keys().map(backend).collect::<Vec<_>>()
    };
    [
        Kind { by_name: desired.services.keys().map(service).collect(), range: 0..services },
        Kind { by_name: desired.pools.keys().map(pool).collect(), range: 0..pools },
        Kind { by_name: desired.pools.iter().flat_map(of_pool).collect(), range: 1..backends + 1 },
    ]
}

/// The names of services, pools and backends.
fn names(desired: &Desired) -> [BTreeSet<String>; 3] {
    let of_pool = |(pool, spec): (&String, &lb_common::config::Pool)| {
        spec.backends.keys().map(|name| format!("{pool}/{name}")).collect::<Vec<_>>()
    };
    [
        desired.services.keys().cloned().collect(),
        desired.pools.keys().cloned().collect(),
        desired.pools.iter().flat_map(of_pool).collect(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_index_never_changes_while_its_name_stays((limits, samples) in history()) {
        let mut ids = Ids::default();
        let mut before: Option<[Kind; 3]> = None;
        for desired in samples.iter().map(|sample| sample.desired(&limits)) {
            let Ok(next) = ids.assign(&desired) else { continue };
            ids = next;
            let after = kinds(&ids, &desired);
            for (before, after) in before.iter().flatten().zip(&after) {
                for (name, index) in &before.by_name {
                    prop_assert!(after.by_name.get(name).is_none_or(|now| now == index), "{}", name);
                }
            }
            before = Some(after);
        }
    }

    #[test]
    fn every_name_has_an_index_of_its_own_in_range((limits, samples) in history()) {
        let mut ids = Ids::default();
        for desired in samples.iter().map(|sample| sample.desired(&limits)) {
            let Ok(next) = ids.assign(&desired) else { continue };
            ids = next;
            for Kind { by_name, range } in kinds(&ids, &desired) {
                let indices: BTreeSet<u32> = by_name.values().copied().collect();
                prop_assert_eq!(indices.len(), by_name.len());
                prop_assert!(indices.iter().all(|index| range.contains(index)), "{:?}", by_name);
            }
        }
    }

    #[test]
    fn a_freed_index_is_not_given_away_in_the_step_that_frees_it((limits, samples) in history()) {
        let mut ids = Ids::default();
        let mut before: Option<[Kind; 3]> = None;
        for desired in samples.iter().map(|sample| sample.desired(&limits)) {
            let Ok(next) = ids.assign(&desired) else { continue };
            ids = next;
            let after = kinds(&ids, &desired);
            for (before, after) in before.iter().flatten().zip(&after) {
                let owned: BTreeSet<u32> = before.by_name.values().copied().collect();
                for (name, index) in &after.by_name {
                    prop_assert!(before.by_name.contains_key(name) || !owned.contains(index), "{}", name);
                }
            }
            before = Some(after);
        }
    }

    /// Names that stay need no index, and what is free is enough for those that come.
    #[test]
    fn a_configuration_is_refused_only_if_old_and_new_names_outnumber_the_indices(
        (limits, samples) in history(),
    ) {
        let mut ids = Ids::default();
        let mut before: [BTreeSet<String>; 3] = Default::default();
        for desired in samples.iter().map(|sample| sample.desired(&limits)) {
            let names = names(&desired);
            let room = [limits.services, limits.pools, limits.backends];
            let wanted = before.iter().zip(&names).map(|(old, new)| old.union(new).count());
            let fits = wanted.zip(room).all(|(wanted, room)| wanted <= room as usize);
            let assigned = ids.assign(&desired);
            prop_assert_eq!(assigned.is_ok(), fits);
            if let Ok(next) = assigned {
                (ids, before) = (next, names);
            }
        }
    }

    #[test]
    fn a_restarted_agent_finds_its_indices_in_the_maps((limits, samples) in history()) {
        let mut agent = Agent::default();
        for sample in &samples {
            if agent.change_to(sample, &limits).is_ok() {
                let desired = sample.desired(&limits);
                let adopted = Ids::adopt(&agent.observed);
                for (before, after) in kinds(&agent.ids, &desired).iter().zip(kinds(&adopted, &desired)) {
                    prop_assert_eq!(&before.by_name, &after.by_name);
                }
            }
        }
    }
}

/// A configuration of one pool with these backends and room for four.
fn four(names: &[&str]) -> Desired {
    let backend = |(number, name): (usize, &&str)| {
        format!("{{ name: {name}, address: 10.3.0.{} }}", number + 1)
    };
    let backends: Vec<_> = names.iter().enumerate().map(backend).collect();
    let pools = format!("[{{ name: web, backends: [{}] }}]", backends.join(", "));
    let mut desired = desired(&pools, "[]");
    desired.limits.backends = 4;
    desired
}

fn index(ids: &Ids, name: &str) -> u16 {
    ids.backend("web", name).unwrap().value()
}

#[test]
fn a_freed_index_rests_while_others_are_free() {
    let ids = Ids::default().assign(&four(&["a", "b"])).unwrap();
    assert_eq!((index(&ids, "a"), index(&ids, "b")), (1, 2));

    let ids = ids.assign(&four(&["b"])).unwrap();
    let ids = ids.assign(&four(&["b", "c"])).unwrap();
    let ids = ids.assign(&four(&["c"])).unwrap();
    let ids = ids.assign(&four(&["c", "d"])).unwrap();
    assert_eq!((index(&ids, "c"), index(&ids, "d")), (3, 4));

    // All have been used once: the one that was freed first is next.
    let ids = ids.assign(&four(&["c", "d", "e"])).unwrap();
    assert_eq!(index(&ids, "e"), 1);
}

#[test]
fn one_backend_too_many_is_refused_by_name_and_limit() {
    let full = Ids::default().assign(&four(&["a", "b", "c", "d"])).unwrap();

    let error = full.assign(&four(&["a", "b", "c", "d", "e"])).unwrap_err();

    assert_eq!(error.to_string(), "no free index for backend web/e: limits.backends is 4");
}

#[test]
fn full_maps_let_go_of_backends_before_others_take_their_indices() {
    let full = Ids::default().assign(&four(&["a", "b", "c", "d"])).unwrap();

    let refused = full.assign(&four(&["a", "b", "c", "e"])).unwrap_err();
    let without = full.assign(&four(&["a", "b", "c"])).unwrap();
    let ids = without.assign(&four(&["a", "b", "c", "e"])).unwrap();

    assert_eq!(refused.to_string(), "no free index for backend web/e: limits.backends is 4");
    assert_eq!(index(&ids, "e"), index(&full, "d"));
}

#[test]
fn a_backend_that_is_still_in_the_maps_keeps_its_index() {
    let entry = |name| {
        let name_hash = NameHash::of_backend("web", name).0;
        lb_common::abi::BackendEntry { name_hash, ..Default::default() }
    };
    let [one, two] = [1, 2].map(|index| BackendIndex::new(index).unwrap());
    let backends = BTreeMap::from([(one, entry("a")), (two, entry("left"))]);
    let maps = Image { backends, ..Image::default() };

    let ids = Ids::adopt(&maps).assign(&four(&["a", "b", "c"])).unwrap();
    let again = Ids::adopt(&maps).assign(&four(&["a", "left"])).unwrap();

    assert_eq!(["a", "b", "c"].map(|name| index(&ids, name)), [1, 3, 4]);
    assert_eq!(index(&again, "left"), 2);
    assert!(Ids::adopt(&maps).assign(&four(&["a", "b", "c", "d"])).is_err());
}

#[test]
fn a_refused_configuration_changes_no_index() {
    let before = Ids::default().assign(&four(&["a", "b"])).unwrap();
    let copy = before.clone();

    let refused = before.assign(&four(&["a", "v", "w", "x", "y"]));

    assert!(refused.is_err());
    assert_eq!(before, copy);
}

#[test]
fn the_hash_of_a_backend_is_that_of_its_names_with_a_slash_however_long_they_are() {
    for (pool, backend) in [
        ("web", "web-1"),
        (&*"p".repeat(63), &*"b".repeat(63)),
        (&*"x".repeat(90), &*"y".repeat(90)),
    ] {
        let joined = NameHash::of(&format!("{pool}/{backend}"));
        assert_eq!(NameHash::of_backend(pool, backend), joined, "{pool}/{backend}");
    }
}
