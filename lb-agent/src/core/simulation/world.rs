//! The agent's loop over an image, with servers that do as they are told.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{BackendIndex, Slot};
use lb_common::config::{Desired, Weight};
use lb_common::datapath::slot_place;
use lb_common::image::Image;

use super::{PoolSpec, SECOND_NS};
use crate::core::drain::Drain;
use crate::core::health::{Checks, Outcome, Report, believed};
use crate::core::naming::Naming;
use crate::core::overrides::{Change, Overrides};
use crate::core::plan::{Op, carry_out, plan, resting_after};
use crate::core::samples::desired;
use crate::core::steering::Steering;
use crate::core::tables::Tables;
use crate::core::target::{Target, Ways, keep_leaving, mark_down, mark_in_place, target};

/// Something that happens to the world.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A server dies, or answers again.
    Server { backend: usize, alive: bool },
    /// All of them, as when a link is lost.
    AllServers { alive: bool },
    /// A server reports.
    Report { backend: usize, percent: u8, drained: Option<bool> },
    /// A server takes so long for an answer.
    Slow { backend: usize, ms: u64 },
    /// An operator's weight, or none any more.
    Weight { backend: usize, weight: Option<u16> },
    /// A drain, or its end.
    Drain { backend: usize, drain: bool },
    /// Another configuration.
    Configure(PoolSpec),
    /// The agent dies and starts again.
    Crash,
    /// It will, after so many writes of its next change.
    CrashIn { writes: usize },
    /// Nothing, for a while.
    Wait { ms: u64 },
}

/// A server, as it really is.
#[derive(Clone, Copy, Debug)]
struct Server {
    alive: bool,
    report: Report,
    took_ns: u64,
}

/// A healthy one.
const HEALTHY: Server = Server {
    alive: true,
    report: Report { percent: Some(100), drained: Some(false), is_down: false },
    took_ns: 1_000_000,
};

/// Everything.
pub(super) struct World {
    pub(super) desired: Desired,
    pub(super) overrides: Overrides,
    pub(super) checks: Checks,
    pub(super) steering: Steering,
    pub(super) naming: Naming,
    pub(super) observed: Image,
    pub(super) now_ns: u64,
    servers: Vec<Server>,
    tables: Tables,
    /// Those in the maps, unless the names have changed since.
    written: Option<Tables>,
    resting: BTreeSet<u32>,
    is_pending: bool,
    crash_in: Option<usize>,
    changes: usize,
}

fn name(backend: usize) -> String {
    format!("b{}", backend + 1)
}

fn configuration(spec: &PoolSpec) -> Desired {
    let service = "[{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [80], pool: web }]";
    desired(&spec.text(), service)
}

impl World {
    /// An agent's first start, on maps that hold nothing.
    pub(super) fn start(spec: &PoolSpec) -> Self {
        let mut world = Self {
            desired: configuration(spec),
            overrides: Overrides::default(),
            checks: Checks::default(),
            steering: Steering::default(),
            naming: Naming::default(),
            observed: Image::default(),
            now_ns: SECOND_NS,
            servers: vec![HEALTHY; 6],
            tables: Tables::default(),
            written: None,
            resting: BTreeSet::new(),
            is_pending: false,
            crash_in: None,
            changes: 0,
        };
        world.restart();
        world
    }

    /// How often the maps were changed.
    pub(super) const fn changes(&self) -> usize {
        self.changes
    }

    /// Lets one event happen, and what follows from it at once.
    pub(super) fn happen(&mut self, event: Event) {
        match event {
            Event::Server { backend, alive } => self.servers[backend].alive = alive,
            Event::AllServers { alive } => {
                self.servers.iter_mut().for_each(|server| server.alive = alive);
            }
            Event::Report { backend, percent, drained } => {
                self.servers[backend].report =
                    Report { percent: Some(percent), drained, is_down: false };
            }
            Event::Slow { backend, ms } => self.servers[backend].took_ns = ms * 1_000_000,
            Event::Weight { backend, weight } => {
                let weight = weight.and_then(|weight| Weight::new(u64::from(weight)));
                self.command(backend, Change::Weight(weight));
            }
            Event::Drain { backend, drain } => {
                self.command(backend, Change::Drain(drain.then(Drain::default)));
            }
            Event::Configure(spec) => self.configure(&spec),
            Event::Crash => self.crash(),
            Event::CrashIn { writes } => self.crash_in = Some(writes),
            Event::Wait { ms } => self.wait(ms * 1_000_000),
        }
    }

    /// All servers are well and no command is left: in the end everybody has the weight of the file.
    pub(super) fn calm_down(&mut self) {
        self.crash_in = None;
        self.servers.fill(HEALTHY);
        for backend in 0..self.desired.pools["web"].backends.len() {
            self.command(backend, Change::Drain(None));
            self.command(backend, Change::Weight(None));
        }
        self.wait(400 * SECOND_NS);
        self.check_calm();
        let changes = self.changes;
        self.wait(100 * SECOND_NS);
        assert_eq!(self.changes, changes, "the maps change, and nothing happens");
    }

    fn command(&mut self, backend: usize, change: Change) {
        let name = name(backend);
        if self.desired.pools["web"].backends.contains_key(&name) {
            self.overrides = self.overrides.with("web", &name, change);
            let steering = self.decide();
            self.put(steering);
        }
    }

    fn configure(&mut self, spec: &PoolSpec) {
        self.desired = configuration(spec);
        self.overrides = self.overrides.kept_for(&self.desired);
        self.follow_configuration(false);
        let steering = self.decide();
        self.put(steering);
    }

    fn follow_configuration(&mut self, is_start: bool) {
        self.written = None;
        self.naming = Naming::of(&self.desired, &self.observed).unwrap();
        let believed = believed(&self.desired, &self.naming.ids, &self.observed, is_start);
        self.checks.configure(&self.desired, |pool, name| believed.of(pool, name), self.now_ns);
    }

    /// The agent dies and starts again: nobody notices. A share of a share is not told by a weight to
    /// the last point.
    fn crash(&mut self) {
        let before = self.slots();
        let decided = self.steering.pools().clone();
        self.restart();
        let pool = &self.desired.pools["web"];
        let is_product = pool.adapt.is_some() && !pool.failover.slow_start.is_zero();
        let same = before == self.slots() || is_product;
        assert!(same, "a restart has changed tables: {decided:#?}, now {:#?}", self.steering);
    }

    /// The agent starts, knowing what is stored and what the maps hold.
    fn restart(&mut self) {
        let used_before = self.used();
        self.checks = Checks::default();
        (self.tables, self.resting) = (Tables::default(), BTreeSet::new());
        self.is_pending = false;
        self.follow_configuration(true);
        self.steering = Steering::adopt(
            &self.desired,
            &self.overrides,
            (&self.naming.ids, &self.observed),
            self.now_ns,
        );
        let steering = self.decide();
        self.put(steering);
        let lost: Vec<_> = used_before.difference(&self.used()).copied().collect();
        assert!(lost.is_empty(), "a restart has taken {lost:?} out");
    }

    /// Backends of the configuration that packets are sent to.
    fn used(&self) -> BTreeSet<BackendIndex> {
        let usable = lb_common::abi::BackendEntry::USABLE;
        let used = self.observed.backends.iter().filter(|(_, entry)| entry.flags & usable != 0);
        let indices = used.map(|(index, _)| *index);
        let forced = |index: &BackendIndex| {
            let named = self.naming.backends.get(index);
            named.is_some_and(|(pool, name)| {
                self.overrides.of(pool, name).drain.is_none_or(|drain| !drain.forced)
            })
        };
        indices.filter(forced).collect()
    }

    /// Time goes by: probes are asked and answered, and decisions made when they are due.
    fn wait(&mut self, duration_ns: u64) {
        let end_ns = self.now_ns + duration_ns;
        loop {
            let due_ns =
                [self.checks.next_ns(), self.steering.next_ns()].into_iter().flatten().min();
            let Some(due_ns) = due_ns.filter(|due_ns| *due_ns <= end_ns) else { break };
            self.now_ns = self.now_ns.max(due_ns);
            if self.steering.next_ns().is_some_and(|next_ns| next_ns <= self.now_ns) {
                self.is_pending = true;
                self.decide_if_pending();
            }
            for probe in self.checks.due(self.now_ns) {
                let outcome = self.outcome(&probe.backend);
                let transition = self.checks.finish(probe.id, Some(outcome), self.now_ns);
                self.is_pending |= transition.is_some();
                self.is_pending |= !self.checks.take_reported().is_empty();
                self.decide_if_pending();
            }
        }
        self.now_ns = end_ns;
        if duration_ns > 10 * SECOND_NS {
            self.settle();
        }
    }

    fn outcome(&self, backend: &str) -> Outcome {
        let number: usize = backend[1..].parse().unwrap();
        let Server { alive, report, took_ns } = self.servers[number - 1];
        Outcome {
            passed: alive,
            detail: String::new(),
            took_ns,
            certificate_end_s: None,
            report: alive.then_some(report),
        }
    }

    fn decide(&self) -> Steering {
        let known = |pool: &str, name: &str| self.checks.known(pool, name, self.now_ns);
        self.steering.decide(&self.desired, &self.overrides, known, self.now_ns)
    }

    fn decide_if_pending(&mut self) {
        let steering = self.decide();
        if !self.is_pending {
            let same = steering.pools() == self.steering.pools();
            assert!(
                same,
                "a change without a cause: {steering:#?}, before it {:#?}",
                self.steering
            );
            return;
        }
        if steering.pools() == self.steering.pools() {
            self.steering = steering;
        } else {
            self.put(steering);
        }
        self.is_pending = self.steering.is_behind();
        self.steering.in_panic().for_each(|pool| self.checks.release(pool));
    }

    /// Writes a decision, or dies while it does.
    fn put(&mut self, steering: Steering) {
        let (target, ops) = self.plan(&steering);
        let before = self.observed.clone();
        let cut = self.crash_in.filter(|writes| *writes < ops.len());
        for op in ops.iter().take(cut.unwrap_or(ops.len())) {
            carry_out(&mut self.observed, op);
            self.check_write(op);
        }
        if cut.is_some() {
            self.crash_in = None;
            self.restart();
            return;
        }
        self.changes += usize::from(!ops.is_empty());
        self.resting = resting_after(&self.resting, &before, &self.observed, &ops);
        self.is_pending |= steering.is_behind();
        self.steering = steering;
        self.written = Some(self.tables.clone());
        let again = plan(&self.observed, &target, &self.desired.limits, &self.resting).unwrap();
        assert_eq!(again, [], "a plan that was carried out is asked for again");
        self.check_decision();
    }

    /// What the maps should hold after a decision, and how to get there.
    fn plan(&mut self, steering: &Steering) -> (Target, Vec<Op>) {
        let ids = &self.naming.ids;
        self.tables.update(&self.desired, steering.pools(), ids).unwrap();
        let (ways, links) = (Ways::new(), BTreeSet::new());
        let mut target = target(&self.desired, ids, &self.tables, &ways, &links);
        mark_down(&mut target, ids, steering.pools());
        if let Some(written) = &self.written {
            mark_in_place(&mut target, ids, (written, &self.tables));
        }
        let pinned = self.pinned();
        keep_leaving(&mut target, &self.observed, &pinned, &ways, &self.desired.limits);
        let ops = plan(&self.observed, &target, &self.desired.limits, &self.resting).unwrap();
        (target, ops)
    }

    /// As long as anything is in transition, flows may be pinned to any backend.
    fn pinned(&self) -> BTreeSet<BackendIndex> {
        let restless = self.slots().values().any(|slots| slots.iter().any(|slot| slot.consult()));
        self.observed.backends.keys().copied().filter(|_| restless).collect()
    }

    /// The slots of each pool of the maps.
    pub(super) fn slots(&self) -> BTreeMap<u32, Vec<Slot>> {
        let pools = self.observed.pools.iter();
        pools.map(|(index, pool)| (*index, self.observed.table(pool.table).collect())).collect()
    }

    /// Ends all transitions, as sweeps do.
    fn settle(&mut self) {
        for (pool, slots) in self.slots() {
            let table = self.observed.pools[&pool].table;
            for (number, slot) in (0..).zip(slots).filter(|(_, slot)| slot.consult()) {
                let (page, offset) = slot_place(table, number);
                let slot = Slot::clean(slot.current());
                carry_out(&mut self.observed, &Op::PutSlot { page, offset, slot });
            }
        }
    }
}
