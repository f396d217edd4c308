//! What a probe did, step by step, for whoever wants to know why it came out as it did.
//!
//! Probes of the agent's own keep no steps: what would be said of them is not even put into words.

use crate::io::clock;

/// One step of a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What was tried: `connect`, `tls`, `request`.
    pub name: &'static str,
    /// What came of it.
    pub detail: String,
    /// How long it took.
    pub took_ns: u64,
}

/// The steps of one probe, and what was seen on the way.
#[derive(Debug)]
pub(super) struct Steps {
    is_kept: bool,
    done: Vec<Step>,
    /// The step that is under way, and since when.
    open: (&'static str, u64),
    /// The last second of the server's certificate, since 1970, if one was seen.
    pub(super) certificate_end_s: Option<i64>,
}

impl Steps {
    /// Steps that nobody wants to know.
    pub(super) fn unseen() -> Self {
        Self { is_kept: false, done: Vec::new(), open: ("", 0), certificate_end_s: None }
    }

    /// Steps that are kept.
    pub(super) fn kept() -> Self {
        Self { is_kept: true, ..Self::unseen() }
    }

    /// What is tried next.
    pub(super) fn begin(&mut self, name: &'static str) {
        if self.is_kept {
            self.open = (name, clock::precise_ns());
        }
    }

    /// The step that was begun has succeeded.
    pub(super) fn done(&mut self, detail: impl FnOnce() -> String) {
        if self.is_kept {
            let (name, since_ns) = self.open;
            let took_ns = clock::precise_ns().saturating_sub(since_ns);
            self.done.push(Step { name, detail: detail(), took_ns });
            self.open = ("", 0);
        }
    }

    /// The step that was under way, if any, ended with `detail`.
    pub(super) fn fail(&mut self, detail: &str) {
        if !self.open.0.is_empty() {
            self.done(|| detail.to_owned());
        }
    }

    /// All that were done; the one that was under way, if any, ended with `detail`.
    pub(super) fn end(mut self, detail: &str) -> Vec<Step> {
        self.fail(detail);
        self.done
    }
}
