//! Backends that come and go: each failure soon after a recovery keeps them down for longer.

use std::time::Duration;

use super::nanoseconds;

/// How long backends are held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// The first time.
    pub first: Duration,
    /// At most; and the time after which a backend that has stayed up starts anew.
    pub longest: Duration,
}

/// What is remembered of a backend's failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Damping {
    /// When it last came up after a failure, on the monotonic clock.
    recovered_ns: Option<u64>,
    /// Failures in a row that came soon after a recovery.
    repeats: u32,
    /// Until when it stays down.
    held_until_ns: u64,
}

impl Damping {
    /// It has failed.
    pub fn fell(&mut self, hold: Hold, now_ns: u64) {
        let longest_ns = nanoseconds(hold.longest);
        let is_soon = |recovered_ns: u64| now_ns.saturating_sub(recovered_ns) < longest_ns;
        if !self.recovered_ns.is_some_and(is_soon) {
            *self = Self::default();
            return;
        }
        let doubled = 1_u64.checked_shl(self.repeats).unwrap_or(u64::MAX);
        let held_ns = nanoseconds(hold.first).saturating_mul(doubled).min(longest_ns);
        self.repeats = self.repeats.saturating_add(1);
        self.held_until_ns = now_ns.saturating_add(held_ns);
    }

    /// It has come up after a failure.
    pub const fn rose(&mut self, now_ns: u64) {
        self.recovered_ns = Some(now_ns);
    }

    /// Nothing keeps it down any more.
    pub const fn release(&mut self) {
        self.held_until_ns = 0;
    }

    /// How long it still stays down whatever its checks say.
    pub fn held_ns(self, now_ns: u64) -> Option<u64> {
        self.held_until_ns.checked_sub(now_ns).filter(|left_ns| *left_ns > 0)
    }
}
