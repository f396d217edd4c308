//! Checks: probes go out when they are due, and what they find goes to the maps.

mod trial;
mod views;

use std::time::Duration;

use lb_common::config::Desired;
use tracing::error;

use super::agent::Agent;
use crate::core::events::of_health;
use crate::core::health::{Checks, believed};
use crate::io::clock;
use crate::io::probes::{Finished, Prober};

pub(super) use views::{certificate_warnings, condition_name, counts, history, is_panic, list};

impl Agent {
    /// The checks that a configuration wants. Of a backend that was not checked until now, its entry
    /// in the maps is believed.
    pub(super) fn checks_for(&self, desired: &Desired) -> Checks {
        let believed = believed(desired, &self.derived.naming.ids, &self.observed);
        let mut checks = self.health.clone();
        checks.configure(desired, |pool, name| believed.of(pool, name), clock::precise_ns());
        checks
    }

    /// How long it is until a probe is due.
    pub(super) fn next_probe(&self) -> Option<Duration> {
        let wait_ns = self.health.next_ns()?.saturating_sub(clock::precise_ns());
        Some(Duration::from_nanos(wait_ns))
    }

    /// Sends the probes that are due.
    pub(super) fn send_probes(&mut self, prober: &Prober) {
        self.health.due(clock::precise_ns()).into_iter().for_each(|probe| prober.ask(probe));
    }

    /// Takes in what probes came to; writes the maps if that changes who takes traffic.
    pub(super) fn take_results(&mut self, results: impl Iterator<Item = Finished>) {
        let now_ns = clock::precise_ns();
        for (id, outcome) in results {
            if let Some(transition) = self.health.finish(id, outcome, now_ns) {
                self.raise(of_health(&transition));
                self.health_pending = true;
            }
        }
        self.apply_health();
    }

    /// Brings the maps in line with what is known of the backends, if they are not. What fails is
    /// tried again with the next results, and once a second.
    pub(super) fn apply_health(&mut self) {
        if !self.health_pending {
            return;
        }
        let links = self.interfaces.indices();
        let prepared = self.prepare_anew(&self.state.overrides, &self.ways, &links);
        let written = prepared.and_then(|prepared| {
            let is_behind = prepared.is_behind;
            self.commit(prepared).map(|()| is_behind)
        });
        match written {
            Ok(is_behind) => self.health_pending = is_behind,
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot act on what checks found");
            }
        }
    }
}
