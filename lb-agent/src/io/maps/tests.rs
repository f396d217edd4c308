//! Sizes, and every operation on real maps. Needs root.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use aya::maps::{MapType, PerCpuValues};
use lb_common::abi::{PinState, SLOTS_PER_PAGE, ServiceEntry, ServiceKey, Ticks};
use lb_common::name_hash::{NAME_SEED, stable_hash};
use lb_common::services::ServiceTable;
use lb_common::verdict::{PinEvent, Reason};
use proptest::prelude::*;

use super::shapes::{MMAPABLE, NO_PREALLOC};
use super::*;
use crate::core::plan::{carry_out, plan};
use crate::core::samples::{Agent, desired, history};
use crate::core::target::{Target, Ways};
use crate::io::lab::{LIMITS, load};
use crate::io::pins::MapShape;

/// An image without pages that no pool uses, each table in whole pages: what can be read back.
fn readable(image: &Image) -> Image {
    let mut readable = Image { pages: BTreeMap::new(), ..image.clone() };
    for table in image.pools.values().flat_map(|pool| [pool.table, pool.rotation]) {
        let slots: Vec<Slot> = image.table(table).collect();
        readable.put_table(table.first_page(), &slots);
    }
    readable
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_kernels_maps_do_what_the_image_does((limits, samples) in history()) {
        let mut datapath = load(None, limits).unwrap();
        for step in Agent::steps(&limits, &samples) {
            step.settling.iter().for_each(|op| datapath.maps.execute(op).unwrap());
            let mut image = step.observed;
            prop_assert_eq!(readable(&datapath.maps.observe().unwrap()), readable(&image));
            for op in &step.ops {
                datapath.maps.execute(op).unwrap();
                carry_out(&mut image, op);
                prop_assert_eq!(readable(&datapath.maps.observe().unwrap()), readable(&image));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn a_change_that_is_cut_off_at_any_write_is_finished_by_whoever_comes_next(
        (limits, samples) in history(),
    ) {
        let mut datapath = load(None, limits).unwrap();
        let maps = &mut datapath.maps;
        let to = |maps: &mut Maps, target: &Target| {
            let observed = maps.observe().unwrap();
            // Nobody reads these maps, and whoever comes next knows of no reader.
            let ops = plan(&observed, target, &limits, &BTreeSet::new()).unwrap();
            for op in &ops {
                maps.execute(op).unwrap();
            }
        };
        let mut before = Target::default();
        for step in Agent::steps(&limits, &samples) {
            for cut in 0..step.ops.len() {
                step.ops.iter().take(cut).for_each(|op| maps.execute(op).unwrap());
                let target = step.target_from(&maps.observe().unwrap());
                to(maps, &target);
                let left = plan(&maps.observe().unwrap(), &target, &limits, &BTreeSet::new()).unwrap();
                prop_assert_eq!(left, Vec::new(), "cut off at write {}", cut);
                to(maps, &before);
            }
            to(maps, &step.target);
            before = step.target;
        }
    }
}

#[test]
fn new_maps_are_empty() {
    let datapath = load(None, LIMITS).unwrap();

    assert_eq!(datapath.maps.observe().unwrap(), Image::default());
    let reasons = datapath.maps.reason_counters().unwrap();
    assert_eq!(reasons.len(), Reason::ALL.len());
    assert!(reasons.values().all(|counter| *counter == Counter::default()));
    assert!(PinEvent::ALL.iter().all(|event| datapath.maps.pin_events(*event).unwrap() == 0));
}

#[test]
fn the_first_and_the_last_element_of_every_map_can_be_written() {
    let mut maps = load(None, LIMITS).unwrap().maps;
    let last_slots: Vec<Slot> =
        (0..SLOTS_PER_PAGE).map(|_| Slot::clean(BackendIndex::new(30).unwrap())).collect();
    let mut image = Image::default();
    let backend = |index| Op::PutBackend {
        index: BackendIndex::new(index).unwrap(),
        entry: BackendEntry { name_hash: index.into(), mtu_bytes: 1500, ..BackendEntry::default() },
    };
    let pool = |index, first_page, slots| {
        let table = TableRef::new(first_page, slots);
        let name_hash = u64::from(index) + 1;
        Op::PutPool { index, entry: PoolEntry { table, name_hash, ..PoolEntry::default() } }
    };
    let ops = [
        backend(1),
        backend(30),
        Op::PutTable { first_page: 0, slots: last_slots.get(..251).unwrap().into() },
        Op::PutTable { first_page: 15, slots: last_slots.into() },
        pool(0, 0, 251),
        pool(7, 15, SLOTS_PER_PAGE),
    ];

    for op in &ops {
        maps.execute(op).unwrap();
        carry_out(&mut image, op);
    }

    assert_eq!(readable(&maps.observe().unwrap()), readable(&image));
    assert_eq!(image.backends.len() + image.pools.len(), 4);
}

#[test]
fn one_slot_is_changed_and_its_neighbours_are_not() {
    let mut maps = load(None, LIMITS).unwrap().maps;
    let [a, b] = [1, 2].map(|index| BackendIndex::new(index).unwrap());
    let slots: Vec<Slot> = (0..1_031).map(|_| Slot::in_transition(a, b)).collect();
    let mut image = Image::default();
    let table = TableRef::new(3, 1_031);
    let entry = PoolEntry { table, name_hash: 1, ..PoolEntry::default() };
    let put = |page, offset| Op::PutSlot { page, offset, slot: Slot::clean(b) };
    let ops = [
        Op::PutTable { first_page: 3, slots: slots.into() },
        Op::PutPool { index: 1, entry },
        put(3, 0),
        put(3, 7),
        put(3, SLOTS_PER_PAGE - 1),
        put(4, 6),
    ];

    for op in &ops {
        maps.execute(op).unwrap();
        carry_out(&mut image, op);
        assert_eq!(readable(&maps.observe().unwrap()), readable(&image), "{op:?}");
    }

    let table = image.pools[&1].table;
    assert_eq!(image.table(table).filter(|slot| *slot == Slot::clean(b)).count(), 4);
    maps.execute(&put(16, 0)).unwrap();
    assert_eq!(readable(&maps.observe().unwrap()), readable(&image), "there is no such page");
}

#[test]
fn a_pin_is_read_back_and_removed_only_as_it_was_read() {
    let maps = load(None, LIMITS).unwrap().maps;
    let pin = |flow: u64| {
        Pin::new(flow << 32, BackendIndex::new(30).unwrap(), Ticks::at(77 << 30))
            .in_state(PinState::Embryonic)
    };
    assert_eq!(maps.pins().collect::<Vec<_>>(), [Pin::EMPTY; 64]);

    for (position, flow) in [(0, 0), (63, 63)] {
        assert!(maps.replace_pin(position, Pin::EMPTY, pin(flow)));
    }
    assert!(!maps.replace_pin(63, Pin::EMPTY, pin(5)), "it is taken");
    assert!(!maps.replace_pin(64, Pin::EMPTY, pin(5)), "there is no such place");

    let found: Vec<_> = maps.pins().enumerate().filter(|(_, pin)| !pin.is_empty()).collect();
    assert_eq!(found, [(0, pin(0)), (63, pin(63))]);
    assert!(
        !maps.remove_pin(63, pin(63).in_state(PinState::Established)),
        "a packet has changed it since"
    );
    assert!(maps.remove_pin(63, pin(63)));
    assert_eq!(maps.pins().position(|found| found == pin(0)), Some(0));
    assert_eq!(maps.pins().filter(|pin| !pin.is_empty()).count(), 1);
}

#[test]
fn services_that_fill_their_map_can_all_be_replaced() {
    let mut maps = load(None, Limits { services: 3, ..LIMITS }).unwrap().maps;
    let web = |ports: &str| {
        let services = format!(
            "[{{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [{ports}], pool: web }}]"
        );
        let backends = "[{ name: web-1, address: 10.3.0.2 }]";
        let pools = format!("[{{ name: web, table_slots: 251, backends: {backends} }}]");
        let mut desired = desired(&pools, &services);
        desired.limits = Limits { services: 3, ..LIMITS };
        desired
    };
    let mut agent = Agent::default();

    for ports in ["80, 443", "81, 444", "443, 444"] {
        let step = agent.change(&web(ports), &Ways::new()).unwrap();
        for op in &step.ops {
            maps.execute(op).unwrap();
        }
        assert_eq!(maps.observe().unwrap().services, agent.observed.services);
    }
}

#[test]
fn removing_what_is_not_there_is_no_error() {
    let mut maps = load(None, LIMITS).unwrap().maps;

    let table = ServiceTable::build(&BTreeMap::new()).unwrap();
    maps.execute(&Op::PutServices { table: Arc::new(table) }).unwrap();
    maps.execute(&Op::RemovePool { index: 3 }).unwrap();
    maps.execute(&Op::RemoveBackend { index: BackendIndex::new(3).unwrap() }).unwrap();

    assert_eq!(maps.observe().unwrap(), Image::default());
}

fn services_on(ports: RangeInclusive<u16>) -> Op {
    let vip = "203.0.113.10".parse().unwrap();
    let entry = ServiceEntry { name_hash: stable_hash(NAME_SEED, b"web"), ..Default::default() };
    let services = ports.map(|port| (ServiceKey::new(vip, 6, port), entry));
    Op::PutServices { table: Arc::new(ServiceTable::build(&services.collect()).unwrap()) }
}

#[test]
fn more_services_than_fit_are_refused_and_those_that_are_there_stay() {
    let mut maps = load(None, LIMITS).unwrap().maps;
    maps.execute(&services_on(1..=16)).unwrap();

    let error = maps.execute(&services_on(1..=17)).unwrap_err();

    assert_eq!(error.to_string(), "17 services do not fit in map SERVICES");
    assert_eq!(maps.observe().unwrap().services.len(), 16);
}

#[test]
fn services_are_written_to_one_half_and_then_to_the_other() {
    let mut maps = load(None, LIMITS).unwrap().maps;
    for ports in [1..=16, 3..=4, 5..=5, 1..=16] {
        let op = services_on(ports);
        maps.execute(&op).unwrap();
        let Op::PutServices { table } = op else { unreachable!() };
        assert_eq!(maps.observe().unwrap().services, table.services());
    }
}

#[test]
fn a_change_of_services_that_was_cut_off_leaves_those_before() {
    let mut maps = load(None, LIMITS).unwrap().maps;
    maps.execute(&services_on(1..=3)).unwrap();
    let before = maps.observe().unwrap();

    let Op::PutServices { table } = services_on(1..=16) else { unreachable!() };
    maps.services.write_beside(&table).unwrap();

    assert_eq!(maps.observe().unwrap(), before);
}

#[test]
fn counters_are_summed_over_the_cpus_and_reset_one_by_one() {
    let mut maps = load(None, LIMITS).unwrap().maps;
    let cpus = aya::util::nr_cpus().unwrap();
    let counted = || {
        let per_cpu: Vec<CounterWords> = (0..cpus).map(|cpu| [cpu as u64 + 1, 100]).collect();
        PerCpuValues::try_from(per_cpu).unwrap()
    };
    let packets = (1..=cpus as u64).sum();
    let sum = Counter { packets, bytes: cpus as u64 * 100 };
    let (kept, reset) = (BackendIndex::new(29).unwrap(), BackendIndex::new(30).unwrap());
    for index in [1, 2] {
        maps.service_counters.set(index, counted(), 0).unwrap();
    }
    for index in [29, 30] {
        maps.backend_counters.set(index, counted(), 0).unwrap();
    }
    assert_eq!(maps.service_counter(2).unwrap(), sum);
    assert_eq!(maps.backend_counter(reset).unwrap(), sum);

    maps.execute(&Op::ResetService { service: 2 }).unwrap();
    maps.execute(&Op::ResetBackend { index: reset }).unwrap();

    assert_eq!(maps.service_counter(1).unwrap(), sum);
    assert_eq!(maps.service_counter(2).unwrap(), Counter::default());
    assert_eq!(maps.backend_counter(kept).unwrap(), sum);
    assert_eq!(maps.backend_counter(reset).unwrap(), Counter::default());
}

#[test]
fn every_map_has_the_size_that_its_limit_says() {
    let sizes = shapes(&LIMITS)
        .map(|shape| (shape.name, shape.key_bytes, shape.value_bytes, shape.max_entries));
    let reasons = u32::try_from(Reason::ALL.len()).unwrap();
    let events = u32::try_from(PinEvent::ALL.len()).unwrap();

    assert_eq!(
        sizes,
        [
            ("SERVICE_DIRECTORY", 4, 104, 1),
            // Two halves.
            ("SERVICE_BUCKETS", 4, 8, 18),
            ("SERVICES", 4, 40, 42),
            ("POOLS", 4, 32, 8),
            ("TABLE_PAGES", 4, 4096, 16),
            // Index 0 stands for "none", so there is one more than the limit.
            ("BACKENDS", 4, 64, 31),
            ("PINS", 4, 64, 8),
            ("FRAGMENTS", 4, 64, 8),
            ("LOADS", 4, 8, 31),
            ("TURNS", 4, 8, 8),
            ("QUIC_SERVERS", 24, 8, 30),
            ("EGRESS", 4, 8, 1024),
            ("REPLY_BUDGETS", 4, 8, 2),
            ("UNUSUAL", 4, 4, 1),
            ("REASON_COUNTERS", 4, 16, reasons),
            ("PIN_COUNTERS", 4, 16, events),
            ("SERVICE_COUNTERS", 4, 16, 16),
            ("BACKEND_COUNTERS", 4, 16, 31),
        ]
    );
    let mapped: Vec<_> =
        shapes(&LIMITS).into_iter().filter(|shape| shape.flags == MMAPABLE).collect();
    assert!(mapped.iter().all(|shape| shape.map_type == MapType::Array));
    assert_eq!(mapped.len(), 10);
}

#[test]
fn the_memory_told_is_that_of_every_map() {
    let in_kernel = |limits: &Limits, cpus: u64| {
        let bytes = |shape: &MapShape| {
            let entries = u64::from(shape.max_entries);
            let value = shape.value_bytes.next_multiple_of(8) as u64;
            match shape.map_type {
                // Made one by one as they are needed: only the buckets are there from the start.
                MapType::Hash if shape.flags & NO_PREALLOC != 0 => entries.next_power_of_two() * 16,
                MapType::DevMapHash => entries.next_power_of_two() * 8,
                MapType::PerCpuArray => entries * (value * cpus + 8),
                _ => entries * value,
            }
        };
        shapes(limits).iter().map(bytes).sum::<u64>()
    };
    let large = Limits {
        services: 20_000,
        pools: 10_000,
        backends: 10_000,
        table_slots: 1 << 24,
        pins: 1 << 20,
        fragments: 1 << 14,
    };
    for limits in [LIMITS, large] {
        for cpus in [1, 2, 128] {
            assert_eq!(limits.map_memory().on(cpus), in_kernel(&limits, cpus), "{limits:?}");
        }
    }
}
