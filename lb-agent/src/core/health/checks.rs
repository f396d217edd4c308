//! Which probe is due when, and what its results come to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Encapsulation, HealthCheck, HealthKind, HealthVia, Pool};
use lb_common::name_hash::{NAME_SEED, stable_hash};

use super::{Condition, Conditions, Machine, Outcome};

/// Results that are kept of each backend.
pub const RESULTS_KEPT: usize = 5;
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
    id: ProbeId,
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
        }
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
            let known = before.of(&key.0, &key.1);
            let unchanged = known.filter(|known| asked.is_as(known));
            let checked = if let Some(unchanged) = unchanged {
                // A probe that is under way goes on, and is answered as it was asked.
                if before.is_waiting(unchanged) {
                    self.timeline.insert((unchanged.next_ns, unchanged.id));
                }
                unchanged.clone()
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
                    results: VecDeque::new(),
                    passed: 0,
                    failed: 0,
                    certificate_end_s: None,
                    not_asked: None,
                    next_ns,
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
        let outcome = outcome?;
        checked.not_asked = None;
        let tally = if outcome.passed { &mut checked.passed } else { &mut checked.failed };
        *tally += 1;
        let from = checked.machine.condition();
        let changed =
            checked.machine.record(outcome.passed, checked.check.rise, checked.check.fall);
        checked.certificate_end_s = outcome.certificate_end_s.or(checked.certificate_end_s);
        if checked.results.len() == RESULTS_KEPT {
            checked.results.pop_front();
        }
        checked.results.push_back(Last { outcome, at_ns: now_ns });
        let to = changed?;
        checked.since_ns = now_ns;
        let reason = checked.last().map_or_else(String::new, |last| last.outcome.detail.clone());
        Some(Transition { pool: pool.clone(), backend: backend.clone(), from, to, reason })
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
        let backends = pool.backends.iter().map(|(backend, spec)| {
            let place = spec.address;
            let address = SocketAddr::new(vip.unwrap_or(place), port);
            let (check, encapsulation) = (Arc::clone(&check), pool.encapsulation);
            let wanted = Wanted { check, address, place, encapsulation };
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

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
