//! `events`: what has happened; with `--follow`, also what happens, over restarts of the agent.

use std::time::Duration;

use lb_common::api::{Event, EventsQuery};

use super::{Context, is_out_of_reach};
use crate::args::Format;
use crate::client::{Document, Followed};
use crate::console::print_line;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render::{event_header, event_line};

/// How often an agent that has gone is looked for.
const AWAY_POLL: Duration = Duration::from_millis(500);

pub(super) fn run(context: &Context<'_>, query: EventsQuery) -> Result<Exit, CtlError> {
    let EventsQuery { since, follow } = query;
    if follow {
        return Following { context, since, is_headed: false, is_away: false }.run();
    }
    let since = since.map(|since| format!("?since={since}")).unwrap_or_default();
    context.list::<Event>(&format!("/v1/events{since}"), "events")
}

/// Follows until somebody has enough.
struct Following<'a> {
    context: &'a Context<'a>,
    /// Number of the last event that was printed.
    since: Option<u64>,
    /// Whether the columns have their names.
    is_headed: bool,
    /// Whether the agent has gone, and that was said.
    is_away: bool,
}

impl Following<'_> {
    fn run(mut self) -> Result<Exit, CtlError> {
        let mut has_followed = false;
        loop {
            let since = self.since.map(|since| format!("&since={since}")).unwrap_or_default();
            let path = format!("/v1/events?follow=true{since}");
            let client = &self.context.client;
            match client.follow(&path, |event| self.tell(event)) {
                Ok(Followed::Interrupted | Followed::Enough) => return Ok(Exit::Ok),
                Ok(Followed::Ended) => {
                    has_followed = true;
                    self.note_away("the agent has ended the stream");
                }
                Err(CtlError::Client(error)) if has_followed && is_out_of_reach(&error) => {
                    self.note_away(&error.to_string());
                }
                Err(error) => return Err(error),
            }
            if client.pause(AWAY_POLL) {
                return Ok(Exit::Ok);
            }
        }
    }

    fn note_away(&mut self, why: &str) {
        if !self.is_away {
            self.context.console.note(&format!("{why}; waiting for it"));
        }
        self.is_away = true;
    }

    /// Prints an event; false when nobody reads on.
    fn tell(&mut self, event: &Document<Event>) -> Result<bool, CtlError> {
        if std::mem::take(&mut self.is_away) {
            self.context.console.note("following again");
        }
        self.since = Some(event.typed.sequence);
        let palette = self.context.console.palette;
        let text = match self.context.options.format {
            Format::Table | Format::Wide => {
                let line = event_line(&event.typed, palette);
                let is_first = !std::mem::replace(&mut self.is_headed, true);
                if is_first { format!("{}\n{line}", event_header()) } else { line }
            }
            Format::Json => {
                serde_json::to_string(&event.tree).map_err(|source| CtlError::Json { source })?
            }
            Format::Yaml => {
                let text = serde_yaml::to_string(&event.tree);
                format!("---\n{}", text.map_err(|source| CtlError::Yaml { source })?)
            }
            Format::Name => event.typed.object.replacen(' ', "/", 1),
        };
        print_line(&text)
    }
}
