//! The pulse of the agent's loop: when it came round last, and how late.
//!
//! The loop beats about once a second. Whoever serves the API reads it on a thread of its own, and
//! so can tell that the loop hangs while it does.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The worst delay is that of the last one to two of these.
const WINDOW: Duration = Duration::from_mins(1);
/// Time without a beat after which the loop hangs: a few beats, and the longest change there is.
pub const ALIVE_MAX: Duration = Duration::from_secs(5);

/// When the loop came round.
#[derive(Debug)]
pub struct Pulse(Mutex<Beats>);

#[derive(Clone, Copy, Debug)]
struct Beats {
    last: Moment,
    window_began: Moment,
    worst: Duration,
    worst_before: Duration,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic, for what is computed.
    pub monotonic_ns: u64,
    /// Time of day, for what is shown.
    pub of_day: SystemTime,
}

impl Moment {
    /// Now.
    #[expect(clippy::disallowed_methods, reason = "shown to people; nothing is decided by it")]
    pub fn now() -> Self {
        Self { monotonic_ns: super::clock::precise_ns(), of_day: SystemTime::now() }
    }

    const fn since(&self, earlier: &Self) -> Duration {
        Duration::from_nanos(self.monotonic_ns.saturating_sub(earlier.monotonic_ns))
    }
}

/// What is known of the loop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Liveness {
    /// When it came round last.
    pub last: SystemTime,
    /// How long ago that was.
    pub age: Duration,
    /// The longest that it came late in the last minute or two.
    pub lag: Duration,
}

impl Liveness {
    /// Whether the loop still comes round.
    pub fn is_alive(&self) -> bool {
        self.age <= ALIVE_MAX
    }
}

impl Pulse {
    /// A pulse whose first beat is now.
    pub const fn new(now: Moment) -> Self {
        let (worst, worst_before) = (Duration::ZERO, Duration::ZERO);
        Self(Mutex::new(Beats { last: now, window_began: now, worst, worst_before }))
    }

    /// The loop has come round, so much later than it was due.
    pub fn beat(&self, now: Moment, late: Duration) {
        let mut beats = self.beats();
        beats.last = now;
        if now.since(&beats.window_began) >= WINDOW {
            beats.worst_before = std::mem::take(&mut beats.worst);
            beats.window_began = now;
        }
        beats.worst = beats.worst.max(late);
    }

    /// What is known of the loop.
    pub fn liveness(&self, now: Moment) -> Liveness {
        let Beats { last, worst, worst_before, .. } = *self.beats();
        Liveness { last: last.of_day, age: now.since(&last), lag: worst.max(worst_before) }
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(seconds: u64) -> Moment {
        let since = Duration::from_secs(seconds);
        Moment { monotonic_ns: seconds * 1_000_000_000, of_day: UNIX_EPOCH + since }
    }

    #[test]
    fn a_loop_that_comes_round_no_more_is_not_alive() {
        let pulse = Pulse::new(at(100));
        pulse.beat(at(101), Duration::from_millis(3));
        let seen = pulse.liveness(at(103));
        assert_eq!((seen.last, seen.age), (at(101).of_day, Duration::from_secs(2)));
        assert!(seen.is_alive());
        assert!(!pulse.liveness(at(107)).is_alive());
        pulse.beat(at(108), Duration::from_secs(6));
        assert!(pulse.liveness(at(108)).is_alive());
    }

    #[test]
    fn the_worst_delay_is_forgotten_after_a_while() {
        let pulse = Pulse::new(at(0));
        pulse.beat(at(1), Duration::from_millis(80));
        pulse.beat(at(2), Duration::from_millis(5));
        let lag = |now| pulse.liveness(at(now)).lag.as_millis();
        assert_eq!(lag(2), 80);
        pulse.beat(at(61), Duration::from_millis(7));
        assert_eq!(lag(61), 80, "still in the window before");
        pulse.beat(at(125), Duration::from_millis(2));
        assert_eq!(lag(125), 7);
    }
}
