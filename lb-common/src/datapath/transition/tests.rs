//! The state machine of a slot in transition: every state with every event.

use std::vec::Vec;

use super::*;
use crate::image::{Image, PinTable, Recorder, State};

const POOL: u16 = 1;
const NOW: Ticks = Ticks::at(1_000 << Ticks::NANOSECONDS_BITS);
const LATER: Ticks = Ticks::at(1_003 << Ticks::NANOSECONDS_BITS);

fn ns(now: Ticks) -> u64 {
    u64::from(Ticks::default().until(now)) << Ticks::NANOSECONDS_BITS
}

const HASH: u64 = 0xdead_beef_0000_0000;

const USABLE: u8 = BackendEntry::USABLE;
const NEW_TOO: u8 = BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW;

/// The backends of these tests: index, pool, flags.
const CURRENT: (u16, u16, u8) = (1, POOL, NEW_TOO);
const DRAINING: (u16, u16, u8) = (2, POOL, USABLE);
const DOWN: (u16, u16, u8) = (3, POOL, 0);
const THIRD: (u16, u16, u8) = (4, POOL, NEW_TOO);
const FOREIGN: (u16, u16, u8) = (5, POOL + 1, NEW_TOO);
/// In no map.
const GONE: (u16, u16, u8) = (6, POOL, NEW_TOO);

fn index((index, ..): (u16, u16, u8)) -> BackendIndex {
    BackendIndex::new(index).unwrap()
}

fn image() -> Image {
    let mut image = Image::default();
    for backend in [CURRENT, DRAINING, DOWN, THIRD, FOREIGN] {
        let (_, pool, flags) = backend;
        let entry = BackendEntry { pool, flags, name_hash: 1, ..BackendEntry::default() };
        image.backends.insert(index(backend), entry);
    }
    image
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Event {
    Opening,
    Segment,
    Closing,
    Datagram,
    /// An ICMP error about a segment.
    Quoted,
}

const EVENTS: [Event; 5] =
    [Event::Opening, Event::Segment, Event::Closing, Event::Datagram, Event::Quoted];

fn arrival(event: Event) -> Arrival {
    Arrival {
        pool: POOL.into(),
        hash: HASH,
        opening: event == Event::Opening,
        closing: event == Event::Closing,
        udp: event == Event::Datagram,
        quoted: event == Event::Quoted,
        scheduled: false,
    }
}

fn pins_of(table: &PinTable) -> Vec<Pin> {
    table.iter().filter(|pin| !pin.is_empty()).collect()
}

/// Runs one packet: its owner, and the pins afterwards.
fn run(pins: &[Pin], slot: Slot, event: Event, now: Ticks) -> (BackendIndex, Vec<Pin>) {
    let mut places = pins.to_vec();
    places.resize(PINS_PER_BUCKET, Pin::EMPTY);
    let state = State::from_pins(places);
    let image = image();
    let owner = owner(&Recorder::new(&image, &state, ns(now)), slot, &arrival(event));
    (owner, pins_of(&state.pins))
}

/// Every pin a flow can have x every `previous` x every packet: the rules, spelled out.
#[test]
fn every_state_with_every_event() {
    let previous_backends = [None, Some(DRAINING), Some(DOWN), Some(FOREIGN), Some(GONE)];
    let pinned =
        [None, Some(CURRENT), Some(DRAINING), Some(DOWN), Some(THIRD), Some(FOREIGN), Some(GONE)];
    for previous in previous_backends {
        for pin in pinned {
            for event in EVENTS {
                check(previous, pin, event);
            }
        }
    }
}

fn check(previous: Option<(u16, u16, u8)>, pin: Option<(u16, u16, u8)>, event: Event) {
    let slot = Slot::in_transition(index(CURRENT), previous.map_or(BackendIndex::NONE, index));
    let state = match event {
        Event::Opening => PinState::Embryonic,
        Event::Closing => PinState::Closing,
        Event::Datagram => PinState::Udp,
        Event::Segment | Event::Quoted => PinState::Established,
    };
    let before = pin.map(|backend| Pin::new(HASH, index(backend), NOW).in_state(state));
    let (owner, after) = run(before.as_slice(), slot, event, NOW);

    let opening = event == Event::Opening;
    let (wanted, stays) = match pin {
        // Rule 1.
        Some(CURRENT | THIRD) => (pin.unwrap(), true),
        Some(DRAINING) if !opening => (DRAINING, true),
        // Rule 2.
        _ if opening => (CURRENT, false),
        // Rule 3.
        _ if previous == Some(DRAINING) => (DRAINING, false),
        // Rule 4.
        _ => (CURRENT, false),
    };
    let case = (previous, pin, event);
    assert_eq!(owner, index(wanted), "{case:?}");
    if stays || event == Event::Quoted {
        assert_eq!(after, before.as_slice(), "{case:?}");
    } else if previous.is_some() || pin.is_some() {
        let made = Pin::new(HASH, owner, NOW).in_state(state);
        assert_eq!(after, [made], "{case:?}");
    } else {
        assert_eq!(after, [], "nothing to remember: {case:?}");
    }
}

#[test]
fn nobody_takes_new_connections_but_old_ones_go_on() {
    let slot = Slot::in_transition(BackendIndex::NONE, index(DRAINING));
    assert_eq!(run(&[], slot, Event::Opening, NOW), (BackendIndex::NONE, Vec::new()));
    assert_eq!(run(&[], slot, Event::Segment, NOW).0, index(DRAINING));
}

/// Others have shipped this: a retransmitted SYN must not be spread anew.
#[test]
fn a_retransmitted_syn_finds_its_backend_though_the_slot_has_moved_on() {
    let slot = Slot::in_transition(index(THIRD), index(DRAINING));
    let (first, pins) = run(&[], slot, Event::Opening, NOW);
    assert_eq!(first, index(THIRD));
    let moved = Slot::in_transition(index(CURRENT), index(DRAINING));
    assert_eq!(run(&pins, moved, Event::Opening, LATER).0, index(THIRD));
}

#[test]
fn a_second_packet_confirms_a_pin_and_a_retransmission_does_not() {
    let slot = Slot::in_transition(index(CURRENT), index(DRAINING));
    let (_, pins) = run(&[], slot, Event::Opening, NOW);
    assert_eq!(pins[0].state(), PinState::Embryonic);
    let (_, again) = run(&pins, slot, Event::Opening, LATER);
    assert_eq!(again, [pins[0].seen_at(LATER)]);
    let (_, confirmed) = run(&again, slot, Event::Segment, LATER);
    assert_eq!(confirmed, [Pin::new(HASH, index(CURRENT), LATER)]);
    // And no later SYN, forged or reused, makes it embryonic again.
    let (_, still) = run(&confirmed, slot, Event::Opening, LATER);
    assert_eq!(still, confirmed);
}

#[test]
fn a_live_flow_is_seen_once_a_tick() {
    let pin = Pin::new(HASH, index(DRAINING), NOW);
    let slot = Slot::in_transition(index(CURRENT), index(DRAINING));
    assert_eq!(run(&[pin], slot, Event::Segment, LATER).1, [pin.seen_at(LATER)]);
}

/// A close is remembered, and does not end what is still under way; the same ports may come again.
#[test]
fn a_closed_connection_keeps_its_backend_and_its_ports_open_another() {
    let slot = Slot::in_transition(index(CURRENT), index(DRAINING));
    let established = Pin::new(HASH, index(CURRENT), NOW);
    let closing = established.in_state(PinState::Closing);
    assert_eq!(run(&[established], slot, Event::Closing, NOW).1, [closing]);
    assert_eq!(run(&[closing], slot, Event::Segment, NOW), (index(CURRENT), [closing].into()));
    let opened = established.in_state(PinState::Embryonic);
    assert_eq!(run(&[closing], slot, Event::Opening, NOW), (index(CURRENT), [opened].into()));
    let embryonic = run(&[opened], slot, Event::Closing, NOW).1;
    assert_eq!(embryonic, [closing], "a reset of a handshake");
}

#[test]
fn flags_survive_the_way_through_one_word() {
    for flags in 0..32 {
        assert_eq!(Arrival::from_parts(7, HASH, flags).flags(), flags);
    }
}

fn others(count: u16, embryonic: bool) -> Vec<Pin> {
    (1..=count)
        .map(|number| {
            // The first has waited longest.
            let seen = Ticks::at((900 + u64::from(number)) << Ticks::NANOSECONDS_BITS);
            let hash = u64::from(number) << 32;
            let state = if embryonic { PinState::Embryonic } else { PinState::Established };
            Pin::new(hash, index(THIRD), seen).in_state(state)
        })
        .collect()
}

#[test]
fn an_embryonic_pin_gives_way_the_longest_waiting_first() {
    let mut pins = others(7, false);
    pins.extend(others(1, true));
    let slot = Slot::in_transition(index(CURRENT), index(DRAINING));
    for event in [Event::Opening, Event::Segment] {
        let (_, after) = run(&pins, slot, event, NOW);
        assert_eq!(after[..7], pins[..7], "established pins stay");
        assert!(after[7].is_of(HASH), "{event:?}");
    }
    let (_, after) = run(&others(8, true), slot, Event::Opening, NOW);
    assert!(after[0].is_of(HASH));
    assert_eq!(after[1..], others(8, true)[1..]);
}

/// A flood of SYNs can fill a bucket only with pins that give way; what cannot is live flows, and
/// then a new connection goes where its next packets will go by rule 3.
#[test]
fn a_bucket_of_live_flows_takes_no_other_and_nothing_breaks() {
    let image = image();
    for (previous, wanted) in [(DRAINING, DRAINING), (DOWN, CURRENT)] {
        let slot = Slot::in_transition(index(CURRENT), index(previous));
        let state = State::from_pins(others(8, false));
        let tables = Recorder::new(&image, &state, ns(NOW));
        for event in [Event::Opening, Event::Segment, Event::Segment] {
            assert_eq!(owner(&tables, slot, &arrival(event)), index(wanted), "{event:?}");
        }
        assert_eq!(pins_of(&state.pins), others(8, false));
        assert_eq!(tables.pin_events(PinEvent::Full), 3);
        assert_eq!(tables.pin_events(PinEvent::Evicted), 0);
    }
}

/// A slot remembers the backend of the flows that are older than all of its changes.
#[test]
fn a_slot_that_moves_keeps_the_first_previous() {
    let [one, two, three] = [CURRENT, DRAINING, THIRD].map(index);
    let clean = Slot::clean(one);
    assert_eq!(clean.moved_to(one), clean);
    let moved = clean.moved_to(two);
    assert_eq!(moved, Slot::in_transition(two, one));
    assert_eq!(moved.moved_to(three), Slot::in_transition(three, one));
    // Back again: current is previous, and pins go on holding those born in between.
    assert_eq!(moved.moved_to(one), Slot::in_transition(one, one));
    // After the window, flows that are not pinned are the current backend's.
    let settled = moved.without_previous();
    assert_eq!(settled, Slot::in_transition(two, BackendIndex::NONE));
    assert_eq!(settled.moved_to(three), Slot::in_transition(three, two));
}

#[test]
fn a_pin_keeps_its_fields_apart() {
    let last = BackendIndex::new(BackendIndex::MAX).unwrap();
    let tick = Ticks::at(0x7fff << Ticks::NANOSECONDS_BITS);
    let pin = Pin::new(u64::MAX, last, tick);
    assert_eq!((pin.tag(), pin.backend(), pin.last_seen()), (0xffff_ffff << 32, last, tick));
    assert_eq!(pin.state(), PinState::Established);
    let pin = pin.in_state(PinState::Closing).seen_at(Ticks::default());
    assert_eq!((pin.tag(), pin.backend()), (0xffff_ffff << 32, last));
    assert_eq!(pin.last_seen(), Ticks::default());
    for state in [PinState::Established, PinState::Embryonic, PinState::Udp, PinState::Closing] {
        assert_eq!(pin.in_state(state).state(), state);
    }
    assert!(pin.is_of(u64::MAX << 32) && !pin.is_of(1 << 32) && !Pin::EMPTY.is_of(0));
}

#[test]
fn ticks_are_counted_over_the_turn_of_the_counter() {
    let at = |tick: u64| Ticks::at(tick << Ticks::NANOSECONDS_BITS);
    assert_eq!(at(5).until(at(9)), 4);
    assert_eq!(at(0x7ffe).until(at(0x8001)), 3);
}
