//! Plans between random configurations, cut off anywhere; and a few that are written out.

mod scheduling;
mod written;

use proptest::prelude::*;

use lb_common::abi::{Scheduler, TableRef};

use super::room::{pages_in_use, pages_of};
use super::*;
use crate::core::rotation::Rotation;
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
    fn pages_that_no_pool_refers_to_any_more_are_forgotten((limits, samples) in history()) {
        for step in Agent::steps(&limits, &samples) {
            let reached = after(&step.observed, &step.ops);
            let kept: BTreeSet<u32> = reached.pages.keys().copied().collect();
            prop_assert_eq!(kept, pages_in_use(&reached));
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
                let pool = step.observed.pools.get(index).copied().unwrap_or_default();
                let was = Scheduler::from_code(pool.scheduler);
                let by_client = |scheduler| scheduler == Scheduler::SourceHash;
                let before = before.get(index).filter(|(name, slots)| {
                    let alike = by_client(was) == by_client(wanted.scheduler);
                    name == name_hash && slots.len() == after.len() && wanted.keeps_flows && alike
                });
                let Some((_, before)) = before else {
                    prop_assert!(after.iter().all(|slot| !slot.consult()));
                    continue;
                };
                let pinned = [was, wanted.scheduler].map(Scheduler::pins_every_flow);
                for (before, after) in before.iter().zip(after) {
                    assert_remembers(*before, *after, pinned);
                }
            }
        }
    }
}

/// What the oldest flows of a slot, and those born since its last change, need after the next. The
/// scheduler before and the one after may pin every flow.
fn assert_remembers(before: Slot, after: Slot, pinned: [bool; 2]) {
    let oldest = [before.previous(), before.current()];
    let oldest = oldest.into_iter().find(|backend| *backend != BackendIndex::NONE);
    let oldest = oldest.unwrap_or_default();
    if before.current() != after.current() {
        assert!(after.consult());
        let nobody = before.current() == BackendIndex::NONE;
        let new = if nobody && pinned == [false, true] { after.current() } else { oldest };
        assert_eq!(
            after.previous(),
            if before.previous() == BackendIndex::NONE { new } else { oldest }
        );
        return;
    }
    match pinned {
        [true, false] => {
            assert!(after.consult(), "there may be pins");
            assert_eq!(after.previous(), before.previous());
        }
        [false, true] => {
            assert!(after.consult(), "what has no pin is old");
            assert_eq!(after.previous(), oldest, "{before:?}");
        }
        [true, true] | [false, false] => assert_eq!(before, after, "nothing moves"),
    }
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
    assert_eq!(image.quic_servers, target.quic_servers);
    assert_eq!(image.egress, target.egress);
    assert!(image.pools.keys().eq(target.pools.keys()));
    for (index, pool) in &target.pools {
        let (name_hash, slots) = &tables(image)[index];
        assert_eq!(*name_hash, pool.name_hash);
        let (steers, wanted) = (slots.iter(), pool.slots.iter());
        assert!(steers.map(|slot| slot.current()).eq(wanted.map(|slot| slot.current())), "{index}");
        let entry = image.pools[index];
        assert_eq!(Scheduler::from_code(entry.scheduler), pool.scheduler);
        assert_eq!(entry.quic_server_id_bytes, pool.quic_server_id_bytes);
        match &pool.rotation {
            Rotation::None => assert_eq!(entry.rotation, TableRef::default()),
            Rotation::Table => assert_eq!(entry.rotation, entry.table),
            Rotation::Own(slots) => {
                assert!(image.table(entry.rotation).eq(slots.iter().copied()), "{index}");
            }
        }
    }
}

/// Whatever a packet can find leads somewhere, and no two pools share a page.
fn assert_valid(image: &Image) {
    for entry in image.services.values() {
        assert!(image.pools.contains_key(&entry.pool), "no pool {}", entry.pool);
    }
    let mut taken = BTreeSet::new();
    for (index, pool) in &image.pools {
        let alone = PoolEntry { rotation: TableRef::default(), ..*pool };
        let of = if pool.rotation == pool.table { alone } else { *pool };
        for page in pages_of_pool(&of) {
            assert!(taken.insert(page), "page {page} of pool {index} is another table's too");
        }
        for slot in image.table(pool.table).chain(image.table(pool.rotation)) {
            for backend in backends_of(slot) {
                let entry = image.backends.get(&backend);
                assert_eq!(entry.map(|entry| u32::from(entry.pool)), Some(*index), "{slot:?}");
            }
        }
    }
    for (key, backend) in &image.quic_servers {
        assert_eq!(u32::from(image.backends[backend].pool), key.pool());
    }
    for entry in image.backends.values() {
        let known = entry.flags & BackendEntry::NEXT_HOP_KNOWN != 0;
        assert!(!known || image.egress.contains(&entry.egress_ifindex));
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
        let slots =
            tables.flat_map(|pool| image.table(pool.table).chain(image.table(pool.rotation)));
        self.backends.extend(slots.flat_map(backends_of));
        self.backends.extend(image.quic_servers.values());
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
            | Op::PutServices { .. }
            | Op::PutQuicServer { .. }
            | Op::RemoveQuicServer { .. }
            | Op::PutEgress { .. }
            | Op::RemoveEgress { .. } => {}
        }
    }
}
