//! Each scheduler's distribution, packet by packet through the rules of a pool that pins.

use std::collections::BTreeMap;
use std::vec::Vec;

use super::*;
use crate::abi::{BackendEntry, Pin, PinState, Slot};
use crate::datapath::{Arrival, owner};
use crate::image::{Image, Recorder, State};

const POOL: u32 = 1;
const TABLE_SLOTS: u32 = 2_053;

fn index(number: u16) -> BackendIndex {
    BackendIndex::new(number).unwrap()
}

/// A pool of three backends with weights 1, 2 and 5: in its table, and in this rotation.
fn image(scheduler: Scheduler, rotation: &[u16]) -> Image {
    let mut image = Image::default();
    let flags = BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW;
    for (number, weight) in [(1, 1), (2, 2), (3, 5)] {
        let entry = BackendEntry { pool: 1, weight, flags, ..BackendEntry::default() };
        image.backends.insert(index(number), entry);
    }
    let shares = [1, 2, 2, 3, 3, 3, 3, 3];
    let mut rng = 1_u64;
    let slots: Vec<_> = (0..TABLE_SLOTS)
        .map(|_| {
            rng = hash::by_chance(rng, 1);
            Slot::clean(index(shares[usize::try_from(rng % 8).unwrap()]))
        })
        .collect();
    image.put_table(0, &slots);
    let turns: Vec<_> = rotation.iter().map(|number| Slot::clean(index(*number))).collect();
    image.put_table(10, &turns);
    let rotation = TableRef::new(10, u32::try_from(turns.len()).unwrap());
    let table = TableRef::new(0, TABLE_SLOTS);
    let entry = PoolEntry { table, rotation, scheduler: scheduler.code(), ..PoolEntry::default() };
    image.pools.insert(POOL, entry);
    image
}

fn opening(flow: u64) -> Arrival {
    Arrival {
        pool: POOL,
        hash: hash::keyed([1, 2], [flow]),
        opening: true,
        closing: false,
        udp: false,
        quoted: false,
        scheduled: true,
    }
}

/// Opens `flows` connections: the backend of each.
fn open(image: &Image, state: &State, flows: u64) -> Vec<u16> {
    let tables = Recorder::new(image, state, 0);
    let slot = Slot::clean(index(1));
    (0..flows).map(|flow| owner(&tables, slot, &opening(flow)).value()).collect()
}

fn counts(backends: &[u16]) -> BTreeMap<u16, i64> {
    let mut counts = BTreeMap::new();
    for backend in backends {
        *counts.entry(*backend).or_default() += 1;
    }
    counts
}

#[test]
fn round_robin_takes_one_after_the_other() {
    let image = image(Scheduler::Rotation, &[1, 2, 3]);
    let opened = open(&image, &State::new(512), 9);
    assert_eq!(opened, [1, 2, 3, 1, 2, 3, 1, 2, 3]);
}

/// 1 : 10 must not give 1 : 1.
#[test]
fn weighted_round_robin_keeps_its_proportions_in_every_round() {
    let image = image(Scheduler::Rotation, &[3, 2, 3, 3, 1, 3, 2, 3]);
    let opened = open(&image, &State::new(512), 800);
    for round in opened.chunks(8) {
        assert_eq!(counts(round), BTreeMap::from([(1, 1), (2, 2), (3, 5)]));
    }
}

#[test]
fn random_follows_the_weights() {
    let image = image(Scheduler::Random, &[]);
    let counts = counts(&open(&image, &State::new(4_096), 8_000));
    for (backend, share) in [(1, 1_000), (2, 2_000), (3, 5_000)] {
        assert!((counts[&backend] - share).abs() < share / 5, "{counts:?}");
    }
}

#[test]
fn the_same_client_port_is_placed_anew_each_time() {
    let image = image(Scheduler::Random, &[]);
    let state = State::new(64);
    let tables = Recorder::new(&image, &state, 0);
    let mut seen = BTreeMap::new();
    for _ in 0..200 {
        let picked = pick(&tables, POOL, 77).value();
        *seen.entry(picked).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

/// Two choices keep the loads in the proportion of the weights, far closer than chance would.
#[test]
fn least_connections_keeps_loads_in_proportion_to_weights() {
    let image = image(Scheduler::LeastConnections, &[]);
    let state = State::new(4_096);
    let counts = counts(&open(&image, &state, 8_000));
    for (backend, share) in [(1, 1_000), (2, 2_000), (3, 5_000)] {
        assert!((counts[&backend] - share).abs() <= share / 20, "{counts:?}");
        let load = i64::try_from(state.loads.borrow()[&index(backend)]).unwrap();
        assert_eq!(load, counts[&backend], "each flow is counted once");
    }
}

#[test]
fn least_connections_leaves_a_loaded_backend_alone() {
    let image = image(Scheduler::LeastConnections, &[]);
    let state = State::new(4_096);
    state.loads.borrow_mut().insert(index(3), 1_000_000);
    let counts = counts(&open(&image, &state, 1_000));
    // Only where both choices fall on it: 5/8 x 5/8 of the flows.
    let forced = counts.get(&3).copied().unwrap_or(0);
    assert!((300..480).contains(&forced), "{counts:?}");
}

#[test]
fn every_flow_is_pinned_and_stays() {
    let image = image(Scheduler::Rotation, &[1, 2, 3]);
    let state = State::new(512);
    let opened = open(&image, &state, 100);
    let tables = Recorder::new(&image, &state, 0);
    for (flow, backend) in (0..).zip(opened) {
        for arrival in [opening(flow), Arrival { opening: false, ..opening(flow) }] {
            let found = owner(&tables, Slot::clean(index(2)), &arrival);
            assert_eq!(found.value(), backend, "flow {flow}");
        }
    }
    assert_eq!(*state.turns.borrow(), BTreeMap::from([(POOL, 100)]), "one turn each");
}

#[test]
fn what_opens_nothing_and_has_no_pin_goes_by_its_slot() {
    let image = image(Scheduler::Rotation, &[1, 2, 3]);
    let state = State::new(512);
    let tables = Recorder::new(&image, &state, 0);
    let segment = Arrival { opening: false, ..opening(1) };
    assert_eq!(owner(&tables, Slot::clean(index(2)), &segment), index(2));
    assert!(state.pins.iter().all(Pin::is_empty));
    let datagram = Arrival { udp: true, ..segment };
    assert_eq!(owner(&tables, Slot::clean(index(2)), &datagram), index(1), "the first turn");
    let states: Vec<_> = state.pins.iter().filter(|pin| !pin.is_empty()).collect();
    assert_eq!(states.len(), 1);
    assert_eq!(states[0].state(), PinState::Udp);
}

#[test]
fn a_pool_with_nothing_to_choose_by_uses_the_slot() {
    let image = image(Scheduler::Rotation, &[]);
    assert_eq!(open(&image, &State::new(64), 3), [1, 1, 1]);
}
