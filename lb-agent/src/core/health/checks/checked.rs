//! A backend that is checked, and what its results come to.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::config::HealthCheck;

use super::wanted::Policy;
use super::{Probe, ProbeId, RESULTS_KEPT, Tunnel};
use crate::core::health::{Condition, Damping, Known, Load, Machine, Outcome};

/// Answers that an average is of, about.
const AVERAGED: u64 = 8;

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
    /// Probes that could not be asked.
    pub not_made: u64,
    /// The last second of the certificate that was seen last, since 1970.
    pub certificate_end_s: Option<i64>,
    /// Why the last probe could not be asked, if it could not.
    pub not_asked: Option<String>,
    /// When the next probe is due, or was when it is under way.
    pub next_ns: u64,
    pub(super) policy: Policy,
    pub(super) id: ProbeId,
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
    pub(super) fn known(&self, now_ns: u64) -> Known {
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
    pub(super) fn take(&mut self, outcome: Outcome, now_ns: u64) -> Option<Condition> {
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
    pub(super) fn place(&self) -> IpAddr {
        self.tunnel.map_or(self.address.ip(), |tunnel| tunnel.backend)
    }
}
