//! When tables are rebuilt, and what is in them.

use super::*;
use crate::core::drain::Drain;
use crate::core::effective::effective;
use crate::core::health::Conditions;
use crate::core::overrides::{Change, Overrides};
use crate::core::samples::desired;

const POOLS: &str = "[
    { name: api, table_slots: 251, backends: [{ name: b1, address: 10.3.0.9 }] },
    { name: web, table_slots: 1021, backends: [
        { name: b1, address: 10.3.0.1 },
        { name: b2, address: 10.3.0.2, weight: 300 } ] }]";

fn updated(tables: &Tables, desired: &Desired, overrides: &Overrides) -> (Tables, Ids) {
    let ids = Ids::default().assign(desired).unwrap();
    let mut next = tables.clone();
    next.update(desired, &effective(desired, overrides, &Conditions::default()), &ids).unwrap();
    (next, ids)
}

#[test]
fn only_the_table_whose_backends_changed_is_rebuilt() {
    let desired = desired(POOLS, "[]");
    let (before, _) = updated(&Tables::default(), &desired, &Overrides::default());

    let drained = Overrides::default().with("web", "b1", Change::Drain(Some(Drain::default())));
    let (after, _) = updated(&before, &desired, &drained);

    assert!(Arc::ptr_eq(&before.slots("api"), &after.slots("api")));
    assert!(!Arc::ptr_eq(&before.slots("web"), &after.slots("web")));
}

#[test]
fn another_seed_or_size_or_index_makes_another_table() {
    let original = desired(POOLS, "[]");
    let (before, ids) = updated(&Tables::default(), &original, &Overrides::default());
    let effective = effective(&original, &Overrides::default(), &Conditions::default());
    let rebuilt = |desired: &Desired, ids: &Ids| {
        let mut tables = before.clone();
        tables.update(desired, &effective, ids).unwrap();
        tables.slots("web") != before.slots("web")
    };

    let other_seed = Desired { hash_seed: [1, 2], ..original.clone() };
    let other_size = desired(&POOLS.replace("1021", "1031"), "[]");
    // These indices come from a configuration whose first pool has one backend more.
    let moved = POOLS.replace("10.3.0.9 }", "10.3.0.9 }, { name: b0, address: 10.3.0.8 }");
    let other_ids = Ids::default().assign(&desired(&moved, "[]")).unwrap();

    assert!(!rebuilt(&original, &ids));
    assert!(rebuilt(&other_seed, &ids));
    assert!(rebuilt(&other_size, &ids));
    assert!(rebuilt(&original, &other_ids));
}

#[test]
fn shares_follow_the_weights() {
    let (tables, ids) = updated(&Tables::default(), &desired(POOLS, "[]"), &Overrides::default());

    let shares = tables.shares("web");

    let share = |name| shares[&ids.backend("web", name).unwrap()];
    assert_eq!(shares.len(), 2);
    assert!((share("b1") - 0.25).abs() < 0.001, "{shares:?}");
    assert!((share("b2") - 0.75).abs() < 0.001, "{shares:?}");
}

#[test]
fn every_slot_of_a_new_table_is_clean() {
    let (tables, _) = updated(&Tables::default(), &desired(POOLS, "[]"), &Overrides::default());
    let slots = tables.slots("web");

    assert_eq!(slots.len(), 1021);
    assert!(slots.iter().all(|slot| *slot == Slot::clean(slot.current())));
}

#[test]
fn a_pool_without_anyone_to_take_traffic_has_a_table_of_empty_slots() {
    let drained = Overrides::default().with("api", "b1", Change::Drain(Some(Drain::default())));
    let (tables, ids) = updated(&Tables::default(), &desired(POOLS, "[]"), &drained);

    assert_eq!(tables.slots("api").to_vec(), [Slot::default(); 251]);
    assert!(tables.shares("api").is_empty());
    assert!(tables.weights("api").is_empty());
    let both = ["b1", "b2"].map(|name| ids.backend("web", name).unwrap());
    assert_eq!(tables.weights("web"), BTreeMap::from([(both[0], 100), (both[1], 300)]));
}

#[test]
fn the_table_of_a_pool_that_has_gone_is_forgotten() {
    let (before, _) = updated(&Tables::default(), &desired(POOLS, "[]"), &Overrides::default());

    let (after, _) = updated(&before, &desired("[]", "[]"), &Overrides::default());

    assert!(after.slots("web").is_empty());
    assert!(after.slots("no such pool").is_empty());
}

#[test]
fn a_table_that_cannot_be_built_names_its_pool_and_leaves_all_tables() {
    let desired = desired(POOLS, "[]");
    let (mut tables, ids) = updated(&Tables::default(), &desired, &Overrides::default());
    let before = tables.slots("web");
    let mut impossible = desired.clone();
    impossible.pools.get_mut("web").unwrap().table_slots = 1000;

    let effective = effective(&impossible, &Overrides::default(), &Conditions::default());
    let error = tables.update(&impossible, &effective, &ids).unwrap_err();

    let source = BuildError::NotPrime { slots: 1000 };
    assert_eq!(error, TableError { pool: "web".to_owned(), source });
    assert!(Arc::ptr_eq(&before, &tables.slots("web")));
}
