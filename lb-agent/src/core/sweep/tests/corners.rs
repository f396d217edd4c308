//! The corners that must not be left to chance.

use super::*;

#[test]
fn when_all_is_quiet_every_slot_is_clean_and_every_pin_gone() {
    let mut rng = Rng::with_seed(5);
    let mut world = World::new(64);
    let mut flows = Vec::new();
    for _ in 0..20 {
        disturb(&mut world, &mut rng, &["maglev"]);
        for _ in 0..20 {
            open_flow(&world, &mut rng, &mut flows).unwrap();
        }
        world.tick();
    }
    assert!(world.slots().any(Slot::consult));
    for _ in 0..2 * IDLE_S + 5 {
        world.tick();
    }
    assert!(world.slots().all(|slot| !slot.consult()));
    assert!(world.state.pins.iter().all(Pin::is_empty));
    assert_eq!(world.sweep(), Swept::default());
}

impl World {
    /// Only one backend is left, all others drain.
    fn drain_to(&mut self, number: u8) {
        for (other, wanted) in &mut self.wanted {
            wanted.drained = *other != number;
        }
        self.apply();
    }
}

#[test]
fn a_drain_is_done_when_its_last_flow_has_gone() {
    let mut world = World::new(64);
    let mut flow = Flow { port: 4000, udp: false, pause_s: 1, backend: 0, last_ns: 0, lost: false };
    let home = world.packet(&flow, true).unwrap();
    flow.backend = home;
    world.drain_to(home % 4 + 1);
    // The flow lives on for five windows.
    for _ in 0..5 * IDLE_S {
        assert_eq!(world.packet(&flow, false), Some(home));
        world.tick();
    }
    let index = world.image.backends.iter().find(|(_, entry)| entry.outer_destination[3] == home);
    let index = *index.unwrap().0;
    assert_eq!(world.flows, BTreeMap::from([(index, 1)]));
    assert_eq!(world.slots().filter(|slot| slot.consult()).count(), 1, "its slot alone");
    for _ in 0..IDLE_S + 3 {
        world.tick();
    }
    assert_eq!(world.flows, BTreeMap::new());
    assert!(world.slots().all(|slot| !slot.consult()));
}

#[test]
fn a_removed_backend_stays_for_its_flows_and_its_index_is_nobody_elses() {
    let mut world = World::new(64);
    let flow = Flow { port: 4000, udp: false, pause_s: 1, backend: 0, last_ns: 0, lost: false };
    let home = world.packet(&flow, true).unwrap();
    let index_of = |world: &World, number: u8| {
        let mut backends = world.image.backends.iter();
        backends.find(|(_, entry)| entry.outer_destination[3] == number).map(|(index, _)| *index)
    };
    let index = index_of(&world, home).unwrap();
    world.wanted.remove(&home);
    world.wanted.insert(5, Wanted { weight: 100, drained: false, down: false });
    world.apply();
    for _ in 0..2 * IDLE_S {
        assert_eq!(world.packet(&flow, false), Some(home));
        assert_ne!(index_of(&world, 5), Some(index));
        world.tick();
        world.apply();
    }
    for _ in 0..IDLE_S + 3 {
        world.tick();
    }
    world.apply();
    assert_eq!(index_of(&world, home), None);
}

#[test]
fn embryonic_pins_go_in_seconds_and_established_ones_in_their_time() {
    let mut world = World::new(64);
    let flow = |port, udp| Flow { port, udp, pause_s: 1, backend: 0, last_ns: 0, lost: false };
    let home = world.packet(&flow(4000, false), true).unwrap();
    world.drain_to(home % 4 + 1);
    let count = |world: &World| world.state.pins.iter().filter(|pin| !pin.is_empty()).count();
    // In slots that have moved: a SYN, an old TCP flow, an old UDP flow.
    let mut made = [false; 3];
    for port in 4000.. {
        for (place, (udp, opening)) in
            [(false, true), (false, false), (true, false)].iter().enumerate()
        {
            if !made[place] {
                let before = count(&world);
                // Ports apart: a segment would confirm the pin of a SYN with the same one.
                world.packet(&flow(port + 5_000 * u16::from(*opening), *udp), *opening);
                made[place] = count(&world) > before;
            }
        }
        if made == [true; 3] {
            break;
        }
    }
    assert_eq!(count(&world), 3);
    let mut ends = Vec::new();
    for second in 1..=IDLE_S + 5 {
        let before = count(&world);
        world.tick();
        ends.extend((count(&world) < before).then_some(second));
    }
    let [embryonic, udp, tcp] = ends[..] else { panic!("{ends:?}") };
    assert!((10..=13).contains(&embryonic), "{ends:?}");
    assert!((UDP_IDLE_S..=UDP_IDLE_S + 3).contains(&udp), "{ends:?}");
    assert!((IDLE_S - 1..=IDLE_S + 3).contains(&tcp), "{ends:?}");
}

/// A connection that has been opened and confirmed.
fn connect(world: &World, port: u16) -> u8 {
    let flow = Flow { port, udp: false, pause_s: 1, backend: 0, last_ns: 0, lost: false };
    let home = world.packet(&flow, true).unwrap();
    assert_eq!(world.packet(&flow, false), Some(home));
    home
}

#[test]
fn where_every_flow_is_placed_pins_live_for_their_time_whatever_their_slot_says() {
    for scheduler in PLACING {
        let mut world = World::with_scheduler(scheduler, 64);
        for port in 4000..4040 {
            connect(&world, port);
        }
        assert!(world.slots().all(|slot| !slot.consult()));
        for _ in 0..IDLE_S - 2 {
            world.tick();
            assert_eq!(world.flows.values().sum::<u64>(), 40, "{scheduler}");
        }
        for _ in 0..6 {
            world.tick();
        }
        assert!(world.state.pins.iter().all(Pin::is_empty), "{scheduler}");
        let swept = world.sweep();
        assert!(swept.pins_for_good, "more may come at any time");
        assert_eq!(swept, Swept { pins_for_good: true, ..Swept::default() });
    }
}

#[test]
fn where_every_flow_is_placed_slots_settle_when_their_window_closes() {
    let mut world = World::with_scheduler("random", 64);
    let home = connect(&world, 4000);
    world.drain_to(home % 4 + 1);
    assert!(world.slots().any(Slot::consult));
    let flow = Flow { port: 4000, udp: false, pause_s: 1, backend: 0, last_ns: 0, lost: false };
    for _ in 0..IDLE_S + 2 {
        assert_eq!(world.packet(&flow, false), Some(home));
        world.tick();
    }
    assert!(world.slots().all(|slot| !slot.consult()), "though a flow is pinned");
    assert_eq!(world.flows.values().sum::<u64>(), 1);
}

#[test]
fn the_load_of_a_backend_is_its_flows_that_have_not_been_closed() {
    let mut world = World::with_scheduler("round-robin", 64);
    let ports = 4000..4040;
    for port in ports.clone() {
        connect(&world, port);
    }
    world.tick();
    assert_eq!(world.state.loads.borrow().values().sum::<u64>(), 40);
    // Half of them are reset.
    for port in ports.step_by(2) {
        let flow = Flow { port, udp: false, pause_s: 1, backend: 0, last_ns: 0, lost: false };
        let mut frame = flow.frame(false);
        frame[47] = 0x04;
        let mut frame = Buffer::new(&frame, 64);
        let tables = Recorder::new(&world.image, &world.state, world.now_ns);
        let context =
            Context { hash_seed: world.hash_seed, ingress_ifindex: LINK, features: Features::ALL };
        assert_eq!(process(&mut frame, &tables, &context), Reason::Forwarded);
    }
    world.tick();
    assert_eq!(world.state.loads.borrow().values().sum::<u64>(), 20);
    assert_eq!(world.flows.values().sum::<u64>(), 40, "they are kept, though");
}

#[test]
fn a_pin_that_a_packet_touches_during_the_sweep_lives_on() {
    let mut world = World::with_scheduler("random", 64);
    connect(&world, 4000);
    // The sweep has looked at the clock before the packet came.
    world.now_ns -= 2 * SECOND_NS;
    assert_eq!(world.sweep().expired, []);
    assert_eq!(world.flows.values().sum::<u64>(), 1);
}
