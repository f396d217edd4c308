//! How many may be out at once: a check that fails everywhere a little should not take a pool down.

use std::collections::{BTreeMap, BTreeSet};

use super::EffectivePool;
use crate::core::effective::Effective;
use crate::core::health::{Condition, Known};

/// Those that fail their checks and stay in use, because as many as may be are out already: the ones
/// that failed last.
pub(super) fn spared(
    backends: &EffectivePool,
    known: &BTreeMap<&str, Known>,
    max_percent: u8,
) -> BTreeSet<String> {
    let room = (backends.len() * usize::from(max_percent) / 100).max(1);
    let is_down = |backend: &Effective| backend.usable && backend.condition == Condition::Down;
    let since_ns = |name: &str| known.get(name).map_or(0, |known| known.since_ns);
    let mut down: Vec<_> = backends
        .iter()
        .filter(|(_, backend)| is_down(backend))
        .map(|(name, _)| (since_ns(name), name))
        .collect();
    down.sort_unstable();
    down.into_iter().skip(room).map(|(_, name)| name.clone()).collect()
}

/// Whether somebody of a pool is in use only because too many would be out.
pub fn is_sparing(pool: &EffectivePool) -> bool {
    pool.values().any(|backend| backend.spared)
}
