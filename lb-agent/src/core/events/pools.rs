//! What happens to a pool as a whole: panic, and the tier in use.

use std::collections::BTreeMap;

use lb_common::api::EventKind;

use super::Occurrence;
use crate::core::effective::{EffectivePool, State};
use crate::core::health::Condition;
use crate::core::steering::{is_panic_in_force, is_sparing};

/// Panics that begin or end, and tiers that come into use. A pool that is new has no tier of before.
pub fn of_pools(
    before: &BTreeMap<String, EffectivePool>,
    after: &BTreeMap<String, EffectivePool>,
) -> Vec<Occurrence> {
    let mut seen = Vec::new();
    for (name, pool) in after {
        let was = before.get(name);
        seen.extend(panic(name, was.is_some_and(is_panic_in_force), pool));
        seen.extend(sparing(name, was.is_some_and(is_sparing), pool));
        seen.extend(was.and_then(|was| tier(name, was, pool)));
    }
    seen
}

fn panic(name: &str, was_panic: bool, pool: &EffectivePool) -> Option<Occurrence> {
    let kind = match (was_panic, is_panic_in_force(pool)) {
        (false, true) => EventKind::PanicBegun,
        (true, false) => EventKind::PanicEnded,
        (false, false) | (true, true) => return None,
    };
    let with = |condition| pool.values().filter(|each| each.condition == condition).count();
    let (up, down) = (with(Condition::Up), with(Condition::Down));
    Some(Occurrence::new(kind, format!("pool {name}"), format!("{up} up, {down} down")))
}

fn sparing(name: &str, was_sparing: bool, pool: &EffectivePool) -> Option<Occurrence> {
    let kind = match (was_sparing, is_sparing(pool)) {
        (false, true) => EventKind::EjectionCapped,
        (true, false) => EventKind::EjectionUncapped,
        (false, false) | (true, true) => return None,
    };
    let spared = pool.values().filter(|each| each.spared).count();
    let reason = format!("{spared} fail their checks and are used");
    Some(Occurrence::new(kind, format!("pool {name}"), reason))
}

fn tier(name: &str, was: &EffectivePool, is: &EffectivePool) -> Option<Occurrence> {
    let (from, to) = (tier_in_use(was), tier_in_use(is));
    if from == to {
        return None;
    }
    let reason = match (from, to) {
        (_, None) => "no backend takes new flows".to_owned(),
        (Some(from), Some(to)) if from < to => format!("no backend of tier {from} takes new flows"),
        (None, Some(to)) => format!("a backend of tier {to} takes new flows"),
        (Some(_), Some(to)) => format!("a backend of tier {to} takes new flows again"),
    };
    let shown = |tier: Option<u8>| tier.map_or_else(|| "none".to_owned(), |tier| tier.to_string());
    let changed = Occurrence::new(EventKind::TierChanged, format!("pool {name}"), reason);
    Some(changed.between(&shown(from), &shown(to)))
}

/// The tier whose backends take new flows.
fn tier_in_use(pool: &EffectivePool) -> Option<u8> {
    let active = pool.values().find(|backend| backend.state == State::Active);
    active.map(|backend| backend.tier)
}
