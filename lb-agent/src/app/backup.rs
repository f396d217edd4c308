//! What one agent knows and another has to be told: as one document, out and in.

use lb_common::api::{Problem, StateBackup};
use serde::Deserialize as _;

use super::agent::{Agent, time_of_day};
use super::change::refused;
use super::history::Source;
use super::views::{self, rfc3339};
use crate::core::overrides::Overrides;
use crate::io::api_server::Answer;

impl Agent {
    /// The running configuration, and weights and drains by command.
    pub(super) fn export(&self) -> Answer {
        let overrides = serde_json::to_value(&self.state.overrides)
            .map_err(|error| views::problem("internal", 500, error.to_string()))?;
        let backup = StateBackup {
            node: self.desired.node.name.clone(),
            taken_at: rfc3339(time_of_day()),
            configuration: self.text.clone(),
            overrides,
        };
        views::item(self, "StateBackup", backup)
    }

    /// Puts both in force as one change: all of it, or nothing.
    pub(super) async fn import(&mut self, backup: &StateBackup) -> Answer {
        let overrides = Overrides::deserialize(&backup.overrides).map_err(|error| {
            let title = format!("the overrides are not those of a backup: {error}");
            views::problem("invalid_config", 422, title)
        })?;
        let origin = format!("backup of {}, {}", backup.node, backup.taken_at);
        let parsed = self.options.parsed(&origin, &backup.configuration);
        let desired = parsed.map_err(Problem::from)?;
        let considered = self.consider_with(&desired, &overrides).await.map_err(refused)?;
        let moves = self.moves(&self.moved(&desired, &considered));
        let text = &backup.configuration;
        self.change_and_tell((desired, considered), moves, text, Source::Import)
    }
}
