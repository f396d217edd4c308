//! What moves, for changes that one can reckon.

use super::*;
use crate::core::effective::effective;
use crate::core::health::Conditions;
use crate::core::ids::Ids;
use crate::core::overrides::Overrides;
use crate::core::samples::desired;

/// A pool with these fields and backends.
fn pool(fields: &str, backends: &[(&str, &str)]) -> Desired {
    let backend = |(name, rest): &(&str, &str)| format!("{{ name: {name}, address: {rest} }}");
    let backends: Vec<_> = backends.iter().map(backend).collect();
    let backends = backends.join(", ");
    desired(&format!("[{{ name: web, {fields}, backends: [{backends}] }}]"), "[]")
}

fn from_to(before: &Desired, after: &Desired) -> Vec<Moved> {
    let tables = |desired: &Desired, ids: &Ids| {
        let effective = effective(desired, &Overrides::default(), &Conditions::default());
        let mut tables = Tables::default();
        tables.update(desired, &effective, ids).unwrap();
        tables
    };
    let old_ids = Ids::default().assign(before).unwrap();
    let new_ids = old_ids.assign(after).unwrap();
    moved((before, &tables(before, &old_ids)), (after, &tables(after, &new_ids)))
}

const M: &str = "table_slots: 1021";
const A: (&str, &str) = ("a", "10.3.0.1");
const B: (&str, &str) = ("b", "10.3.0.2");
const C: (&str, &str) = ("c", "10.3.0.3");

#[test]
fn nothing_moves_where_nothing_changes_and_pools_that_come_or_go_do_not_count() {
    let both = pool(M, &[A, B]);
    assert_eq!(from_to(&both, &both), []);
    let nobody = desired("[]", "[]");
    assert_eq!(from_to(&nobody, &both), []);
    assert_eq!(from_to(&both, &nobody), []);
}

#[test]
fn a_backend_that_goes_moves_its_share_and_hardly_more() {
    let all = from_to(&pool(M, &[A, B, C]), &pool(M, &[A, B]));
    let [moved] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((moved.pool.as_str(), moved.of_slots, moved.keeps_flows), ("web", 1021, true));
    assert!((0.33..0.36).contains(&moved.share()), "{moved:?}");
    assert_eq!(moved.percent(), u8::try_from((moved.slots * 100).div_ceil(1021)).unwrap());
}

#[test]
fn a_backend_that_is_another_server_moves_its_share() {
    let moved = from_to(&pool(M, &[A, B]), &pool(M, &[A, ("b", "10.3.0.9")]));
    assert!((0.48..0.52).contains(&moved[0].share()), "{moved:?}");
}

#[test]
fn a_table_of_another_size_or_hash_moves_all_and_keeps_no_flows() {
    for fields in ["table_slots: 2053", "table_slots: 1021, scheduler: source-hash"] {
        let moved = from_to(&pool(M, &[A, B]), &pool(fields, &[A, B]));
        assert_eq!((moved[0].percent(), moved[0].keeps_flows), (100, false), "{fields}");
    }
    let forgetful = pool("table_slots: 1021, flow_idle_timeout: 0s", &[A]);
    assert!(!from_to(&pool(M, &[A, B]), &forgetful)[0].keeps_flows);
}

#[test]
fn what_nobody_took_before_does_not_move() {
    assert_eq!(from_to(&pool(M, &[("a", "10.3.0.1, weight: 0")]), &pool(M, &[A])), []);
    let gone = from_to(&pool(M, &[A]), &pool(M, &[("a", "10.3.0.1, weight: 0")]));
    assert_eq!(gone[0].percent(), 100, "nobody takes its flows any more");
}

#[test]
fn a_service_that_goes_to_another_pool_moves_as_a_whole_and_takes_no_flows_along() {
    let with = |pool: &str| {
        let pools = "[{ name: blue, backends: [{ name: a, address: 10.3.0.1 }] }, \
                      { name: green, backends: [{ name: a, address: 10.3.0.1 }] }]";
        let service = format!(
            "[{{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: {pool} }}]"
        );
        desired(pools, &service)
    };
    let all = from_to(&with("blue"), &with("green"));
    let [moved] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!((moved.pool.as_str(), moved.service.as_deref()), ("blue", Some("web")));
    assert_eq!((moved.percent(), moved.keeps_flows), (100, false));
    assert_eq!(from_to(&with("blue"), &with("blue")), []);
}
