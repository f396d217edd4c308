//! `backend drain` and `undrain`; with `--wait`, until the drain has come to its end.
//!
//! The drain is the agent's: it goes on whether or not anybody waits for it, and over restarts of
//! the agent, during which this waits too.

use std::time::{Duration, Instant};

use hyper::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lb_common::api::{Backend, DrainRequest, DrainStatus, Item};

use super::backend::report;
use super::{Context, is_out_of_reach};
use crate::args::{BackendRef, Drain};
use crate::client::Document;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render;

/// How often the agent is asked.
const POLL: Duration = Duration::from_millis(500);
/// How often progress is told where there is no bar.
const TELL: Duration = Duration::from_secs(10);
/// How long an agent may be away: it is being restarted.
const AWAY_MAX: Duration = Duration::from_mins(1);

pub(super) fn drain(context: &Context<'_>, drain: &Drain) -> Result<Exit, CtlError> {
    let Drain { backend, deadline, force_at_deadline, wait } = drain;
    let path = format!("/v1/backends/{backend}/drain");
    let request = DrainRequest {
        deadline_s: deadline
            .map(|deadline| deadline.as_secs() + u64::from(deadline.subsec_nanos() > 0)),
        force_at_deadline: *force_at_deadline,
    };
    let begun: Document<Item<Backend>> = if request == DrainRequest::default() {
        context.client.post(&path)?
    } else {
        context.client.send(&Method::POST, &path, &request)?
    };
    let last = if *wait { Waiting::new(context, backend).wait(begun)? } else { begun };
    report(context, &last)
}

pub(super) fn undrain(context: &Context<'_>, backend: &BackendRef) -> Result<Exit, CtlError> {
    report(context, &context.client.post(&format!("/v1/backends/{backend}/undrain"))?)
}

/// A wait for the end of a drain.
struct Waiting<'a> {
    context: &'a Context<'a>,
    backend: &'a BackendRef,
    bar: ProgressBar,
    told: Option<Instant>,
    away: Option<Instant>,
}

impl<'a> Waiting<'a> {
    fn new(context: &'a Context<'a>, backend: &'a BackendRef) -> Self {
        let target = if context.options.quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        // A template that cannot be parsed leaves the default one.
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} flows ended, {msg}")
        {
            bar.set_style(style);
        }
        Self { context, backend, bar, told: None, away: None }
    }

    /// Asks until the drain has come to its end; the last answer.
    fn wait(
        mut self,
        mut last: Document<Item<Backend>>,
    ) -> Result<Document<Item<Backend>>, CtlError> {
        loop {
            let backend = || self.backend.to_string();
            let Some(drain) = &last.typed.item.drain else {
                return Err(CtlError::DrainTakenBack { backend: backend() });
            };
            match (drain.state.as_str(), drain.flows_left) {
                ("done" | "forced", _) => {
                    self.bar.finish_and_clear();
                    return Ok(last);
                }
                ("overdue", Some(flows)) if !drain.force_at_deadline => {
                    return Err(CtlError::DrainOverdue { backend: backend(), flows });
                }
                // By force it ends within a moment.
                _ => self.tell(drain),
            }
            last = self.next(last)?;
        }
    }

    /// The answer to the next question; the one before while the agent is away.
    #[expect(clippy::disallowed_methods, reason = "this is the edge, and somebody waits at it")]
    fn next(
        &mut self,
        before: Document<Item<Backend>>,
    ) -> Result<Document<Item<Backend>>, CtlError> {
        std::thread::sleep(POLL);
        match self.context.client.fetch(&format!("/v1/backends/{}", self.backend)) {
            Ok(answer) => {
                self.away = None;
                Ok(answer)
            }
            Err(error) if is_out_of_reach(&error) => {
                if self.away.is_none() {
                    self.context.console.note(&format!("{error}; waiting for it"));
                }
                let since = *self.away.get_or_insert_with(Instant::now);
                if since.elapsed() < AWAY_MAX { Ok(before) } else { Err(error.into()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the edge, and somebody watches it")]
    fn tell(&mut self, drain: &DrainStatus) {
        if let Some(left) = drain.flows_left {
            let most = self.bar.length().unwrap_or(0).max(left);
            self.bar.set_length(most);
            self.bar.set_position(most - left);
        }
        self.bar.set_message(render::drain_words(drain));
        let is_due = self.told.is_none_or(|told| told.elapsed() >= TELL);
        if self.bar.is_hidden() && is_due {
            let words = render::drain_words(drain);
            self.context.console.note(&format!("{}: {words}", self.backend));
            self.told = Some(Instant::now());
        }
    }
}
