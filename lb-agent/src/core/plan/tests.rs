//! Plans between random configurations, cut off anywhere; and a few that are written out.

mod written;

use proptest::prelude::*;

use super::*;
use crate::core::samples::{Agent, Step, history};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn carrying_out_a_plan_steers_like_the_target((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            assert_holds(&after(&step.observed, &step.ops), &step.target);
        }
    }

    #[test]
    fn the_plan_from_the_target_is_empty((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            let reached = after(&step.observed, &step.ops);
            prop_assert_eq!(plan(&reached, &step.target, &step.limits, &BTreeSet::new()), Ok(vec![]));
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
            let whole = after(&step.observed, &step.ops);
            for cut in 0..step.ops.len() {
                let left = after(&step.observed, &step.ops[..cut]);
                // The next agent knows neither what was in use nor what this one had in mind.
                let target = step.target_from(&left);
                let rest = plan(&left, &target, &step.limits, &BTreeSet::new()).unwrap();
                let finished = after(&left, &rest);
                assert_holds(&finished, &target);
                if !is_afresh(&step.ops) {
                    prop_assert_eq!(tables(&finished), tables(&whole));
                }
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
                prop_assert!(image.services.len() <= limits.services as usize);
            }
        }
    }

    #[test]
    fn nothing_is_overwritten_that_a_packet_may_be_reading((limits, samples) in history()) {
        let mut readers = Readers::default();
        for step in Agent::steps(&limits, &samples) {
            readers.watch(&step);
        }
    }

    #[test]
    fn a_slot_that_moves_remembers_where_its_flows_are((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            let reached = after(&step.observed, &step.ops);
            let before = tables(&step.observed);
            for (index, wanted) in &step.target.pools {
                let (name_hash, after) = &tables(&reached)[index];
                let before = before.get(index).filter(|(name, slots)| {
                    name == name_hash && slots.len() == after.len() && wanted.keeps_flows
                });
                let Some((_, before)) = before else {
                    prop_assert!(after.iter().all(|slot| !slot.consult()));
                    continue;
                };
                for (before, after) in before.iter().zip(after) {
                    assert_remembers(*before, *after);
                }
            }
        }
    }
}

/// What the oldest flows of a slot, and those born since its last change, need after the next.
fn assert_remembers(before: Slot, after: Slot) {
    if before.current() == after.current() {
        assert_eq!(before, after, "nothing moves");
        return;
    }
    assert!(after.consult());
    let oldest = [before.previous(), before.current()];
    let oldest = oldest.into_iter().find(|backend| *backend != BackendIndex::NONE);
    assert_eq!(after.previous(), oldest.unwrap_or_default(), "{before:?}");
}

fn after(observed: &Image, ops: &[Op]) -> Image {
    let mut image = observed.clone();
    for op in ops {
        carry_out(&mut image, op);
    }
    image
}

/// Whether a plan takes all tables out of use to put them elsewhere.
fn is_afresh(ops: &[Op]) -> bool {
    let cleared = |op: &Op| matches!(op, Op::PutPool { entry, .. } if entry.table.slots() == 0);
    ops.iter().any(cleared)
}

/// Name and slots of each pool, wherever its table lies.
fn tables(image: &Image) -> BTreeMap<u32, (u64, Vec<Slot>)> {
    let slots = |pool: &PoolEntry| (pool.name_hash, image.table(pool.table).collect());
    image.pools.iter().map(|(index, pool)| (*index, slots(pool))).collect()
}

fn assert_holds(image: &Image, target: &Target) {
    assert_eq!(image.services, target.services);
    assert_eq!(image.backends, target.backends);
    assert!(image.pools.keys().eq(target.pools.keys()));
    for (index, pool) in &target.pools {
        let (name_hash, slots) = &tables(image)[index];
        assert_eq!(*name_hash, pool.name_hash);
        let (steers, wanted) = (slots.iter(), pool.slots.iter());
        assert!(steers.map(|slot| slot.current()).eq(wanted.map(|slot| slot.current())), "{index}");
    }
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
            for backend in backends_of(slot) {
                let entry = image.backends.get(&backend);
                assert_eq!(entry.map(|entry| entry.pool), Some(*index), "{slot:?}");
            }
        }
    }
}

/// The backends that a slot names.
fn backends_of(slot: Slot) -> impl Iterator<Item = BackendIndex> {
    [slot.current(), slot.previous()].into_iter().filter(|backend| *backend != BackendIndex::NONE)
}

/// What packets may be reading, over plan after plan: whatever they could find since readers were
/// last awaited.
#[derive(Default)]
struct Readers {
    pools: BTreeSet<u32>,
    pages: BTreeSet<u32>,
    backends: BTreeSet<BackendIndex>,
}

impl Readers {
    /// Carries a step out and sees that nothing is taken from under a reader.
    fn watch(&mut self, step: &Step) {
        let mut image = step.observed.clone();
        for op in &step.ops {
            self.find(&image);
            carry_out(&mut image, op);
            self.check(op, step.limits.table_slots / SLOTS_PER_PAGE);
        }
        self.find(&image);
    }

    fn find(&mut self, image: &Image) {
        self.pages.extend(pages_in_use(image));
        self.pools.extend(image.services.values().map(|entry| entry.pool));
        let tables = self.pools.iter().filter_map(|index| image.pools.get(index));
        self.backends.extend(tables.flat_map(|pool| image.table(pool.table)).flat_map(backends_of));
    }

    fn check(&mut self, op: &Op, pages: u32) {
        match op {
            Op::AwaitReaders => *self = Self::default(),
            Op::PutTable { first_page, slots } => {
                let count = u32::try_from(slots.len()).unwrap();
                let written = pages_of(TableRef::new(*first_page, count));
                assert!(written.clone().all(|page| page < pages), "{written:?}");
                let mut read = written.clone().filter(|page| self.pages.contains(page));
                assert_eq!(read.next(), None, "{written:?} in use");
            }
            Op::RemovePool { index } => assert!(!self.pools.contains(index), "pool {index} in use"),
            Op::RemoveBackend { index } => {
                assert!(!self.backends.contains(index), "{index:?} in use");
            }
            Op::PutSlot { .. } => panic!("a plan writes whole tables"),
            Op::ResetService { .. }
            | Op::ResetBackend { .. }
            | Op::PutBackend { .. }
            | Op::PutPool { .. }
            | Op::PutService { .. }
            | Op::RemoveService { .. } => {}
        }
    }
}
