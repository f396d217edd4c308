//! Plans that are written out: their order, their room, and what they leave in transition.

use lb_common::abi::TableRef;
use lb_common::config::Desired;

use super::{Readers, after, assert_holds, assert_valid, is_afresh, tables};
use crate::core::effective::effective;
use crate::core::health::Conditions;
use crate::core::ids::Ids;
use crate::core::overrides::Overrides;
use crate::core::plan::*;
use crate::core::samples::{Agent, Step, desired};
use crate::core::tables::Tables;
use crate::core::target::{Ways, target};

/// The maps' contents for a configuration, all tables built anew.
fn target_of(desired: &Desired, ids: &mut Ids) -> Target {
    *ids = ids.assign(desired).unwrap();
    let mut tables = Tables::default();
    tables
        .update(desired, &effective(desired, &Overrides::default(), &Conditions::default()), ids)
        .unwrap();
    target(desired, ids, &tables, &Ways::new(), &BTreeSet::new())
}

/// Maps with room for anything but tables, of which they hold this many pages.
const fn with_pages(pages: u32) -> Limits {
    let table_slots = pages * SLOTS_PER_PAGE;
    Limits { services: 16, pools: 16, backends: 16, table_slots, pins: 8, fragments: 8 }
}

fn plan_in(observed: &Image, target: &Target, pages: u32) -> Vec<Op> {
    plan(observed, target, &with_pages(pages), &BTreeSet::new()).unwrap()
}

/// The maps after the plan from nothing.
fn filled(target: &Target, pages: u32) -> Image {
    after(&Image::default(), &plan_in(&Image::default(), target, pages))
}

/// The operations' names, in order.
pub(super) fn names(ops: &[Op]) -> String {
    let name = |op: &Op| format!("{op:?}").split(' ').next().unwrap().to_owned();
    ops.iter().map(name).collect::<Vec<_>>().join(" ")
}

const NOTHING: &str = "[]";
const WEB: &str =
    "[{ name: web, table_slots: 251, backends: [{ name: web-1, address: 10.3.0.2 }] }]";
const WEB_SERVICE: &str =
    "[{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [80, 443], pool: web }]";

#[test]
fn what_is_referred_to_comes_first_and_goes_last() {
    let mut ids = Ids::default();
    let full = target_of(&desired(WEB, WEB_SERVICE), &mut ids);
    let empty = target_of(&desired(NOTHING, NOTHING), &mut ids);

    let there = plan_in(&Image::default(), &full, 4);
    let back = plan_in(&after(&Image::default(), &there), &empty, 4);

    let coming = "ResetBackend PutBackend PutTable PutPool ResetService PutServices";
    assert_eq!(names(&there), coming);
    assert_eq!(names(&back), "PutServices AwaitReaders RemovePool RemoveBackend");
}

/// Two pools of one page each; `weight` decides what their tables hold.
fn two_pools(weight: u16) -> Desired {
    let backends = format!(
        "[{{ name: b1, address: 10.3.0.2 }}, {{ name: b2, address: 10.3.0.3, weight: {weight} }}]"
    );
    let pool = |name| format!("{{ name: {name}, table_slots: 251, backends: {backends} }}");
    let mut desired = desired(&format!("[{}, {}]", pool("a"), pool("b")), NOTHING);
    desired.limits.table_slots = 3 * SLOTS_PER_PAGE;
    desired
}

#[test]
fn pages_that_this_plan_released_are_written_only_after_readers_were_awaited() {
    let mut ids = Ids::default();
    let observed = filled(&target_of(&two_pools(100), &mut ids), 3);

    let ops = plan_in(&observed, &target_of(&two_pools(50), &mut ids), 3);

    let both = "PutTable PutPool AwaitReaders PutTable PutPool";
    assert_eq!(names(&ops), format!("PutBackend PutBackend {both}"));
}

#[test]
fn pages_that_an_earlier_plan_released_are_written_only_after_readers_were_awaited() {
    let mut agent = Agent::default();
    let mut change = |weight| agent.change(&two_pools(weight), &Ways::new()).unwrap();
    change(100);
    change(50);
    let next = change(20);

    assert_eq!(next.resting.len(), 1);
    let both = "PutTable PutPool AwaitReaders PutTable PutPool";
    let weights = "PutBackend PutBackend";
    assert_eq!(names(&next.ops), format!("{weights} AwaitReaders {both}"));
    let gone_by = names(&plan_in(&next.observed, &next.target, 3));
    assert_eq!(gone_by, format!("{weights} {both}"));
}

#[test]
fn pages_rest_until_readers_are_awaited_or_a_table_stands_there_again() {
    let at = |pages: &[u32]| {
        let pool = |page: &u32| PoolEntry {
            table: TableRef::new(*page, 251),
            name_hash: 1,
            ..PoolEntry::default()
        };
        let pools = (0..).zip(pages.iter().map(pool)).collect();
        Image { pools, ..Image::default() }
    };
    let resting = BTreeSet::from([7, 8]);
    let next = |before: &[u32], after: &[u32], ops: &[Op]| {
        Vec::from_iter(resting_after(&resting, &at(before), &at(after), ops))
    };

    assert_eq!(next(&[0, 1], &[2, 1], &[]), [0, 7, 8]);
    assert_eq!(next(&[0, 1], &[7, 1], &[]), [0, 8]);
    assert_eq!(next(&[0, 1], &[2, 1], &[Op::AwaitReaders]), [0]);
    assert_eq!(next(&[0, 1], &[0, 1], &[Op::AwaitReaders]), [0; 0]);
}

#[test]
fn a_table_without_room_is_refused_with_the_numbers() {
    let two = "[{ name: a, table_slots: 251, backends: [{ name: b, address: 10.3.0.2 }] },
                { name: b, table_slots: 1031, backends: [{ name: b, address: 10.3.0.2 }] }]";
    let target = target_of(&desired(two, NOTHING), &mut Ids::default());

    let refused = plan(&Image::default(), &target, &with_pages(2), &BTreeSet::new());

    let no_room = NoRoom { slots: 1031, pages_free: 1, pages: 2 };
    assert_eq!(refused, Err(Unplanned::Tables(no_room)));
}

/// Pools of one page each by number, and perhaps one of two pages.
fn single_pages(numbers: &[u8], weight: u16, double: bool) -> Desired {
    let mut pools: Vec<_> = numbers
        .iter()
        .map(|number| {
            format!(
                "{{ name: p{number}, table_slots: 251, backends: [
                   {{ name: b1, address: 10.3.{number}.2 }},
                   {{ name: b2, address: 10.3.{number}.3, weight: {weight} }} ] }}"
            )
        })
        .collect();
    if double {
        let backends = "[{ name: b, address: 10.4.0.2 }]";
        pools.push(format!("{{ name: q, table_slots: 1031, backends: {backends} }}"));
    }
    let mut desired = desired(&format!("[{}]", pools.join(", ")), NOTHING);
    // Seven pages: one for each of six pools and one to spare; or 3, and 2 of them twice.
    desired.limits.table_slots = 7 * SLOTS_PER_PAGE;
    desired
}

#[test]
fn tables_are_put_afresh_where_the_free_runs_are_too_short_and_flows_stay() {
    let mut agent = Agent::default();
    let mut change = |numbers: &[u8], weight, double| {
        agent.change(&single_pages(numbers, weight, double), &Ways::new()).unwrap()
    };
    // Each change moves every table on by a page, so that the three that stay lie on every other.
    for weight in [100, 50, 20] {
        change(&[0, 1, 2, 3, 4, 5], weight, false);
    }
    change(&[0, 3, 5], 20, false);

    let step = change(&[0, 3, 5], 20, true);

    assert!(is_afresh(&step.ops), "{}", names(&step.ops));
    let mut image = step.observed.clone();
    for op in &step.ops {
        carry_out(&mut image, op);
        assert_valid(&image);
    }
    assert_holds(&image, &step.target);
    Readers::default().watch(&step);
    let before = tables(&step.observed);
    let restless = |(_, slots): &(u64, Vec<Slot>)| slots.iter().any(|slot| slot.consult());
    assert_eq!(before.values().filter(|pool| restless(pool)).count(), 3);
    assert!(before.iter().all(|(index, pool)| tables(&image)[index] == *pool));
}

#[test]
fn counters_start_at_zero_for_whoever_takes_an_index_over() {
    let named = |name: &str| desired(&WEB.replace("web-1", name), NOTHING);
    let mut first = Ids::default();
    let observed = filled(&target_of(&named("web-1"), &mut first), 4);

    // Other ids, so the new backend has the very index of the old one.
    let taken_over = plan_in(&observed, &target_of(&named("web-2"), &mut Ids::default()), 4);
    let kept = plan_in(&observed, &target_of(&named("web-1"), &mut first), 4);

    assert_eq!(names(&taken_over), "ResetBackend PutBackend");
    assert_eq!(kept, []);
}

#[test]
fn a_service_with_one_more_port_keeps_its_counters() {
    let mut ids = Ids::default();
    let observed = filled(&target_of(&desired(WEB, WEB_SERVICE), &mut ids), 4);

    let more = desired(WEB, &WEB_SERVICE.replace("443", "443, 8443"));
    let ops = plan_in(&observed, &target_of(&more, &mut ids), 4);

    assert_eq!(names(&ops), "PutServices");
}

/// A pool whose backend `active` of three takes all new flows.
fn only(active: u8, fields: &str) -> Desired {
    let weight = |number| if number == active { 100 } else { 0 };
    let backend = |number| {
        let weight = weight(number);
        format!("{{ name: b{number}, address: 10.3.0.{number}, weight: {weight} }}")
    };
    let backends = [1, 2, 3].map(backend).join(", ");
    desired(&format!("[{{ name: web, {fields}, backends: [{backends}] }}]"), NOTHING)
}

/// The one slot that all slots of the only pool are like.
fn slot(agent: &Agent, slots: usize) -> Slot {
    let (_, table) = tables(&agent.observed).into_values().next().unwrap();
    assert_eq!(table.len(), slots);
    assert!(table.iter().all(|slot| *slot == table[0]));
    table[0]
}

fn index(agent: &Agent, name: &str) -> BackendIndex {
    agent.ids.backend("web", name).unwrap()
}

#[test]
fn change_after_change_the_oldest_flows_keep_their_backend() {
    let mut agent = Agent::default();
    let mut change = |active| {
        agent.change(&only(active, "table_slots: 251"), &Ways::new()).unwrap();
        (slot(&agent, 251), ["b1", "b2", "b3"].map(|name| index(&agent, name)))
    };

    let (first, [b1, b2, b3]) = change(1);
    assert_eq!(first, Slot::clean(b1));
    assert_eq!(change(2).0, Slot::in_transition(b2, b1));
    assert_eq!(change(3).0, Slot::in_transition(b3, b1), "b2's own flows are pinned");
    assert_eq!(change(1).0, Slot::in_transition(b1, b1), "b2's and b3's are");
    assert_eq!(change(1).0, Slot::in_transition(b1, b1));
}

#[test]
fn a_pool_that_keeps_no_flows_has_nothing_in_transition() {
    let mut agent = Agent::default();
    for active in [1, 2, 3] {
        let desired = only(active, "table_slots: 251, flow_idle_timeout: 0s");
        agent.change(&desired, &Ways::new()).unwrap();
        assert_eq!(slot(&agent, 251), Slot::clean(index(&agent, &format!("b{active}"))));
    }
}

#[test]
fn a_table_of_another_size_starts_clean() {
    let mut agent = Agent::default();
    agent.change(&only(1, "table_slots: 251"), &Ways::new()).unwrap();
    agent.change(&only(2, "table_slots: 1031"), &Ways::new()).unwrap();
    assert_eq!(slot(&agent, 1031), Slot::clean(index(&agent, "b2")));
}

#[test]
fn a_pool_that_loses_all_its_backends_lets_their_flows_end() {
    let mut agent = Agent::default();
    agent.change(&desired(WEB, WEB_SERVICE), &Ways::new()).unwrap();
    let lost = index(&agent, "web-1");
    let none = WEB.replace("{ name: web-1, address: 10.3.0.2 }", "");
    let change = |agent: &mut Agent| -> Step {
        agent.change(&desired(&none, WEB_SERVICE), &Ways::new()).unwrap()
    };

    let first = change(&mut agent);
    assert_eq!(names(&first.ops), "PutBackend PutTable PutPool");
    assert_eq!(slot(&agent, 251), Slot::in_transition(BackendIndex::NONE, lost));
    assert_eq!(change(&mut agent).ops, []);

    agent.settle();
    assert_eq!(names(&change(&mut agent).ops), "AwaitReaders RemoveBackend");
    assert_eq!(slot(&agent, 251), Slot::default());
}
