//! What drills came to, as a table for people and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Span;
use super::requests::Timeline;

/// What a drill came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Requests that ended.
    pub requests: u64,
    /// Requests that were not answered.
    pub failed: u64,
    /// Connections that were moved or broken.
    pub broken: u64,
    /// Longest time without an answer to anybody.
    pub longest_gap: Duration,
    /// Time until all was as it should be.
    pub settled: Duration,
    /// A picture of the outage.
    pub bar: String,
    /// What clients may see.
    pub bound: String,
    /// What they saw beyond it.
    pub excesses: Vec<String>,
}

/// Parts of a bar.
const PARTS: u32 = 20;
/// The least that one of them stands for.
const LEAST_PART: Duration = Duration::from_millis(50);

impl Row {
    /// Whether the bound was kept.
    pub const fn kept(&self) -> bool {
        self.excesses.is_empty()
    }
}

/// A table, with what was beyond a bound below it.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<34} {:>8} {:>6} {:>6} {:>7} {:>10}  {:<28}  {:<8}  BOUND\n",
        "DRILL", "REQUESTS", "FAILED", "BROKEN", "GAP ms", "SETTLED ms", "OUTAGE", ""
    );
    // Writing to a String cannot fail.
    for row in rows {
        let verdict = if row.kept() { "kept" } else { "NOT KEPT" };
        let (gap_ms, settled_ms) = (milliseconds(row.longest_gap), milliseconds(row.settled));
        let Row { name, requests, failed, broken, bar, bound, .. } = row;
        let _ = writeln!(
            text,
            "{name:<34} {requests:>8} {failed:>6} {broken:>6} {gap_ms:>7} {settled_ms:>10}  \
             {bar:<28}  {verdict:<8}  {bound}"
        );
    }
    text.push_str("OUTAGE: from the harm on; . all answered, + some failed, # none answered\n");
    for row in rows {
        for excess in &row.excesses {
            let _ = writeln!(text, "{}: {excess}", row.name);
        }
    }
    text
}

/// A mark for each part of a span: whether requests begun in it were answered.
pub fn bar(timeline: &Timeline, span: Span) -> String {
    let part = (span.until.saturating_sub(span.from) / PARTS).max(LEAST_PART);
    let mark = |number: u32| {
        let from = span.from + part * number;
        let (mut answered, mut failed) = (0, 0);
        for is_answered in timeline.answered_in(Span { from, until: from + part }) {
            *(if is_answered { &mut answered } else { &mut failed }) += 1;
        }
        match (answered, failed) {
            (0, 0) => ' ',
            (_, 0) => '.',
            (0, _) => '#',
            (_, _) => '+',
        }
    };
    let marks: String = (0..PARTS).map(mark).collect();
    format!("{marks} {} ms", part.as_millis())
}

/// An array of all rows.
pub fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "name": row.name,
            "requests": row.requests,
            "failed": row.failed,
            "broken": row.broken,
            "longest_gap_ms": milliseconds(row.longest_gap),
            "settled_ms": milliseconds(row.settled),
            "bound": row.bound,
            "kept": row.kept(),
        })
    };
    rows.iter().map(row).collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
