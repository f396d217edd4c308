//! Which probe is due when, and what its results come to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Encapsulation, HealthCheck, HealthKind, HealthVia, Pool};
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

/// Whom a probe that goes through the tunnel is wrapped for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tunnel {
    /// The backend's own address.
    pub backend: IpAddr,
    /// How packets are wrapped for it.
    pub encapsulation: Encapsulation,
    /// Its index in the maps, which the probe's packets carry as their mark.
    pub index: BackendIndex,
}

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
    /// If that is a VIP: to which backend the packets go.
    pub tunnel: Option<Tunnel>,
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
    /// If that is a VIP: to which backend the packets go.
    pub tunnel: Option<Tunnel>,
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
    /// Why the last probe could not be asked, if it could not.
    pub not_asked: Option<String>,
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

impl Policy {
    /// What is still known of a server's load: nothing, if nobody asks for it any more.
    fn known_load(self, known: Option<&Checked>) -> Load {
        known.filter(|_| self.report_port.is_some()).map(|known| known.load).unwrap_or_default()
    }
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
            tunnel: self.tunnel,
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
        let is_down = is_down && !self.policy.hold.first.is_zero();
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

    /// The backend's own address.
    fn place(&self) -> IpAddr {
        self.tunnel.map_or(self.address.ip(), |tunnel| tunnel.backend)
    }
}

/// What a configuration asks of a backend: the check, where it connects, and the backend's own address.
struct Wanted {
    check: Arc<HealthCheck>,
    address: SocketAddr,
    place: IpAddr,
    encapsulation: Encapsulation,
    policy: Policy,
}

impl Wanted {
    /// The way there, if that is the tunnel.
    fn tunnel(&self) -> Option<Tunnel> {
        let (backend, encapsulation) = (self.place, self.encapsulation);
        let tunnel = Tunnel { backend, encapsulation, index: BackendIndex::NONE };
        (self.check.via == HealthVia::Tunnel).then_some(tunnel)
    }

    /// Whether this is how it is checked already.
    fn is_as(&self, known: &Checked) -> bool {
        let same_way = known.tunnel.is_none_or(|it| it.encapsulation == self.encapsulation);
        known.check == self.check
            && known.address == self.address
            && known.place() == self.place
            && same_way
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
        for (key, asked) in wanted {
            let policy = asked.policy;
            let known = before.of(&key.0, &key.1);
            let unchanged = known.filter(|known| asked.is_as(known));
            let checked = if let Some(unchanged) = unchanged {
                // A probe that is under way goes on, and is answered as it was asked.
                if before.is_waiting(unchanged) {
                    self.timeline.insert((unchanged.next_ns, unchanged.id));
                }
                let load = policy.known_load(Some(unchanged));
                Checked { policy, load, ..unchanged.clone() }
            } else {
                // What is said of another address says nothing of this one.
                let same_place = known.filter(|known| known.place() == asked.place);
                let condition = same_place
                    .map_or_else(|| believed(&key.0, &key.1), |known| known.machine.condition());
                let next_ns = now_ns + first_wait_ns(&key, &asked.check, condition);
                self.last_id += 1;
                let id = ProbeId(self.last_id);
                self.timeline.insert((next_ns, id));
                let machine = Machine::new(condition);
                let tunnel = asked.tunnel();
                Checked {
                    check: asked.check,
                    address: asked.address,
                    tunnel,
                    machine,
                    since_ns: now_ns,
                    damping: same_place.map(|known| known.damping).unwrap_or_default(),
                    load: policy.known_load(same_place),
                    answer_ns: None,
                    results: VecDeque::new(),
                    passed: 0,
                    failed: 0,
                    certificate_end_s: None,
                    not_asked: None,
                    next_ns,
                    policy,
                    id,
                }
            };
            self.by_id.insert(checked.id, key.clone());
            self.checked.entry(key.0).or_default().insert(key.1, checked);
        }
    }

    /// Says which index each backend has in the maps that is checked through the tunnel. A probe that
    /// is under way to another index is not taken: by now that may be somebody else's.
    pub fn follow_indices(&mut self, index: impl Fn(&str, &str) -> Option<BackendIndex>) {
        for (pool, backends) in &mut self.checked {
            for (name, checked) in backends {
                let Some(tunnel) = &mut checked.tunnel else { continue };
                let index = index(pool, name).unwrap_or(BackendIndex::NONE);
                if index == tunnel.index {
                    continue;
                }
                let was_asked = tunnel.index != BackendIndex::NONE;
                tunnel.index = index;
                if was_asked {
                    self.timeline.remove(&(checked.next_ns, checked.id));
                    self.by_id.remove(&checked.id);
                    self.last_id += 1;
                    checked.id = ProbeId(self.last_id);
                    self.by_id.insert(checked.id, (pool.clone(), name.clone()));
                    self.timeline.insert((checked.next_ns, checked.id));
                }
            }
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
        let outcome = outcome?;
        checked.not_asked = None;
        let changed = checked.take(outcome, now_ns);
        let wants_none = checked.load.wants_none();
        if wants_none != wanted_none {
            let (pool, backend) = (pool.clone(), backend.clone());
            self.reported.push(Reported { pool, backend, wants_none });
        }
        let to = changed?;
        let reason = checked.last().map_or_else(String::new, |last| last.outcome.detail.clone());
        Some(Transition { pool: pool.clone(), backend: backend.clone(), from, to, reason })
    }

    /// The failures of a pool are not believed: they hold nobody down.
    pub fn release(&mut self, pool: &str) {
        let backends = self.checked.get_mut(pool).into_iter().flat_map(BTreeMap::values_mut);
        backends.for_each(|checked| checked.damping.release());
    }

    /// Servers that have changed their minds on new flows since this was last asked.
    pub fn take_reported(&mut self) -> Vec<Reported> {
        std::mem::take(&mut self.reported)
    }

    /// Takes in that a probe could not be asked, and why: it says nothing about the backend. Whose it
    /// was, unless that was known already.
    pub fn miss(&mut self, id: ProbeId, reason: &str, now_ns: u64) -> Option<(&str, &str)> {
        self.finish(id, None, now_ns);
        let (pool, backend) = self.by_id.get(&id)?;
        let checked = self.checked.get_mut(pool)?.get_mut(backend)?;
        if checked.not_asked.as_deref() == Some(reason) {
            return None;
        }
        checked.not_asked = Some(reason.to_owned());
        Some((pool, backend))
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
fn wanted(desired: &Desired) -> BTreeMap<Key, Wanted> {
    let of_pool = |(name, pool): (&String, &Pool)| {
        let check = Arc::new(pool.health.clone()?);
        let (vip, port) = match check.via {
            HealthVia::Tunnel => {
                let vip = check.vip(name, &desired.services)?;
                (Some(vip.ip()), vip.port())
            }
            HealthVia::Direct => {
                (None, check.port.or_else(|| default_port(&check.kind, desired, name))?)
            }
        };
        let hold = Hold { first: pool.failover.hold_down, longest: pool.failover.hold_down_max };
        let policy = Policy { hold, report_port: pool.adapt.and_then(|adapt| adapt.report_port) };
        let backends = pool.backends.iter().map(|(backend, spec)| {
            let place = spec.address;
            let address = SocketAddr::new(vip.unwrap_or(place), port);
            let (check, encapsulation) = (Arc::clone(&check), pool.encapsulation);
            let wanted = Wanted { check, address, place, encapsulation, policy };
            ((name.clone(), backend.clone()), wanted)
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
