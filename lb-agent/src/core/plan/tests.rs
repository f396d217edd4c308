//! Plans between random configurations, cut off anywhere; and a few that are written out.

use lb_common::config::Desired;
use proptest::prelude::*;

use super::*;
use crate::core::effective::effective;
use crate::core::ids::Ids;
use crate::core::overrides::Overrides;
use crate::core::samples::{Agent, Step, desired, history};
use crate::core::tables::Tables;
use crate::core::target::{Ways, target};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn carrying_out_a_plan_gives_exactly_the_target((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            assert_holds(&after(&step.observed, &step.ops), &step.target);
        }
    }

    #[test]
    fn the_plan_from_the_target_is_empty((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            let reached = after(&step.observed, &step.ops);
            prop_assert_eq!(plan(&reached, &step.target, &step.limits), Ok(vec![]));
        }
    }

    #[test]
    fn a_plan_carried_out_twice_gives_the_same((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            let reached = after(&step.observed, &step.ops);
            prop_assert_eq!(&after(&reached, &step.ops), &reached);
        }
    }

    #[test]
    fn a_plan_that_was_cut_off_anywhere_is_finished_by_the_next((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            for cut in 0..step.ops.len() {
                let left = after(&step.observed, &step.ops[..cut]);
                let rest = plan(&left, &step.target, &step.limits).unwrap();
                assert_holds(&after(&left, &rest), &step.target);
            }
        }
    }

    #[test]
    fn every_moment_of_a_plan_is_valid_for_packets((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            let mut image = step.observed.clone();
            assert_valid(&image);
            for op in &step.ops {
                carry_out(&mut image, op);
                assert_valid(&image);
                prop_assert!(image.services.len() <= step.limits.services as usize);
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_that_a_packet_may_be_reading((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            assert_readers_are_safe(&step);
        }
    }
}

fn after(observed: &Image, ops: &[Op]) -> Image {
    let mut image = observed.clone();
    for op in ops {
        carry_out(&mut image, op);
    }
    image
}

fn assert_holds(image: &Image, target: &Target) {
    assert_eq!(image.services, target.services);
    assert_eq!(image.backends, target.backends);
    let held: BTreeMap<_, _> = image
        .pools
        .iter()
        .map(|(index, pool)| {
            (
                *index,
                TargetPool { name_hash: pool.name_hash, slots: image.table(pool.table).collect() },
            )
        })
        .collect();
    assert_eq!(held, target.pools);
}

/// Whatever a packet can find leads somewhere, and no two pools share a page.
fn assert_valid(image: &Image) {
    for entry in image.services.values() {
        assert!(image.pools.contains_key(&entry.pool), "no pool {}", entry.pool);
    }
    let mut taken = BTreeSet::new();
    for (index, pool) in &image.pools {
        for page in pages_of(pool.table) {
            assert!(taken.insert(page), "page {page} of pool {index} is another pool's too");
        }
        for slot in image.table(pool.table) {
            assert!(image.backends.contains_key(&slot.current()), "pool {index}: {slot:?}");
        }
    }
}

/// A page in use, or in use until a moment ago, is not written; and a pool or backend that packets
/// could find a moment ago is not cleared.
fn assert_readers_are_safe(step: &Step) {
    let mut image = step.observed.clone();
    let mut pools: BTreeSet<u32> = BTreeSet::new();
    let mut pages: BTreeSet<u32> = BTreeSet::new();
    let mut backends: BTreeSet<BackendIndex> = BTreeSet::new();
    for op in &step.ops {
        // What could be found before this operation may be in use until readers are awaited.
        pages.extend(image.pools.values().flat_map(|pool| pages_of(pool.table)));
        pools.extend(image.services.values().map(|entry| entry.pool));
        let tables = pools.iter().filter_map(|index| image.pools.get(index));
        backends.extend(tables.flat_map(|pool| image.table(pool.table)).map(Slot::current));
        carry_out(&mut image, op);
        match op {
            Op::AwaitReaders => {
                pools.clear();
                pages.clear();
                backends.clear();
            }
            Op::PutTable { first_page, slots } => {
                let count = u32::try_from(slots.len()).unwrap();
                let written = pages_of(TableRef::new(*first_page, count));
                assert!(
                    written.clone().all(|page| page < step.limits.table_slots / SLOTS_PER_PAGE),
                    "{written:?}"
                );
                assert!(written.clone().all(|page| !pages.contains(&page)), "{written:?} in use");
            }
            Op::RemovePool { index } => assert!(!pools.contains(index), "pool {index} in use"),
            Op::RemoveBackend { index } => assert!(!backends.contains(index), "{index:?} in use"),
            Op::ResetService { .. }
            | Op::ResetBackend { .. }
            | Op::PutBackend { .. }
            | Op::PutPool { .. }
            | Op::PutService { .. }
            | Op::RemoveService { .. } => {}
        }
    }
}

/// The maps' contents for a configuration, all tables built anew.
fn target_of(desired: &Desired, ids: &mut Ids) -> Target {
    *ids = ids.assign(desired).unwrap();
    let mut tables = Tables::default();
    tables.update(desired, &effective(desired, &Overrides::default()), ids).unwrap();
    target(desired, ids, &tables, &Ways::new())
}

/// Maps with room for anything but tables, of which they hold this many pages.
const fn with_pages(pages: u32) -> Limits {
    Limits { services: 16, pools: 16, backends: 16, table_slots: pages * SLOTS_PER_PAGE }
}

/// New maps of so many pages, brought to a target.
fn filled(target: &Target, pages: u32) -> Image {
    let ops = plan(&Image::default(), target, &with_pages(pages)).unwrap();
    after(&Image::default(), &ops)
}

/// The operations' names, in order.
fn names(ops: &[Op]) -> Vec<String> {
    let name = |op: &Op| format!("{op:?}").split(' ').next().unwrap().to_owned();
    ops.iter().map(name).collect()
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

    let there = plan(&Image::default(), &full, &with_pages(4)).unwrap();
    let back = plan(&after(&Image::default(), &there), &empty, &with_pages(4)).unwrap();

    let coming = "ResetBackend PutBackend PutTable PutPool ResetService PutService PutService";
    assert_eq!(names(&there).join(" "), coming);
    let going = "RemoveService RemoveService AwaitReaders RemovePool RemoveBackend";
    assert_eq!(names(&back).join(" "), going);
}

#[test]
fn pages_that_this_plan_released_are_written_only_after_readers_were_awaited() {
    let pools = |weight: u16| {
        let backends = format!(
            "[{{ name: b1, address: 10.3.0.2 }}, {{ name: b2, address: 10.3.0.3, weight: {weight} }}]"
        );
        let pool = |name| format!("{{ name: {name}, table_slots: 251, backends: {backends} }}");
        desired(&format!("[{}, {}]", pool("a"), pool("b")), NOTHING)
    };
    let mut ids = Ids::default();
    let before = target_of(&pools(100), &mut ids);
    let observed = filled(&before, 3);

    let ops = plan(&observed, &target_of(&pools(50), &mut ids), &with_pages(3)).unwrap();

    assert_eq!(names(&ops).join(" "), "PutTable PutPool AwaitReaders PutTable PutPool");
}

#[test]
fn a_table_without_room_is_refused_with_the_numbers() {
    let two = "[{ name: a, table_slots: 251, backends: [{ name: b, address: 10.3.0.2 }] },
                { name: b, table_slots: 1031, backends: [{ name: b, address: 10.3.0.2 }] }]";
    let target = target_of(&desired(two, NOTHING), &mut Ids::default());

    let refused = plan(&Image::default(), &target, &with_pages(2));

    assert_eq!(refused, Err(NoRoom { slots: 1031, pages_free: 1, pages: 2 }));
}

#[test]
fn counters_start_at_zero_for_whoever_takes_an_index_over() {
    let named = |name: &str| desired(&WEB.replace("web-1", name), NOTHING);
    let mut first = Ids::default();
    let before = target_of(&named("web-1"), &mut first);
    let observed = filled(&before, 4);

    // Other ids, so the new backend has the very index of the old one.
    let taken_over =
        plan(&observed, &target_of(&named("web-2"), &mut Ids::default()), &with_pages(4)).unwrap();
    let kept = plan(&observed, &target_of(&named("web-1"), &mut first), &with_pages(4)).unwrap();

    assert_eq!(names(&taken_over).join(" "), "ResetBackend PutBackend");
    assert_eq!(kept, []);
}

#[test]
fn a_service_with_one_more_port_keeps_its_counters() {
    let mut ids = Ids::default();
    let before = target_of(&desired(WEB, WEB_SERVICE), &mut ids);
    let observed = filled(&before, 4);

    let more = desired(WEB, &WEB_SERVICE.replace("443", "443, 8443"));
    let ops = plan(&observed, &target_of(&more, &mut ids), &with_pages(4)).unwrap();

    assert_eq!(names(&ops), ["PutService"]);
}

#[test]
fn old_services_go_first_only_where_the_map_is_too_small_for_both() {
    let mut ids = Ids::default();
    let any_port = WEB_SERVICE.replace("80, 443", "0");
    let before = target_of(&desired(WEB, &any_port), &mut ids);
    let after_it = target_of(&desired(WEB, WEB_SERVICE), &mut ids);
    let observed = filled(&before, 4);
    let within = |services| plan(&observed, &after_it, &Limits { services, ..with_pages(4) });

    let roomy = names(&within(3).unwrap()).join(" ");
    let tight = names(&within(2).unwrap()).join(" ");

    // Without a gap, and with one for the packets of the second port alone.
    assert_eq!(roomy, "PutService PutService RemoveService");
    assert_eq!(tight, "PutService RemoveService PutService");
}

#[test]
fn a_pool_that_loses_all_its_backends_has_no_table() {
    let mut ids = Ids::default();
    let before = target_of(&desired(WEB, WEB_SERVICE), &mut ids);
    let observed = filled(&before, 4);

    let none = target_of(&desired("[{ name: web, backends: [] }]", WEB_SERVICE), &mut ids);
    let ops = plan(&observed, &none, &with_pages(4)).unwrap();

    assert_eq!(names(&ops).join(" "), "PutPool AwaitReaders RemoveBackend");
    let pools: Vec<_> = after(&observed, &ops).pools.into_values().collect();
    assert_eq!(pools.iter().map(|pool| pool.table.slots()).collect::<Vec<_>>(), [0]);
}
