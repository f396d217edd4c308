//! Which probe is due when, and what its results come to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use lb_common::config::{Desired, HealthCheck, HealthKind, Pool};
use lb_common::name_hash::{NAME_SEED, stable_hash};

use super::{Condition, Conditions, Damping, Hold, Known, Load, Machine, Outcome, nanoseconds};

/// Results that are kept of each backend.
pub const RESULTS_KEPT: usize = 5;
/// Answers that an average is of, about.
const AVERAGED: u64 = 8;
/// What stands for the port of a check that asks none.
const NO_PORT: u16 = 0;
/// Port of DNS servers.
const DNS_PORT: u16 = 53;

/// One try of a check: its results are taken only while the check is the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ProbeId(u64);

/// What to ask, and whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// To answer with.
    pub id: ProbeId,
    /// The pool.
    pub pool: String,
    /// The backend.
    pub backend: String,
    /// Where to connect.
    pub address: SocketAddr,
    /// What to ask, and how long it may take as a whole.
    pub check: Arc<HealthCheck>,
    /// Where the server then reports its load, if it does.
    pub report_port: Option<u16>,
}

/// A condition that has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The pool.
    pub pool: String,
    /// The backend.
    pub backend: String,
    /// What was believed before.
    pub from: Condition,
    /// What is known now.
    pub to: Condition,
    /// What the result that decided it said.
    pub reason: String,
}

/// A server that has changed its mind on new flows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reported {
    /// The pool.
    pub pool: String,
    /// The backend.
    pub backend: String,
    /// Whether it wants none from now on.
    pub wants_none: bool,
}

/// A result of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Last {
    /// What it came to.
    pub outcome: Outcome,
    /// When it came in, on the monotonic clock.
    pub at_ns: u64,
}

/// A backend that is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// How it is checked: one value for all of a pool.
    pub check: Arc<HealthCheck>,
    /// Where.
    pub address: SocketAddr,
    /// What is known of it.
    pub machine: Machine,
    /// When that was found, on the monotonic clock.
    pub since_ns: u64,
    /// What its earlier failures come to.
    pub damping: Damping,
    /// What it reports of itself.
    pub load: Load,
    /// How long its answers take, averaged.
    pub answer_ns: Option<u64>,
    /// The last results, the newest last: [`RESULTS_KEPT`] at most.
    pub results: VecDeque<Last>,
    /// Results that passed.
    pub passed: u64,
    /// Results that did not.
    pub failed: u64,
    /// The last second of the certificate that was seen last, since 1970.
    pub certificate_end_s: Option<i64>,
    /// When the next probe is due, or was when it is under way.
    pub next_ns: u64,
    policy: Policy,
    id: ProbeId,
}

/// What a pool says of its checks besides what they ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Policy {
    hold: Hold,
    report_port: Option<u16>,
}

impl Checked {
    /// The last result.
    pub fn last(&self) -> Option<&Last> {
        self.results.back()
    }

    /// What a probe of it asks, by the names it has.
    pub fn probe(&self, pool: &str, backend: &str) -> Probe {
        Probe {
            id: self.id,
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            address: self.address,
            check: Arc::clone(&self.check),
            report_port: self.policy.report_port,
        }
    }

    /// Whether it is asked for its load.
    pub const fn reports(&self) -> bool {
        self.policy.report_port.is_some()
    }

    /// How long it still stays down whatever its checks say.
    pub fn held_ns(&self, now_ns: u64) -> Option<u64> {
        let is_down = self.machine.condition() == Condition::Down;
        self.damping.held_ns(now_ns).filter(|_| is_down)
    }

    /// What decisions need to know of it.
    fn known(&self, now_ns: u64) -> Known {
        let condition = self.machine.condition();
        let passes = condition == Condition::Down && self.machine.against() > 0;
        Known {
            condition,
            since_ns: self.since_ns,
            is_rising: passes && self.held_ns(now_ns).is_none(),
            load: self.load,
            answer_ns: self.answer_ns,
        }
    }

    /// Takes in what a probe came to; the new condition if that is another.
    fn take(&mut self, outcome: Outcome, now_ns: u64) -> Option<Condition> {
        let tally = if outcome.passed { &mut self.passed } else { &mut self.failed };
        *tally += 1;
        if outcome.passed {
            let took_ns = outcome.took_ns;
            let average_ns = |before: u64| before - before / AVERAGED + took_ns / AVERAGED;
            self.answer_ns = Some(self.answer_ns.map_or(took_ns, average_ns));
        }
        outcome.report.into_iter().for_each(|report| self.load.take(report));
        self.certificate_end_s = outcome.certificate_end_s.or(self.certificate_end_s);
        let from = self.machine.condition();
        let rise = if self.held_ns(now_ns).is_some() { u32::MAX } else { self.check.rise };
        let changed = self.machine.record(outcome.passed, rise, self.check.fall);
        if self.results.len() == RESULTS_KEPT {
            self.results.pop_front();
        }
        self.results.push_back(Last { outcome, at_ns: now_ns });
        let to = changed?;
        self.since_ns = now_ns;
        match (from, to) {
            (Condition::Up, Condition::Down) => self.damping.fell(self.policy.hold, now_ns),
            (Condition::Down, Condition::Up) => self.damping.rose(now_ns),
            _ => {}
        }
        Some(to)
    }
}

type Key = (String, String);

/// Every check.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    checked: BTreeMap<String, BTreeMap<String, Checked>>,
    by_id: BTreeMap<ProbeId, Key>,
    /// Those that are not under way, by when they are due.
    timeline: BTreeSet<(u64, ProbeId)>,
    /// Changes of mind that nobody has taken yet.
    reported: Vec<Reported>,
    last_id: u64,
}

impl Checks {
    /// Follows a configuration. `believed` says what is known of a backend that was not checked
    /// until now.
    pub fn configure(
        &mut self,
        desired: &Desired,
        believed: impl Fn(&str, &str) -> Condition,
        now_ns: u64,
    ) {
        let wanted = wanted(desired);
        let before = std::mem::take(self);
        self.last_id = before.last_id;
        for (key, (check, address, policy)) in wanted {
            let known = before.of(&key.0, &key.1);
            let unchanged = known.filter(|known| known.check == check && known.address == address);
            let checked = if let Some(unchanged) = unchanged {
                // A probe that is under way goes on, and is answered as it was asked.
                if before.is_waiting(unchanged) {
                    self.timeline.insert((unchanged.next_ns, unchanged.id));
                }
                Checked { policy, ..unchanged.clone() }
            } else {
                // What is said of another address says nothing of this one.
                let same_place = known.filter(|known| known.address.ip() == address.ip());
                let condition = same_place
                    .map_or_else(|| believed(&key.0, &key.1), |known| known.machine.condition());
                let next_ns = now_ns + first_wait_ns(&key, &check, condition);
                self.last_id += 1;
                let id = ProbeId(self.last_id);
                self.timeline.insert((next_ns, id));
                let machine = Machine::new(condition);
                Checked {
                    check,
                    address,
                    machine,
                    since_ns: now_ns,
                    damping: same_place.map(|known| known.damping).unwrap_or_default(),
                    load: same_place.map(|known| known.load).unwrap_or_default(),
                    answer_ns: None,
                    results: VecDeque::new(),
                    passed: 0,
                    failed: 0,
                    certificate_end_s: None,
                    next_ns,
                    policy,
                    id,
                }
            };
            self.by_id.insert(checked.id, key.clone());
            self.checked.entry(key.0).or_default().insert(key.1, checked);
        }
    }

    /// When the next probe is due.
    pub fn next_ns(&self) -> Option<u64> {
        self.timeline.first().map(|(due_ns, _)| *due_ns)
    }

    /// Takes the probes that are due. Each is under way until [`Self::finish`].
    pub fn due(&mut self, now_ns: u64) -> Vec<Probe> {
        let mut due = Vec::new();
        while let Some((due_ns, id)) = self.timeline.first().copied() {
            if due_ns > now_ns {
                break;
            }
            self.timeline.pop_first();
            let Some((pool, backend)) = self.by_id.get(&id) else { continue };
            due.extend(self.of(pool, backend).map(|checked| checked.probe(pool, backend)));
        }
        due
    }

    /// Takes in what a probe came to, if it could be asked. The next one keeps to the interval,
    /// counted from when this one was due; those that were missed are left out.
    pub fn finish(
        &mut self,
        id: ProbeId,
        outcome: Option<Outcome>,
        now_ns: u64,
    ) -> Option<Transition> {
        let (pool, backend) = self.by_id.get(&id)?;
        let checked = self.checked.get_mut(pool)?.get_mut(backend)?;
        let interval_ns = nanoseconds(checked.check.interval).max(1);
        let missed = now_ns.saturating_sub(checked.next_ns) / interval_ns;
        checked.next_ns += (missed + 1) * interval_ns;
        self.timeline.insert((checked.next_ns, id));
        let (from, wanted_none) = (checked.machine.condition(), checked.load.wants_none());
        let changed = checked.take(outcome?, now_ns);
        let wants_none = checked.load.wants_none();
        if wants_none != wanted_none {
            let (pool, backend) = (pool.clone(), backend.clone());
            self.reported.push(Reported { pool, backend, wants_none });
        }
        let to = changed?;
        let reason = checked.last().map_or_else(String::new, |last| last.outcome.detail.clone());
        Some(Transition { pool: pool.clone(), backend: backend.clone(), from, to, reason })
    }

    /// Servers that have changed their minds on new flows since this was last asked.
    pub fn take_reported(&mut self) -> Vec<Reported> {
        std::mem::take(&mut self.reported)
    }

    /// Whether no probe of it is under way.
    pub fn is_waiting(&self, checked: &Checked) -> bool {
        self.timeline.contains(&(checked.next_ns, checked.id))
    }

    /// Everything that is checked, by pool and name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &Checked)> {
        self.checked.iter().flat_map(|(pool, backends)| {
            backends.iter().map(move |(name, checked)| (pool.as_str(), name.as_str(), checked))
        })
    }

    /// How `pool`/`backend` is checked, if it is.
    pub fn of(&self, pool: &str, backend: &str) -> Option<&Checked> {
        self.checked.get(pool)?.get(backend)
    }

    /// Whether anybody of a pool is checked.
    pub fn is_checked(&self, pool: &str) -> bool {
        self.checked.contains_key(pool)
    }

    /// What decisions need to know of `pool`/`backend`; who is not checked is up.
    pub fn known(&self, pool: &str, backend: &str, now_ns: u64) -> Known {
        self.of(pool, backend).map_or_else(Known::default, |checked| checked.known(now_ns))
    }

    /// Who is not up: a copy for each change of the maps, and as a rule short.
    pub fn conditions(&self) -> Conditions {
        let known = self.iter().map(|(pool, name, known)| (pool, name, known.machine.condition()));
        known.filter(|(_, _, condition)| *condition != Condition::Up).collect()
    }
}

/// The checks that a configuration asks for.
fn wanted(desired: &Desired) -> BTreeMap<Key, (Arc<HealthCheck>, SocketAddr, Policy)> {
    let of_pool = |(name, pool): (&String, &Pool)| {
        let check = Arc::new(pool.health.clone()?);
        let port = check.port.or_else(|| default_port(&check.kind, desired, name))?;
        let hold = Hold { first: pool.failover.hold_down, longest: pool.failover.hold_down_max };
        let policy = Policy { hold, report_port: pool.adapt.and_then(|adapt| adapt.report_port) };
        let backends = pool.backends.iter().map(|(backend, spec)| {
            let address = SocketAddr::new(spec.address, port);
            ((name.clone(), backend.clone()), (Arc::clone(&check), address, policy))
        });
        Some(backends.collect::<Vec<_>>())
    };
    desired.pools.iter().filter_map(of_pool).flatten().collect()
}

/// The port of a check that names none.
fn default_port(kind: &HealthKind, desired: &Desired, pool: &str) -> Option<u16> {
    match kind {
        HealthKind::Tcp | HealthKind::Http(_) | HealthKind::Grpc(_) => service_port(desired, pool),
        HealthKind::Dns(_) => Some(DNS_PORT),
        HealthKind::Icmp => Some(NO_PORT),
        HealthKind::Exec(_) => service_port(desired, pool).or(Some(NO_PORT)),
    }
}

/// The lowest port of the first TCP service of a pool, by name.
fn service_port(desired: &Desired, pool: &str) -> Option<u16> {
    let mut services = desired.services.values().filter(|service| service.is_checked_for(pool));
    services.find_map(|service| service.ports.first().copied())
}

/// Spreads the first probes over the interval, the same way at each start; those of backends that
/// wait for their first result come within a tenth of it.
fn first_wait_ns((pool, backend): &Key, check: &HealthCheck, condition: Condition) -> u64 {
    let interval_ns = nanoseconds(check.interval);
    let window_ns = if condition == Condition::Unknown { interval_ns / 10 } else { interval_ns };
    let hash = stable_hash(NAME_SEED, format!("{pool}/{backend}").as_bytes());
    // Of the hash, as many bits as 64-bit arithmetic has room for.
    (((hash >> 44) * (window_ns >> 10)) >> 20) << 10
}
