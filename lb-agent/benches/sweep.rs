//! Time of a sweep over a million pins. It runs once a second; what is to be reached is 20 ms.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use lb_agent::core::sweep::{IdleTimeouts, Windows, sweep};
use lb_common::abi::{
    BackendEntry, BackendIndex, Pin, PinState, PoolEntry, Scheduler, Slot, TableRef, Ticks,
};
use lb_common::hash::{keyed, scaled};
use lb_common::image::Image;

const PINS: usize = 1 << 20;
const SLOTS: u32 = 65_521;
const PAGES: u32 = SLOTS.div_ceil(1024);
const SECOND_NS: u64 = 1_000_000_000;
const NOW_NS: u64 = 1_000_000 * SECOND_NS;

/// Whether a slot is in transition.
const fn moves(slot: u32, restless: u32) -> bool {
    slot * 31 % 100 < restless
}

/// Pools of 100 backends each, with so many percent of their slots in transition.
fn image(pools: u32, scheduler: Scheduler, restless: u32) -> Image {
    let mut image = Image::default();
    let backend = |pool: u32, number: u32| {
        let index = u16::try_from(1 + pool * 100 + number % 100).unwrap_or(1);
        BackendIndex::new(index).unwrap_or_default()
    };
    for pool in 0..pools {
        for number in 0..100 {
            let entry = BackendEntry {
                pool: u16::try_from(pool).unwrap_or(0),
                name_hash: 1,
                ..BackendEntry::default()
            };
            image.backends.insert(backend(pool, number), entry);
        }
        let slot_of = |number: u32| {
            if moves(number, restless) {
                Slot::in_transition(backend(pool, number), backend(pool, number + 1))
            } else {
                Slot::clean(backend(pool, number))
            }
        };
        image.put_table(pool * PAGES, &(0..SLOTS).map(slot_of).collect::<Vec<_>>());
        let table = TableRef::new(pool * PAGES, SLOTS);
        let scheduler = scheduler.code();
        image
            .pools
            .insert(pool, PoolEntry { table, scheduler, name_hash: 1, ..Default::default() });
    }
    image
}

/// A pin table with this share of its places taken, in percent, by flows of all pools in slots that
/// are in transition.
fn pins(pools: u32, restless: u32, percent: usize) -> Vec<AtomicU64> {
    let states = [PinState::Established, PinState::Embryonic, PinState::Udp, PinState::Closing];
    let pin = |number: usize| {
        if number * 7919 % 100 >= percent {
            return AtomicU64::new(0);
        }
        let hashes = (0..).map(|again: u64| keyed([1, 2], [number as u64, again]));
        let mut fitting = hashes.filter(|hash| moves(scaled(*hash, SLOTS), restless));
        let hash = fitting.next().unwrap_or_default();
        let backend = u16::try_from(1 + hash % u64::from(pools * 100)).unwrap_or(1);
        let backend = BackendIndex::new(backend).unwrap_or_default();
        let state = states.get(number % states.len()).copied().unwrap_or(PinState::Udp);
        let Pin(word) = Pin::new(hash, backend, Ticks::at(NOW_NS - SECOND_NS)).in_state(state);
        AtomicU64::new(word)
    };
    (0..PINS).map(pin).collect()
}

fn sweep_a_million(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sweep/1048576 places");
    let placed = Scheduler::LeastConnections;
    let cases = [
        ("empty, 100 pools place each flow", 100, placed, 0, 0),
        ("full, 1 pool places each flow", 1, placed, 0, 100),
        ("full, 100 pools place each flow", 100, placed, 0, 100),
        ("full, 1 pool wholly in transition", 1, Scheduler::Maglev, 100, 100),
        ("full, a tenth of 100 pools in transition", 100, Scheduler::Maglev, 10, 100),
        ("full, 100 pools wholly in transition", 100, Scheduler::Maglev, 100, 100),
    ];
    for (name, pools, scheduler, restless, percent) in cases {
        let image = image(pools, scheduler, restless);
        let words = pins(pools, if restless == 0 { 100 } else { restless }, percent);
        let timeouts: BTreeMap<u32, IdleTimeouts> = (0..pools)
            .map(|pool| (pool, IdleTimeouts { flow_ns: 300 * SECOND_NS, udp_ns: 30 * SECOND_NS }))
            .collect();
        let mut windows = Windows::default();
        windows.open(&Image::default(), &image, &timeouts, NOW_NS);
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                let pins = words.iter().map(|word| Pin(word.load(Ordering::Relaxed)));
                let swept = sweep(black_box(&image), &mut windows, pins, &timeouts, NOW_NS);
                assert!(swept.expired.is_empty());
                swept.flows.len()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, sweep_a_million);
criterion_main!(benches);
