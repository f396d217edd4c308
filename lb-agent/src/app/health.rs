//! Checks: probes go out when they are due, and what they find goes to the maps.

mod trial;
mod views;

use std::time::Duration;

use lb_common::config::Desired;
use tracing::error;

use super::agent::Agent;
use crate::core::events::{of_health, of_made_again, of_not_made, of_reported};
use crate::core::health::{Checks, Probe, ProbeId, believed};
use crate::core::naming::Naming;
use crate::core::overrides::Overrides;
use crate::core::steering::Steering;
use crate::io::clock;
use crate::io::probes::{Errand, Finished, NotAsked, Prober};

pub(super) use views::{
    certificate_warnings, condition_name, counts, history, is_panic, list, spared,
};

impl Agent {
    /// The checks that a configuration wants. Of a backend that was not checked until now, its entry
    /// in the maps is believed.
    pub(super) fn checks_for(&self, desired: &Desired, naming: &Naming) -> Checks {
        self.checks_from((desired, naming), false)
    }

    /// The same when the agent starts.
    pub(super) fn checks_at_start(&self) -> Checks {
        self.checks_from((&self.desired, &self.derived.naming), true)
    }

    fn checks_from(&self, (desired, naming): (&Desired, &Naming), is_start: bool) -> Checks {
        let believed = believed(desired, &self.derived.naming.ids, &self.observed, is_start);
        let mut checks = self.health.clone();
        checks.configure(desired, |pool, name| believed.of(pool, name), clock::precise_ns());
        checks.follow_indices(|pool, name| naming.ids.backend(pool, name));
        checks
    }

    /// Who is to take new flows, as the running configuration and its checks have it.
    pub(super) fn decide(&self, overrides: &Overrides) -> Steering {
        self.decide_for(&self.desired, overrides, &self.health)
    }

    /// The same for another configuration, and its checks.
    pub(super) fn decide_for(
        &self,
        desired: &Desired,
        overrides: &Overrides,
        checks: &Checks,
    ) -> Steering {
        let now_ns = clock::precise_ns();
        let known = |pool: &str, backend: &str| checks.known(pool, backend, now_ns);
        self.derived.steering.decide(desired, overrides, known, now_ns)
    }

    /// How long it is until time alone changes who takes traffic. One that is pending is tried with the
    /// next results and once a second: what cannot be written is not tried over and over.
    pub(super) fn next_decision(&self) -> Option<Duration> {
        if self.health_pending {
            return None;
        }
        let wait_ns = self.derived.steering.next_ns()?.saturating_sub(clock::precise_ns());
        Some(Duration::from_nanos(wait_ns))
    }

    /// Time has come to look again at who takes traffic.
    pub(super) fn decide_again(&mut self) {
        self.health_pending = true;
        self.apply_health();
    }

    /// How long it is until a probe is due.
    pub(super) fn next_probe(&self) -> Option<Duration> {
        let wait_ns = self.health.next_ns()?.saturating_sub(clock::precise_ns());
        Some(Duration::from_nanos(wait_ns))
    }

    /// Sends the probes that are due, except those that would not come by the program that they are
    /// for.
    pub(super) fn send_probes(&mut self, prober: &Prober) {
        let now_ns = clock::precise_ns();
        for probe in self.health.due(now_ns) {
            match self.obstacle(&probe) {
                Some(obstacle) => self.miss(probe.id, &NotAsked::NoWay(obstacle), now_ns),
                None => prober.ask(self.errand(probe)),
            }
        }
    }

    fn errand(&self, probe: Probe) -> Errand {
        Errand { counts: probe.tunnel.and_then(|_| self.tunnels.counts()), probe }
    }

    /// Takes in what probes came to; writes the maps if that changes who takes traffic.
    pub(super) fn take_results(&mut self, results: impl Iterator<Item = Finished>) {
        let now_ns = clock::precise_ns();
        for (id, asked) in results {
            match asked {
                Ok(outcome) => {
                    if let Some(transition) = self.health.finish(id, Some(outcome), now_ns) {
                        self.raise(of_health(&transition));
                        self.health_pending = true;
                    }
                }
                Err(not_asked) => self.miss(id, &not_asked, now_ns),
            }
        }
        let reported = self.health.take_reported();
        self.health_pending |= !reported.is_empty();
        self.raise_all(reported.iter().map(of_reported));
        let again = self.health.take_made_again();
        self.raise_all(again.iter().map(|(pool, backend)| of_made_again(pool, backend)));
        self.apply_health();
    }

    /// Nobody was asked: said once, and shown for as long as it lasts.
    fn miss(&mut self, id: ProbeId, not_asked: &NotAsked, now_ns: u64) {
        let reason = not_asked.to_string();
        let missed = self.health.miss(id, &reason, now_ns);
        let told = missed.map(|(pool, backend)| of_not_made(pool, backend, &reason));
        self.raise_all(told);
    }

    /// Brings the maps in line with what is known of the backends, if they are not. What fails is
    /// tried again with the next results, and once a second.
    pub(super) fn apply_health(&mut self) {
        if !self.health_pending {
            return;
        }
        let steering = self.decide(&self.state.overrides);
        let written = if steering.pools() == self.derived.steering.pools() && !self.is_torn {
            // What is remembered may have changed all the same.
            self.derived.steering = steering;
            Ok(())
        } else {
            let links = self.interfaces.indices();
            let running = (&self.desired, &self.derived.naming);
            let prepared = self.prepare(running, steering, (&self.ways, &links));
            prepared.and_then(|prepared| self.commit(prepared))
        };
        match written {
            Ok(()) => {
                self.health_pending = self.derived.steering.is_behind();
                self.derived.steering.in_panic().for_each(|pool| self.health.release(pool));
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot act on what checks found");
            }
        }
    }
}
