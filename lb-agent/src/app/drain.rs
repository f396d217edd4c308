//! Drains: asked for with a deadline, watched after each sweep, and ended by force if so ordered.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lb_common::abi::BackendIndex;
use lb_common::api::{DrainRequest, DrainStatus};
use tracing::error;

use super::agent::Agent;
use super::views::{self, rfc3339};
use crate::core::drain::Drain;
use crate::core::events::of_drained;
use crate::core::overrides::Change;
use crate::io::api_server::Answer;
use crate::io::clock;

impl Agent {
    /// Begins a drain; one under way keeps its beginning, without another its deadline, and the force
    /// that was ordered. One whose flows were ended stays as it is: they are not to come back.
    pub(super) fn drain(&mut self, pool: &str, name: &str, request: &DrainRequest) -> Answer {
        if request.force_at_deadline && request.deadline_s.is_none() {
            let title = "force_at_deadline without deadline_s: there is no deadline to force it at";
            return Err(views::problem("invalid_request", 400, title));
        }
        let now_s = now_s();
        let under_way = self.state.overrides.of(pool, name).drain;
        let since_s = under_way.map_or(now_s, |drain| drain.since_s);
        let drain = match (under_way, request.deadline_s) {
            (Some(drain), None) => drain,
            (Some(drain), Some(_)) if drain.forced => drain,
            (_, deadline_s) => Drain {
                since_s,
                deadline_s: deadline_s.map(|seconds| now_s.saturating_add(seconds)),
                force: request.force_at_deadline || under_way.is_some_and(|drain| drain.force),
                forced: false,
            },
        };
        self.override_backend(pool, name, Change::Drain(Some(drain)))
    }

    /// Ends the flows of drains whose deadline has passed, where that was ordered. What fails is
    /// tried again at the next tick.
    pub(super) fn force_drains(&mut self) {
        let now_s = now_s();
        let drains = self.state.overrides.drains();
        let due: Vec<_> = drains
            .filter(|(_, _, drain)| drain.is_to_be_forced(now_s))
            .map(|(pool, backend, drain)| (pool.to_owned(), backend.to_owned(), drain))
            .collect();
        for (pool, backend, drain) in due {
            let forced = Change::Drain(Some(Drain { forced: true, ..drain }));
            if let Err(error) = self.put_override(&pool, &backend, forced) {
                let error = &error as &dyn std::error::Error;
                error!(error, pool, backend, "cannot end the flows of a drain");
            }
        }
    }

    /// Takes in what the last sweep saw of the backends that are being drained.
    pub(super) fn watch_drains(&mut self) {
        let Self { drains, state, derived, transitions, .. } = self;
        let seen = state.overrides.drains().map(|(pool, backend, _)| {
            let index = derived.naming.ids.backend(pool, backend);
            let flows = |index: BackendIndex| transitions.flows.get(&index).copied();
            let closes_ns = index.and_then(|index| transitions.windows.closes_ns(index));
            (pool, backend, index.and_then(flows).unwrap_or(0), closes_ns)
        });
        let done = drains.look(seen, clock::monotonic_ns());
        let done: Vec<_> = done.iter().map(|(pool, backend)| of_drained(pool, backend)).collect();
        self.raise_all(done);
    }
}

/// How far the drain of a backend is, if there is one.
pub(super) fn status(agent: &Agent, pool: &str, name: &str) -> Option<DrainStatus> {
    let drain = agent.state.overrides.of(pool, name).drain?;
    let progress = agent.drains.of(pool, name);
    let now_s = now_s();
    let is_done = progress.is_done();
    let left_s = progress.left_s().filter(|_| !is_done && !drain.forced);
    Some(DrainStatus {
        state: drain.phase(&progress, now_s).name().to_owned(),
        since: (drain.since_s > 0).then(|| time(drain.since_s)),
        deadline: drain.deadline_s.map(time),
        force_at_deadline: drain.force,
        flows_left: progress.flows(),
        flows_ended_per_s: progress.flows_per_s(),
        estimated_end: left_s.map(|left_s| time(now_s.saturating_add(left_s))),
    })
}

/// Seconds of Unix time as RFC 3339; of what no calendar holds, the last second that one does.
fn time(seconds: u64) -> String {
    const LAST_S: u64 = 253_402_300_799;
    rfc3339(UNIX_EPOCH + Duration::from_secs(seconds.min(LAST_S)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a deadline outlives the agent, so it is a time of day"
)]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
