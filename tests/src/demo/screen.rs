//! What the demo prints: numbered steps, commands with their output, the table of the spread.

use std::fmt::Write as _;
use std::io::{IsTerminal, Stderr, Stdout, Write, stderr, stdout};

use anyhow::{Context, Result};
use lb_tests::http::Tally;
use lb_tests::process::now;

/// Width of a bar that stands for all requests.
const BAR_WIDTH: f64 = 40.0;
/// Indent of everything that belongs to a step.
const INDENT: &str = "        ";

/// One line of the table.
pub(crate) struct Row {
    /// Name of the backend, which is what its origin answers.
    pub origin: String,
    /// Weight in force.
    pub weight: u64,
    /// State as the agent names it.
    pub state: String,
}

/// The terminal, or a file.
pub(crate) struct Screen {
    steps: usize,
    current: usize,
    out: Stdout,
    errors: Stderr,
}

impl Screen {
    /// For a demo of so many steps.
    pub(crate) fn new(steps: usize) -> Self {
        Self { steps, current: 0, out: stdout(), errors: stderr() }
    }

    /// Whether tables can be drawn over and over in the same place.
    pub(crate) fn is_live(&self) -> bool {
        self.out.is_terminal()
    }

    /// Runs one step: announces it, and says how long it took or which step failed.
    pub(crate) fn step<T>(
        &mut self,
        title: &str,
        body: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.current += 1;
        let number = format!("[{:2}/{}]", self.current, self.steps);
        self.line(&format!("{number} {title}"));
        let start = now();
        let value = body(self).with_context(|| format!("step {} failed: {title}", self.current))?;
        self.note(&format!("ok, {:.2} s", start.elapsed().as_secs_f64()));
        Ok(value)
    }

    /// One line of plain text.
    pub(crate) fn line(&self, text: &str) {
        // Nobody is left to tell when standard output is closed.
        let _ = writeln!(self.out.lock(), "{text}");
    }

    /// One line that belongs to the current step.
    pub(crate) fn note(&self, text: &str) {
        self.line(&format!("{INDENT}{text}"));
    }

    /// A command and what it printed.
    pub(crate) fn command(&self, arguments: &[&str], output: &str) {
        self.note(&format!("$ lb-ctl {}", arguments.join(" ")));
        for line in output.lines() {
            self.note(&format!("  {line}"));
        }
    }

    /// The error that ended the demo, with its causes.
    pub(crate) fn failure(&self, error: &anyhow::Error) {
        let mut text = format!("\nDemo FAILED: {error}");
        for cause in error.chain().skip(1) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  because: {cause}");
        }
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(self.errors.lock(), "{text}");
    }

    /// Draws the table; over the last one if `again`.
    pub(crate) fn table(&self, rows: &[Row], tally: &Tally, remark: &str, again: bool) {
        let mut text = table_text(rows, tally, remark);
        if again {
            // Cursor up over the last table, and clear from there.
            text.insert_str(0, &format!("\x1b[{}A\x1b[J", text.lines().count()));
        }
        self.line(&text);
    }
}

fn table_text(rows: &[Row], tally: &Tally, remark: &str) -> String {
    let mut text = format!(
        "{INDENT}{:10} {:>6}  {:9} {:>8} {:>7}\n",
        "origin", "weight", "state", "requests", "share"
    );
    for Row { origin, weight, state } in rows {
        let share = tally.share(origin);
        let requests = tally.of(origin);
        let bar = bar(share);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{INDENT}{origin:10} {weight:>6}  {state:9} {requests:>8} {:>5.1} %  {bar}",
            share * 100.0
        );
    }
    let _ =
        write!(text, "{INDENT}{} answered, {} failed{remark}", tally.answered(), tally.failed());
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "share is in 0..=1")]
fn bar(share: f64) -> String {
    "█".repeat((share * BAR_WIDTH).round() as usize)
}
