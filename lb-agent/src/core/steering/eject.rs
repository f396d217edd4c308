//! How many may be out at once: a check that fails everywhere a little should not take a pool down.

use std::collections::{BTreeMap, BTreeSet};

use super::EffectivePool;
use crate::core::effective::{Effective, State};
use crate::core::health::{Condition, Known};

/// Those that fail their checks and stay in use, because as many of their tier as may be are out
/// already: the ones that failed last.
pub(super) fn spared(
    backends: &EffectivePool,
    known: &BTreeMap<&str, Known>,
    max_percent: u8,
) -> BTreeSet<String> {
    // Who is out by command needs no room.
    let is_down = |backend: &Effective| {
        backend.state == State::Active && backend.condition == Condition::Down
    };
    // As in nearly every pool of nearly every decision.
    if !backends.values().any(is_down) {
        return BTreeSet::new();
    }
    let since_ns = |name: &str| known.get(name).map_or(0, |known| known.since_ns);
    let tiers: BTreeSet<u8> = backends.values().map(|backend| backend.tier).collect();
    let of_tier = |tier: u8| {
        let of_it = || backends.iter().filter(move |(_, backend)| backend.tier == tier);
        let room = (of_it().count() * usize::from(max_percent) / 100).max(1);
        let down = of_it().filter(|(_, backend)| is_down(backend));
        let mut down: Vec<_> = down.map(|(name, _)| (since_ns(name), name)).collect();
        down.sort_unstable();
        down.into_iter().skip(room).map(|(_, name)| name.clone())
    };
    tiers.into_iter().flat_map(of_tier).collect()
}

/// Whether somebody of a pool is in use only because too many would be out.
pub fn is_sparing(pool: &EffectivePool) -> bool {
    pool.values().any(|backend| backend.spared)
}
