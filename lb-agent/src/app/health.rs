//! Checks: probes go out when they are due, and what they find goes to the maps.

use std::time::Duration;

use lb_common::config::Desired;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::agent::Agent;
use crate::core::health::{Checks, Condition, Outcome, ProbeId, Transition, believed};
use crate::io::clock;
use crate::io::probes::probe;

/// What a probe came to, on its way to the loop.
pub(super) type Finished = (ProbeId, Outcome);

impl Agent {
    /// The checks that a configuration wants. Of a backend that was not checked until now, its entry
    /// in the maps is believed.
    pub(super) fn checks_for(&self, desired: &Desired) -> Checks {
        let believed = believed(desired, &self.derived.ids, &self.observed);
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
    pub(super) fn send_probes(&mut self, results: &mpsc::UnboundedSender<Finished>) {
        for due in self.health.due(clock::precise_ns()) {
            let results = results.clone();
            tokio::spawn(async move {
                let outcome = probe(&due).await;
                // The loop has ended, and nobody wants to know.
                let _ = results.send((due.id, outcome));
            });
        }
    }

    /// Takes in what probes came to; writes the maps if that changes who takes traffic.
    pub(super) fn take_results(&mut self, results: &[Finished]) {
        let now_ns = clock::precise_ns();
        let mut changed = false;
        for (id, outcome) in results {
            if let Some(transition) = self.health.finish(*id, outcome.clone(), now_ns) {
                log(&transition);
                changed = true;
            }
        }
        if changed {
            self.apply_health();
        }
    }

    /// Brings the maps in line with what is known of the backends.
    fn apply_health(&mut self) {
        let links = self.interfaces.indices();
        let prepared = self.prepare_anew(&self.state.overrides, &self.ways, &links);
        if let Err(error) = prepared.and_then(|prepared| self.commit(prepared)) {
            error!(error = &error as &dyn std::error::Error, "cannot act on what checks found");
        }
    }
}

#[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
fn log(transition: &Transition) {
    let Transition { pool, backend, from, to, reason } = transition;
    let from = from.name();
    match to {
        Condition::Up => info!(pool, backend, from, reason, "up"),
        Condition::Down | Condition::Unknown => warn!(pool, backend, from, reason, "down"),
    }
}
