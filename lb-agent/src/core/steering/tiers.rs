//! Which tier takes the traffic: over at once, back when it has been quiet for a while.

use std::time::Duration;

use super::{EffectivePool, candidates};
use crate::core::health::nanoseconds;

/// The tier in use, and since when a lower one could be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tiers {
    current: Option<u8>,
    lower_since_ns: Option<u64>,
}

impl Tiers {
    /// A backend of this tier was taking traffic.
    pub(super) fn adopt(&mut self, tier: u8) {
        self.current = Some(self.current.map_or(tier, |current| current.min(tier)));
    }

    /// The tier to use, if anybody can take traffic; and when time alone would make it another.
    pub(super) fn choose(
        &mut self,
        backends: &EffectivePool,
        delay: Duration,
        now_ns: u64,
    ) -> (Option<u8>, Option<u64>) {
        let lowest = candidates(backends).map(|backend| backend.tier).min();
        let is_current = |backend| Some(backend) == self.current;
        let holds = candidates(backends).any(|backend| is_current(backend.tier));
        if !holds || lowest == self.current {
            *self = Self { current: lowest, lower_since_ns: None };
            return (lowest, None);
        }
        let since_ns = *self.lower_since_ns.get_or_insert(now_ns);
        let due_ns = since_ns.saturating_add(nanoseconds(delay));
        if now_ns >= due_ns {
            *self = Self { current: lowest, lower_since_ns: None };
            return (lowest, None);
        }
        (self.current, Some(due_ns))
    }
}
