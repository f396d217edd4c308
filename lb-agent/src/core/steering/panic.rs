//! When so few of a pool are up that it is rather the check that fails.
//!
//! A pool whose checks were not believed is believed again as a whole: what made all checks fail, a
//! lost link for instance, ends for all backends at once, but their probes come one after the other.
//! If the first that is up ended the panic, the others would be down for the rest of the interval,
//! and their connections, which live, would be reset elsewhere.

use super::{EffectivePool, Step};
use crate::core::effective::Effective;
use crate::core::health::Condition;

/// Whether somebody of a pool is used although its checks fail, and not only to keep enough in use.
pub fn is_panic_in_force(pool: &EffectivePool) -> bool {
    let is_it = |backend: &Effective| {
        backend.usable && backend.condition == Condition::Down && !backend.spared
    };
    pool.values().any(is_it)
}

/// Whether so few of those that have been asked are up that their checks are not believed. Not before
/// most have been asked: at the start nobody is up.
pub(super) fn is_panic<'a>(
    threshold_percent: u8,
    candidates: impl Iterator<Item = &'a Effective>,
) -> bool {
    let (mut up, mut down, mut unknown) = (0, 0, 0);
    for backend in candidates {
        match backend.condition {
            Condition::Up => up += 1,
            Condition::Down => down += 1,
            Condition::Unknown => unknown += 1,
        }
    }
    let asked = up + down;
    down > 0 && unknown < asked && up * 100 < usize::from(threshold_percent) * asked
}

impl Step<'_> {
    /// In a pool in panic, as long as somebody who is down passed its last check, what was acted on
    /// before stays: it is up, or down, within an interval or two. Whether that leaves anything out.
    pub(super) fn hold_panic(&mut self) -> bool {
        let Some(before) = self.before.filter(|before| is_panic_in_force(before)) else {
            return false;
        };
        if !self.known.values().any(|known| known.is_rising) {
            return false;
        }
        let mut is_behind = false;
        for (name, known) in &mut self.known {
            let Some(acted) = before.get(*name) else { continue };
            is_behind |= acted.condition != known.condition;
            known.condition = acted.condition;
        }
        is_behind
    }
}
