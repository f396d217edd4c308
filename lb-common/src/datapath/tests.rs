//! The parts of the pipeline that fixtures cannot reach one by one. Whole packets are tested with
//! fixtures, on the host and in the kernel.

use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::abi::{BackendIndex, Family, Pin, PoolEntry, Slot};
use crate::hash;
use crate::image::{Image, Recorder, State};
use crate::wire::TcpFlags;

const SEED: [u64; 2] = [3, 4];

fn flow(source_port: u16) -> Flow {
    Flow {
        family: Family::V4,
        protocol: 6,
        source: [0x0707_0707, 0],
        destination: [0x0a0a_0a0a, 0],
        source_port_be: source_port,
        destination_port_be: 80,
    }
}

/// The backend of a packet of `flow` that opens nothing, for pool 1 with this table.
fn backend(image: &Image, table: TableRef, flow: Flow) -> Option<BackendIndex> {
    let state = State::new(1);
    let tables = Recorder::new(image, &state, 0);
    let pool = PoolEntry { table, name_hash: 1, ..PoolEntry::default() };
    let packet = Packet {
        flow,
        part: Part::Whole,
        datagram_id: 0,
        tcp_flags: TcpFlags::NONE,
        l2_bytes: 14,
        ip_bytes: 40,
        traffic_class: 0,
        hop_limit: 64,
        transport_at: 34,
    };
    let hash = flow_hash(SEED, &flow);
    let found = steer::backend(&tables, Features::default(), (1, &pool), &packet, hash);
    assert!(state.pins.iter().all(Pin::is_empty), "a clean slot keeps no state");
    found
}

/// A flow key that leaves a field out sends two services' flows to one place.
#[test]
fn every_field_of_the_flow_is_hashed() {
    let base = flow(1);
    let changed = [
        Flow { family: Family::V6, ..base },
        Flow { protocol: 17, ..base },
        Flow { source: [1, 0], ..base },
        Flow { destination: [1, 0], ..base },
        Flow { source_port_be: 2, ..base },
        Flow { destination_port_be: 81, ..base },
    ];
    for other in changed {
        assert_ne!(flow_hash(SEED, &base), flow_hash(SEED, &other), "{other:?}");
    }
    let six = Flow { family: Family::V6, ..base };
    for other in [Flow { source: [1, 7], ..six }, Flow { destination: [1, 7], ..six }] {
        assert_ne!(flow_hash(SEED, &six), flow_hash(SEED, &other), "{other:?}");
    }
}

/// Source and destination must not be mixed in a way that makes a flow and its reverse one.
#[test]
fn a_flow_and_its_reverse_differ() {
    let forth = flow(443);
    let back = Flow {
        source: forth.destination,
        destination: forth.source,
        source_port_be: forth.destination_port_be,
        destination_port_be: forth.source_port_be,
        ..forth
    };
    assert_ne!(flow_hash(SEED, &forth), flow_hash(SEED, &back));
}

#[test]
fn slots_of_a_table_lie_page_after_page() {
    let table = TableRef::new(7, 65_521);
    assert_eq!(slot_place(table, 0), (7, 0));
    assert_eq!(slot_place(table, 1023), (7, 1023));
    assert_eq!(slot_place(table, 1024), (8, 0));
    assert_eq!(slot_place(table, 65_520), (7 + 63, 65_520 - 63 * 1024));
}

proptest! {
    #[test]
    fn the_backend_is_the_one_of_the_hashs_slot(port: u16, slots in 1_u32..3000) {
        let index = |slot| BackendIndex::new(u16::try_from(slot + 1).unwrap()).unwrap();
        let table: Vec<_> = (0..slots).map(|slot| Slot::clean(index(slot))).collect();
        let mut image = Image::default();
        image.put_table(2, &table);
        let hash = flow_hash(SEED, &flow(port));
        let found = backend(&image, TableRef::new(2, slots), flow(port));
        prop_assert_eq!(found, Some(index(hash::scaled(hash, slots))));
    }
}

/// Retransmissions and later packets of a connection must not be told apart from the first.
#[test]
fn the_same_flow_always_has_the_same_backend() {
    let index = |slot: u32| BackendIndex::new(u16::try_from(slot % 5 + 1).unwrap()).unwrap();
    let table: Vec<_> = (0..251).map(|slot| Slot::clean(index(slot))).collect();
    let mut image = Image::default();
    image.put_table(0, &table);
    let table = TableRef::new(0, 251);
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    for port in 0..10_000 {
        let first = backend(&image, table, flow(port));
        assert_eq!(first, backend(&image, table, flow(port)));
        *counts.entry(first).or_default() += 1;
    }
    assert_eq!(counts.len(), 5);
    assert!(counts.values().all(|count| (1_700..2_300).contains(count)), "{counts:?}");
}
