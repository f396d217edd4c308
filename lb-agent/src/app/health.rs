//! Checks: probes go out when they are due, and what they find goes to the maps.

use std::time::{Duration, SystemTime};

use lb_common::api::{Health, HealthCounts, HealthResult};
use lb_common::config::{Desired, HealthKind};
use tracing::error;

use super::agent::Agent;
use super::views;
use crate::core::effective::{Acted, is_panic_in_force};
use crate::core::events::of_health;
use crate::core::health::{Checked, Checks, Condition, believed};
use crate::io::api_server::Answer;
use crate::io::clock;
use crate::io::probes::{Finished, Prober};

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
        match prepared.and_then(|prepared| self.commit(prepared)) {
            Ok(()) => {
                self.health_pending = Acted::on(&self.health, &self.derived.effective).is_behind;
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot act on what checks found");
            }
        }
    }
}

/// The checks of all backends, or of one pool's.
pub(super) fn list(agent: &Agent, only: Option<&str>) -> Answer {
    views::known_pool(agent, only)?;
    let now = Now::read();
    let wanted = |pool: &str| only.is_none_or(|only| only == pool);
    let checks = agent.health.iter().filter(|(pool, _, _)| wanted(pool));
    let views = checks.map(|(pool, name, checked)| view(agent, &now, (pool, name), checked));
    views::list(agent, "HealthList", views.collect())
}

fn view(agent: &Agent, now: &Now, (pool, name): (&str, &str), checked: &Checked) -> Health {
    let condition = checked.machine.condition();
    let effective = agent.derived.effective.get(pool).and_then(|pool| pool.get(name));
    let usable = effective.is_some_and(|effective| effective.usable);
    let last = checked.last.as_ref().map(|last| HealthResult {
        passed: last.outcome.passed,
        detail: last.outcome.detail.clone(),
        took_us: last.outcome.took_ns / 1000,
        at: now.at(last.at_ns),
    });
    Health {
        pool: pool.to_owned(),
        name: name.to_owned(),
        check: match &checked.check.kind {
            HealthKind::Tcp => format!("tcp {}", checked.address),
            HealthKind::Http { path } => format!("http://{}{path}", checked.address),
        },
        condition: condition.name().to_owned(),
        believed: !usable || condition == Condition::Up,
        since: now.at(checked.since_ns),
        against: checked.machine.against(),
        needed: match condition {
            Condition::Unknown => 1,
            Condition::Up => checked.check.fall,
            Condition::Down => checked.check.rise,
        },
        last,
        next_ms: agent.health.is_waiting(checked).then(|| now.until_ms(checked.next_ns)),
    }
}

/// How many are up, down and unknown.
pub(super) fn counts(agent: &Agent) -> HealthCounts {
    let mut counts = HealthCounts::default();
    for (_, _, checked) in agent.health.iter() {
        match checked.machine.condition() {
            Condition::Unknown => counts.unknown += 1,
            Condition::Up => counts.up += 1,
            Condition::Down => counts.down += 1,
        }
    }
    counts
}

/// What the checks of a backend say.
pub(super) fn condition_name(agent: &Agent, pool: &str, name: &str) -> &'static str {
    agent.health.of(pool, name).map_or("unchecked", |checked| checked.machine.condition().name())
}

/// Whether a pool's checks are not believed.
pub(super) fn is_panic(agent: &Agent, pool: &str) -> bool {
    agent.derived.effective.get(pool).is_some_and(is_panic_in_force)
}

/// Both clocks at one moment.
struct Now {
    monotonic_ns: u64,
    of_day: SystemTime,
}

impl Now {
    #[expect(clippy::disallowed_methods, reason = "shown to people; nothing is decided by it")]
    fn read() -> Self {
        Self { monotonic_ns: clock::precise_ns(), of_day: SystemTime::now() }
    }

    /// A moment of the past as a time of day.
    fn at(&self, monotonic_ns: u64) -> String {
        let ago = Duration::from_nanos(self.monotonic_ns.saturating_sub(monotonic_ns));
        views::rfc3339(self.of_day.checked_sub(ago).unwrap_or(self.of_day))
    }

    /// Milliseconds until a moment to come.
    const fn until_ms(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_sub(self.monotonic_ns) / 1_000_000
    }
}
