//! What the supervisor is told: that the agent is ready, and in one line how it is.

use super::agent::Agent;
use super::health;

impl Agent {
    /// The agent is up to date: after its start, and after each reload.
    pub(super) fn tell_ready(&mut self) {
        let status = self.in_one_line();
        self.supervisor.ready(&status);
    }

    /// Tells how it is, if that has changed.
    pub(super) fn tell_status(&mut self) {
        let status = self.in_one_line();
        self.supervisor.status(&status);
    }

    /// `generation 7, 3 backends up, 1 down, reload refused`
    fn in_one_line(&self) -> String {
        let counts = health::counts(self);
        let generation = format!("generation {}", self.state.generation);
        let checked = counts.up + counts.down + counts.unknown > 0;
        let checks = checked.then(|| format!("{} backends up, {} down", counts.up, counts.down));
        let slots = self.transitions.restless;
        let slots = (slots > 0).then(|| format!("{slots} slots in transition"));
        let refused = self.reload_failure.as_ref().map(|_| "reload refused".to_owned());
        let parts = [Some(generation), checks, slots, refused];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}
