//! Which probe is due when, and what its results come to.

mod checked;
mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Encapsulation, HealthCheck};
use lb_common::name_hash::{NAME_SEED, stable_hash};

use super::{Condition, Known, Machine, Outcome, nanoseconds};
use wanted::wanted;

pub use checked::{Checked, Last};

/// Results that are kept of each backend.
pub const RESULTS_KEPT: usize = 5;

/// Longest wait for the first probe of a backend that takes nothing before its result.
const FIRST_WAIT_NS: u64 = 1_000_000_000;

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
    /// Those whose checks are made again, that nobody has taken yet.
    made_again: Vec<Key>,
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
                Checked { load, policy, ..unchanged.clone() }
            } else {
                // What is said of another address says nothing of this one.
                let same_place = known.filter(|known| known.place() == asked.place);
                let condition = same_place
                    .map_or_else(|| believed(&key.0, &key.1), |known| known.machine.condition());
                let wait_ns = first_wait_ns(&desired.node.name, &key, &asked.check, condition);
                let next_ns = now_ns + wait_ns;
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
                    not_made: 0,
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
        if checked.not_asked.take().is_some() {
            self.made_again.push((pool.clone(), backend.clone()));
        }
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

    /// Pool and name of those that could not be asked, and have been since this was last asked.
    pub fn take_made_again(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.made_again)
    }

    /// Takes in that a probe could not be asked, and why: it says nothing about the backend. Whose it
    /// was, unless that was known already.
    pub fn miss(&mut self, id: ProbeId, reason: &str, now_ns: u64) -> Option<(&str, &str)> {
        self.finish(id, None, now_ns);
        let (pool, backend) = self.by_id.get(&id)?;
        let checked = self.checked.get_mut(pool)?.get_mut(backend)?;
        checked.not_made += 1;
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
}

/// Spreads the first probes over the interval, the same way at each start, and another way on each
/// balancer, so that those that take a configuration at once do not ask a server at once; those of
/// backends that wait for their first result come within a tenth of the interval, and within a second.
fn first_wait_ns(
    node: &str,
    (pool, backend): &Key,
    check: &HealthCheck,
    condition: Condition,
) -> u64 {
    let interval_ns = nanoseconds(check.interval);
    let is_awaited = condition == Condition::Unknown;
    let window_ns = if is_awaited { FIRST_WAIT_NS.min(interval_ns / 10) } else { interval_ns };
    let hash = stable_hash(NAME_SEED, format!("{node}/{pool}/{backend}").as_bytes());
    // Of the hash, as many bits as 64-bit arithmetic has room for.
    (((hash >> 44) * (window_ns >> 10)) >> 20) << 10
}
