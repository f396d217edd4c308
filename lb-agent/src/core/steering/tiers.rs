//! Which tier takes the traffic: over at once, back when it has been quiet for a while.

use std::collections::BTreeSet;
use std::time::Duration;

use super::EffectivePool;
use crate::core::effective::{Effective, State};
use crate::core::health::nanoseconds;

/// The tier in use, and since when a lower one could be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tiers {
    current: Option<u8>,
    /// The lowest tier that is ready, if that is another, and since when.
    lower: Option<(u8, u64)>,
    /// Whether a lower tier had not been asked yet when this one was chosen.
    is_provisional: bool,
}

impl Tiers {
    /// A backend of this tier was taking traffic.
    pub(super) fn adopt(&mut self, tier: u8) {
        self.current = Some(self.current.map_or(tier, |current| current.min(tier)));
    }

    /// Whether a backend of this tier would take traffic if it could. One of the tier in use does, if
    /// it does not decide for itself.
    pub(super) fn would_use(&self, tier: u8, decides: bool) -> bool {
        self.current.map_or(decides, |current| tier < current || decides && tier == current)
    }

    /// The tier to use, if anybody can take traffic; and when time alone would make it another. For
    /// who is `quiet` no tier is left.
    pub(super) fn choose(
        &mut self,
        (backends, quiet): (&EffectivePool, &BTreeSet<String>),
        delay: Duration,
        now_ns: u64,
    ) -> (Option<u8>, Option<u64>) {
        let tiers = tiers(backends, quiet);
        let Some(lowest) = tiers.first().copied() else { return (None, None) };
        let current = self.current.filter(|current| tiers.contains(current));
        let is_waiting = |tier: u8| {
            let waiting = backends.values().filter(|backend| backend.state == State::Waiting);
            waiting.map(|backend| backend.tier).any(|other| other < tier)
        };
        let Some(current) = current.filter(|current| lowest < *current && !self.is_provisional)
        else {
            let is_provisional = is_waiting(lowest) && (self.is_provisional || current.is_none());
            *self = Self { current: Some(lowest), lower: None, is_provisional };
            return (Some(lowest), None);
        };
        let (_, since_ns) = *match &mut self.lower {
            Some(lower) if lower.0 == lowest => lower,
            lower => lower.insert((lowest, now_ns)),
        };
        let due_ns = since_ns.saturating_add(nanoseconds(delay));
        if now_ns >= due_ns {
            *self = Self { current: Some(lowest), ..Self::default() };
            return (Some(lowest), None);
        }
        (Some(current), Some(due_ns))
    }
}

/// The tiers that can take traffic: by those who pass their checks, or else by those who are thought
/// to, or else by all.
fn tiers(backends: &EffectivePool, quiet: &BTreeSet<String>) -> BTreeSet<u8> {
    let can = || backends.iter().filter(|(_, backend)| backend.state == State::Active);
    let thought_sound = || can().filter(|(_, backend)| !backend.spared);
    let sound = of(thought_sound().filter(|(name, _)| !quiet.contains(*name)));
    let thought_sound = of(thought_sound());
    let any = [sound, thought_sound].into_iter().find(|tiers| !tiers.is_empty());
    any.unwrap_or_else(|| of(can()))
}

fn of<'a>(backends: impl Iterator<Item = (&'a String, &'a Effective)>) -> BTreeSet<u8> {
    backends.map(|(_, backend)| backend.tier).collect()
}
