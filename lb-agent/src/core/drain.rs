//! A drain as an operation: asked for, under way, done, or overdue.
//!
//! A drained backend takes no new flows. It is done when nothing leads to it any more: no live pin
//! names it, and no slot in transition does as `previous`. Sweeps count the one and know the other;
//! [`Progress`] makes an end of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A drain as it was asked for, in seconds of Unix time: it outlives the agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// When it was asked for.
    pub since_s: u64,
    /// When it shall be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_s: Option<u64>,
    /// Whether the flows that are left by then are ended.
    #[serde(default)]
    pub force: bool,
    /// Whether they have been.
    #[serde(default)]
    pub forced: bool,
}

impl Drain {
    /// Whether its flows are to be ended now.
    pub fn is_to_be_forced(&self, now_s: u64) -> bool {
        self.force && !self.forced && self.is_late(now_s)
    }

    /// Whether its deadline has passed.
    pub fn is_late(&self, now_s: u64) -> bool {
        self.deadline_s.is_some_and(|deadline_s| deadline_s <= now_s)
    }

    /// How far it is.
    pub fn phase(&self, progress: &Progress, now_s: u64) -> Phase {
        if progress.is_done() {
            Phase::Done
        } else if self.forced {
            Phase::Forced
        } else if self.is_late(now_s) {
            Phase::Overdue
        } else {
            Phase::Draining
        }
    }
}

/// How far a drain is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Flows are left.
    Draining,
    /// Flows are left, and the deadline has passed.
    Overdue,
    /// The flows that were left at the deadline have been ended.
    Forced,
    /// Nothing leads to the backend any more.
    Done,
}

impl Phase {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Overdue => "overdue",
            Self::Forced => "forced",
            Self::Done => "done",
        }
    }
}

/// What sweeps saw of a drain. Times are those of the monotonic clock.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Flows pinned to the backend.
    flows: u64,
    /// Most that were, and when that was seen last.
    peak: (u64, u64),
    seen_ns: u64,
    /// When the last slot lets go of it.
    closes_ns: Option<u64>,
    /// Looks in a row at which nothing led to it.
    quiet: u8,
}

/// A packet may pin its flow between the look at the pins and the end of its slot's transition: one
/// quiet look is none.
const QUIET_LOOKS: u8 = 2;

impl Progress {
    /// Takes in what a sweep saw: flows pinned to the backend, and when the windows close whose slots
    /// name it.
    pub fn look(&mut self, flows: u64, closes_ns: Option<u64>, now_ns: u64) {
        if flows >= self.peak.0 {
            self.peak = (flows, now_ns);
        }
        let is_quiet = flows == 0 && closes_ns.is_none();
        self.quiet = if is_quiet { self.quiet.saturating_add(1) } else { 0 };
        (self.flows, self.closes_ns, self.seen_ns) = (flows, closes_ns, now_ns);
    }

    /// Whether nothing leads to the backend any more.
    pub const fn is_done(&self) -> bool {
        self.quiet >= QUIET_LOOKS
    }

    /// Flows that are left, as far as they have shown themselves; `None` if nobody has looked.
    pub fn flows(&self) -> Option<u64> {
        self.is_seen().then_some(self.flows)
    }

    const fn is_seen(&self) -> bool {
        self.seen_ns > 0
    }

    /// Flows that ended per second since there were most.
    #[expect(clippy::cast_precision_loss, reason = "flows and seconds to show, far below 2^52")]
    pub fn flows_per_s(&self) -> f64 {
        let (most, at_ns) = self.peak;
        let ended = most.saturating_sub(self.flows) as f64;
        let seconds = self.seen_ns.saturating_sub(at_ns) as f64 / 1e9;
        if seconds > 0.0 { ended / seconds } else { 0.0 }
    }

    /// How long it still takes if flows go on ending as they did; `None` if nobody can tell. Before the
    /// windows close it is never over.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate in whole seconds, and no negative one"
    )]
    pub fn left_s(&self) -> Option<u64> {
        if !self.is_seen() {
            return None;
        }
        let window_s = self
            .closes_ns
            .map_or(0, |closes_ns| closes_ns.saturating_sub(self.seen_ns).div_ceil(1_000_000_000));
        if self.flows == 0 {
            return Some(window_s);
        }
        let rate = self.flows_per_s();
        (rate > 0.0).then(|| window_s.max((self.flows as f64 / rate).ceil() as u64))
    }
}

/// The drains under way, by pool and backend.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Drains(BTreeMap<(String, String), Progress>);

impl Drains {
    /// Takes in what a sweep saw of these; those that are not among them are forgotten. The names of
    /// those that have just become done.
    pub fn look<'a>(
        &mut self,
        seen: impl Iterator<Item = (&'a str, &'a str, u64, Option<u64>)>,
        now_ns: u64,
    ) -> Vec<(&'a str, &'a str)> {
        let mut before = std::mem::take(&mut self.0);
        let mut done = Vec::new();
        for (pool, backend, flows, closes_ns) in seen {
            let key = (pool.to_owned(), backend.to_owned());
            let mut progress = before.remove(&key).unwrap_or_default();
            let was_done = progress.is_done();
            progress.look(flows, closes_ns, now_ns);
            if progress.is_done() && !was_done {
                done.push((pool, backend));
            }
            self.0.insert(key, progress);
        }
        done
    }

    /// Forgets those that are none any more: the same backend drained again is another drain.
    pub fn retain(&mut self, is_one: impl Fn(&str, &str) -> bool) {
        self.0.retain(|(pool, backend), _| is_one(pool, backend));
    }

    /// What is known of one; nothing yet if no sweep has seen it.
    pub fn of(&self, pool: &str, backend: &str) -> Progress {
        self.0.get(&(pool.to_owned(), backend.to_owned())).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
