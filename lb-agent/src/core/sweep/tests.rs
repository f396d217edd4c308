//! A long random life of one pool in virtual time, and the corners that must not be left to chance.
//!
//! The maps are an image and a pin table, packets go through the real pipeline, changes through the
//! real plan, and seconds through the real sweep. The oracle knows none of it: a flow changes its
//! backend only if that backend is down, or if the flow was silent for longer than its time-out.

mod corners;
mod lives;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use fastrand::Rng;
use lb_common::abi::{BackendEntry, Features, pin_bucket};
use lb_common::config::Desired;
use lb_common::datapath::{Context, classify, pool_hash, process};
use lb_common::image::{Buffer, Recorder, State};
use lb_common::verdict::{PinEvent, Reason};

use super::*;
use crate::core::drain::Drain;
use crate::core::effective::effective;
use crate::core::health::Conditions;
use crate::core::ids::Ids;
use crate::core::overrides::{Change, Overrides};
use crate::core::plan::{Op, carry_out, plan};
use crate::core::samples::{LINK, known_way, parse};
use crate::core::tables::Tables;
use crate::core::target::{Ways, keep_leaving, target};

const SECOND_NS: u64 = 1_000_000_000;
const IDLE_S: u64 = 40;
const UDP_IDLE_S: u64 = 15;
/// Of the pin table of a long life.
const PIN_BUCKETS: u32 = 4096;
/// Schedulers that place every flow.
const PLACING: [&str; 4] = ["round-robin", "weighted-round-robin", "least-connections", "random"];

/// What the operator has configured of a backend.
#[derive(Clone, Copy)]
struct Wanted {
    weight: u16,
    drained: bool,
    down: bool,
}

/// Agent, maps and clock.
struct World {
    now_ns: u64,
    wanted: BTreeMap<u8, Wanted>,
    image: Image,
    state: State,
    scheduler: &'static str,
    windows: Windows,
    flows: BTreeMap<BackendIndex, u64>,
    tables: Tables,
    hash_seed: [u64; 2],
}

impl World {
    fn new(pin_buckets: u32) -> Self {
        Self::with_scheduler("maglev", pin_buckets)
    }

    fn with_scheduler(scheduler: &'static str, pin_buckets: u32) -> Self {
        let up = Wanted { weight: 100, drained: false, down: false };
        let mut world = Self {
            now_ns: 1_000_000 * SECOND_NS,
            wanted: (1..=4).map(|number| (number, up)).collect(),
            image: Image::default(),
            state: State::new(pin_buckets),
            scheduler,
            windows: Windows::default(),
            flows: BTreeMap::new(),
            tables: Tables::default(),
            hash_seed: [0; 2],
        };
        world.apply();
        world
    }

    fn desired(&self) -> Desired {
        let mut backends = String::new();
        for (number, wanted) in &self.wanted {
            let weight = wanted.weight;
            write!(backends, "{{ name: b{number}, address: 10.3.0.{number}, weight: {weight} }}, ")
                .unwrap();
        }
        parse(&format!(
            "node: {{ name: edge-1, encap_source: {{ ipv4: 10.2.0.2 }} }}\n\
             interfaces: [{{ name: eth0 }}]\n\
             limits: {{ services: 4, pools: 2, backends: 60, table_slots: 65536, pins: 8 }}\n\
             pools: [{{ name: web, table_slots: 251, scheduler: {}, flow_idle_timeout: {IDLE_S}s, \
             udp_idle_timeout: {UDP_IDLE_S}s, backends: [{backends}] }}]\n\
             services: [{{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: web }}, \
             {{ name: dns, vip: 203.0.113.10, protocol: udp, ports: [80], pool: web }}]\n",
            self.scheduler
        ))
    }

    /// What the agent does with a change: tables, target, plan, maps, windows.
    fn apply(&mut self) {
        let desired = self.desired();
        self.hash_seed = desired.hash_seed;
        let mut overrides = Overrides::default();
        for (number, wanted) in &self.wanted {
            // A health check takes a backend that is down out of the table, as a drain does.
            if wanted.drained || wanted.down {
                overrides = overrides.with(
                    "web",
                    &format!("b{number}"),
                    Change::Drain(Some(Drain::default())),
                );
            }
        }
        let effective = effective(&desired, &overrides, &Conditions::default());
        let ids = Ids::adopt(&self.image).assign(&desired).unwrap();
        self.tables.update(&desired, &effective, &ids).unwrap();
        let ways: Ways = (0..=255)
            .map(|number| {
                let address = [10, 3, 0, number].into();
                (address, known_way(address, number))
            })
            .collect();
        let mut target = target(&desired, &ids, &self.tables, &ways, &BTreeSet::new());
        let pinned = self.flows.keys().copied().collect();
        keep_leaving(&mut target, &self.image, &pinned, &ways, &desired.limits);
        for (number, wanted) in &self.wanted {
            let index = ids.backend("web", &format!("b{number}")).unwrap();
            if wanted.down {
                let entry = target.backends.get_mut(&index).unwrap();
                entry.flags &= !(BackendEntry::USABLE | BackendEntry::ACCEPTS_NEW);
            }
        }
        let before = self.image.clone();
        for op in plan(&self.image, &target, &desired.limits, &BTreeSet::new()).unwrap() {
            carry_out(&mut self.image, &op);
        }
        self.windows.open(&before, &self.image, &timeouts(&self.image), self.now_ns);
    }

    /// A killed agent comes back: everything but the maps is new.
    fn restart(&mut self) {
        self.windows = Windows::default();
        self.windows.open(&Image::default(), &self.image, &timeouts(&self.image), self.now_ns);
        self.tables = Tables::default();
        self.flows.clear();
        self.sweep();
        self.apply();
    }

    /// A second goes by.
    fn tick(&mut self) {
        self.now_ns += SECOND_NS;
        self.sweep();
    }

    fn sweep(&mut self) -> Swept {
        let timeouts = timeouts(&self.image);
        let pins = self.state.pins.iter();
        let swept = sweep(&self.image, &mut self.windows, pins, &timeouts, self.now_ns);
        for (pool, number, slot) in &swept.slots {
            let table = self.image.pools[pool].table;
            let (page, offset) = lb_common::datapath::slot_place(table, *number);
            carry_out(&mut self.image, &Op::PutSlot { page, offset, slot: *slot });
        }
        for (position, pin) in &swept.expired {
            assert!(self.state.pins.remove(*position, *pin));
        }
        self.flows = swept.flows.clone();
        self.state.loads.replace(swept.loads.clone());
        swept
    }

    /// One packet of a flow: the number of the backend it goes to.
    fn packet(&self, flow: &Flow, opening: bool) -> Option<u8> {
        let mut frame = Buffer::new(&flow.frame(opening), 64);
        let tables = Recorder::new(&self.image, &self.state, self.now_ns);
        let context =
            Context { hash_seed: self.hash_seed, ingress_ifindex: LINK, features: Features::ALL };
        match process(&mut frame, &tables, &context) {
            Reason::Forwarded => {
                assert_eq!(tables.pin_events(PinEvent::Full), 0, "the table is large enough");
                let (_, entry) = tables.take_lookups().backend.unwrap();
                Some(entry.outer_destination[3])
            }
            Reason::NoBackend => None,
            other => panic!("{other:?}"),
        }
    }

    /// What tells a flow's pin from others: its bucket and its tag. Flows of one client in a pool that
    /// hashes clients have most of the tag in common, so that two in a few millions share a pin.
    fn pin_place(&self, flow: &Flow) -> (u32, u64) {
        let packet = classify(&Buffer::new(&flow.frame(false), 0)).unwrap();
        let context =
            Context { hash_seed: self.hash_seed, ingress_ifindex: LINK, features: Features::ALL };
        let pool = self.image.pools.values().next().unwrap();
        let hash = pool_hash(&context, pool, &packet.flow);
        (pin_bucket(hash, PIN_BUCKETS), hash >> 32)
    }

    fn is_down(&self, number: u8) -> bool {
        self.wanted.get(&number).is_some_and(|wanted| wanted.down)
    }

    fn accepts_new(&self, number: u8) -> bool {
        let ok = |wanted: &Wanted| wanted.weight > 0 && !wanted.drained && !wanted.down;
        self.wanted.get(&number).is_some_and(ok)
    }

    fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.image.pools.values().flat_map(|pool| self.image.table(pool.table))
    }
}

fn timeouts(image: &Image) -> BTreeMap<u32, IdleTimeouts> {
    let each = IdleTimeouts { flow_ns: IDLE_S * SECOND_NS, udp_ns: UDP_IDLE_S * SECOND_NS };
    image.pools.keys().map(|pool| (*pool, each)).collect()
}

/// One flow as its client sees it.
#[derive(Clone, Debug)]
struct Flow {
    port: u16,
    udp: bool,
    /// Seconds between its packets.
    pause_s: u64,
    backend: u8,
    last_ns: u64,
    /// Whether its backend has been down since its last packet.
    lost: bool,
}

impl Flow {
    fn frame(&self, opening: bool) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, if self.udp { 28 } else { 40 }, 0, 0, 0x40, 0, 64]);
        frame.extend([if self.udp { 17 } else { 6 }, 0, 0, 198, 51, 100, 7, 203, 0, 113, 10]);
        frame.extend(self.port.to_be_bytes());
        frame.extend([0, 80]);
        if self.udp {
            frame.extend([0, 8, 0, 0]);
        } else {
            frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, if opening { 2 } else { 0x10 }]);
            frame.extend([0, 0, 0, 0, 0, 0]);
        }
        frame
    }

    fn limit_ns(&self) -> u64 {
        SECOND_NS * if self.udp { UDP_IDLE_S } else { IDLE_S }
    }
}

/// Something happens to the configuration, to a server, or to the agent. The pool's scheduler
/// becomes one of these.
fn disturb(world: &mut World, rng: &mut Rng, schedulers: &[&'static str]) {
    if rng.u8(0..8) == 0 {
        world.scheduler = schedulers[rng.usize(..schedulers.len())];
    }
    let number = rng.u8(1..=6);
    let up = Wanted { weight: 100, drained: false, down: false };
    match rng.u8(0..7) {
        0 => {
            world.wanted.entry(number).or_insert(up);
        }
        1 => {
            world.wanted.remove(&number);
        }
        2 => world.wanted.entry(number).or_insert(up).weight = rng.u16(0..=1000),
        3 => world.wanted.entry(number).or_insert(up).drained = rng.bool(),
        4 | 5 => {
            let down = rng.u8(0..3) == 0;
            world.wanted.entry(number).or_insert(up).down = down;
        }
        _ => return world.restart(),
    }
    world.apply();
}

/// Lives through `seconds` seconds under one of the schedulers at a time; how many packets stayed,
/// and how many were free to move.
fn live(
    seed: u64,
    seconds: u32,
    keep_rules: bool,
    schedulers: &[&'static str],
) -> Result<(u64, u64), String> {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::with_scheduler(schedulers[0], PIN_BUCKETS);
    let mut flows: Vec<Flow> = Vec::new();
    let (mut stayed, mut free) = (0, 0);
    for _ in 0..seconds {
        if rng.u8(0..4) == 0 {
            disturb(&mut world, &mut rng, schedulers);
        }
        if !keep_rules {
            forget_transitions(&mut world);
        }
        for flow in &mut flows {
            flow.lost |= world.is_down(flow.backend);
        }
        for _ in 0..rng.u8(0..8) {
            open_flow(&world, &mut rng, &mut flows)?;
        }
        for flow in &mut flows {
            let silent_ns = world.now_ns - flow.last_ns;
            if silent_ns < flow.pause_s * SECOND_NS {
                continue;
            }
            let owner = world.packet(flow, false);
            // A tick is added to a pin's age on either side of the limit.
            let may_move = flow.lost || silent_ns + 3 * SECOND_NS > flow.limit_ns();
            if owner == Some(flow.backend) {
                stayed += 1;
            } else if may_move {
                free += 1;
            } else {
                return Err(format!("{flow:?} went to {owner:?} after {silent_ns} ns"));
            }
            flow.backend = owner.unwrap_or(0);
            flow.last_ns = world.now_ns;
            flow.lost = owner.is_none() || world.is_down(flow.backend);
        }
        flows.retain(|flow| flow.backend != 0 && rng.u8(..) != 0);
        world.tick();
    }
    Ok((stayed, free))
}

/// Starts a flow. New connections go only to backends that take them; a retransmission follows.
fn open_flow(world: &World, rng: &mut Rng, flows: &mut Vec<Flow>) -> Result<(), String> {
    let mut flow = Flow {
        port: rng.u16(1024..),
        udp: rng.u8(0..4) == 0,
        pause_s: [1, 3, 9, 30, 60][rng.usize(..5)],
        backend: 0,
        last_ns: world.now_ns,
        lost: false,
    };
    let place = world.pin_place(&flow);
    let shares_a_pin =
        |other: &Flow| world.scheduler == "source-hash" && world.pin_place(other) == place;
    let is_taken = |other: &Flow| other.port == flow.port || shares_a_pin(other);
    if flows.iter().any(is_taken) {
        return Ok(());
    }
    let Some(backend) = world.packet(&flow, true) else { return Ok(()) };
    if !flow.udp && !world.accepts_new(backend) {
        return Err(format!("{flow:?} was opened on {backend}, which takes no new flows"));
    }
    for opening in [true, false] {
        let again = world.packet(&flow, opening);
        if again != Some(backend) {
            return Err(format!("{flow:?}: first {backend}, then {again:?}"));
        }
    }
    flow.backend = backend;
    flows.push(flow);
    Ok(())
}

/// What a balancer without transitions would do.
fn forget_transitions(world: &mut World) {
    let tables: Vec<_> = world.image.pools.values().map(|pool| pool.table).collect();
    for table in tables {
        for number in 0..table.slots() {
            let slot = Slot::clean(world.image.slot(table, number).current());
            let (page, offset) = lb_common::datapath::slot_place(table, number);
            world.image.put_slot(page, offset, slot);
        }
    }
}
