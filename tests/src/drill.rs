//! Failover drills: something breaks under load, and what clients see of it is measured.
//!
//! Each [`Drill`] has a topology of its own with a real agent and real nginx. Short requests go on at
//! a steady pace ([`requests`]), beside connections that last, and what the balancer sends to whom is
//! captured ([`tap`]). The drill does its harm, waits for the end, and everything is held against its
//! [`Bound`]. The list is in [`catalogue`]; the program that prints it is bin/drill.rs.

mod agents;
mod backends;
mod bound;
pub mod catalogue;
mod changes;
mod large;
mod network;
pub mod report;
pub mod requests;
mod stage;
mod tap;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::wait_until;
use crate::topology::{Agent, ORIGIN_NAMES, Topology, VIP_V4, on_topology, port_80};
use report::Row;
use tap::Capture;

pub use bound::{Bound, Failures};
pub use stage::Stage;

/// Time that anything which is waited for may take.
const LIMIT: Duration = Duration::from_secs(30);
/// A bar is not for less than this.
const LEAST_BAR: Duration = Duration::from_secs(1);

/// Something that breaks.
#[derive(Debug)]
pub struct Drill {
    /// Its name.
    pub name: &'static str,
    /// What clients may see of it.
    pub bound: Bound,
    /// The agent's configuration.
    configuration: fn() -> String,
    /// What comes before the load.
    prepare: Option<Prepare>,
    /// Does it, waits for the end, and says how to tell when the balancer had settled.
    act: Act,
}

/// What comes before the load, where not everything is in order.
type Prepare = fn(&mut Topology, &Agent) -> Result<()>;
/// What a drill does.
type Act = fn(&mut Stage<'_>) -> Result<Settled>;

/// From one moment to another, in time since the drill began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Belongs to it.
    pub from: Duration,
    /// Does not.
    pub until: Duration,
}

/// How to tell when the balancer had settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Settled {
    /// After the last packet to these origins, by number, from a harm until it is mended.
    Left(&'static [usize]),
    /// Since new connections are taken by all of `by` and by none of `not`, counted from the last
    /// harm, or from when it was mended.
    Taken { by: &'static [&'static str], not: &'static [&'static str] },
    /// The drill has measured it.
    In(Duration),
}

impl Drill {
    /// Runs it. What keeps it from its end is an excess too.
    pub fn run(&self) -> Row {
        self.to_the_end().unwrap_or_else(|error| Row::unfinished(self, &error))
    }

    fn to_the_end(&self) -> Result<Row> {
        let mut row = None;
        on_topology(&self.name.replace(|c: char| !c.is_alphanumeric(), "-"), |topology| {
            row = Some(self.on(topology)?);
            Ok(())
        })?;
        row.context("the drill did not run")
    }

    fn on(&self, topology: &mut Topology) -> Result<Row> {
        let agent = topology.start_agent(&(self.configuration)())?;
        wait_until("all backends to be asked", LIMIT, || {
            let unknown = agent.status()?.pointer("/health/unknown").and_then(Value::as_u64);
            Ok((unknown == Some(0)).then_some(()))
        })?;
        topology.expect_answers(port_80(VIP_V4), 1)?;
        if let Some(prepare) = self.prepare {
            prepare(topology, &agent)?;
        }
        let mut stage = Stage::set(topology, agent)?;
        stage.calm()?;
        let settled = (self.act)(&mut stage)?;
        let end = stage.elapsed();
        stage.calm()?;
        self.judge(stage.clear()?, settled, end)
    }

    fn judge(&self, mut outcome: stage::Outcome, settled: Settled, end: Duration) -> Result<Row> {
        let settled = outcome.settled(settled)?;
        let stage::Outcome { spans, timeline, fates, excesses, .. } = &mut outcome;
        let from = spans.first().context("the drill did no harm")?.from;
        let until = end.max(from + LEAST_BAR);
        excesses.extend(self.bound.excesses(spans, timeline, fates, settled));
        Ok(Row {
            name: self.name,
            requests: timeline.requests(),
            failed: timeline.failed().count() as u64,
            broken: fates.harmed(),
            longest_gap: timeline.longest_gap(),
            settled,
            bar: report::bar(timeline, Span { from, until }),
            bound: self.bound.to_string(),
            excesses: std::mem::take(excesses),
        })
    }
}

impl Row {
    /// A drill that could not be run to its end.
    pub fn unfinished(drill: &Drill, error: &anyhow::Error) -> Self {
        Self {
            name: drill.name,
            requests: 0,
            failed: 0,
            broken: 0,
            longest_gap: Duration::ZERO,
            settled: Duration::ZERO,
            bar: String::new(),
            bound: drill.bound.to_string(),
            excesses: vec![format!("{error:#}")],
        }
    }
}

impl stage::Outcome {
    /// The time it took to settle. What never settled took until the end.
    fn settled(&self, settled: Settled) -> Result<Duration> {
        let last = self.spans.last().context("the drill did no harm")?;
        match settled {
            Settled::In(time) => Ok(time),
            Settled::Left(origins) => {
                let mut longest = Duration::ZERO;
                for origin in origins {
                    self.expect_traffic(*origin, last)?;
                    for span in &self.spans {
                        let left = self.capture.last_to(*origin, *span);
                        longest = longest
                            .max(left.map_or(Duration::ZERO, |at| at.saturating_sub(span.from)));
                    }
                }
                Ok(longest)
            }
            Settled::Taken { by, not } => {
                let since = if last.until == Duration::MAX { last.from } else { last.until };
                let end = self.timeline.end();
                let firsts = by
                    .iter()
                    .map(|origin| self.timeline.first_answer_by(origin, since).unwrap_or(end));
                let lasts = not.iter().filter_map(|origin| self.timeline.last_begun_by(origin));
                let settled = firsts.chain(lasts).max().unwrap_or_default();
                Ok(settled.saturating_sub(since))
            }
        }
    }

    /// Fails if the capture saw nothing before the first harm: then it proves nothing after it.
    fn expect_traffic(&self, origin: usize, last: &Span) -> Result<()> {
        let from = self.spans.first().unwrap_or(last).from;
        let before = Span { from: Duration::ZERO, until: from };
        let name = ORIGIN_NAMES.get(origin).unwrap_or(&"?");
        let packets = Capture::packets_to(&self.capture, origin, before);
        ensure!(packets > 0, "no packet to {name} was captured before the harm");
        Ok(())
    }
}
