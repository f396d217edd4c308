//! The end of a transition: which pins have expired, and which slots have come to rest.
//!
//! A plan leaves slots in transition behind: `previous` set, `consult` set. From then on this runs
//! about once a second over the pin table and does what only time can decide:
//! - the window of a slot closes one idle time-out after its change: every flow older than the
//!   change has shown itself by then, and been pinned, or is gone; `previous` is cleared;
//! - a pin that has not been used for its time-out, or says what its slot says, is removed;
//! - a slot without `previous` whose last pin has gone is clean again.
//!
//! It also counts the flows that are pinned to each backend, which is how a drain knows its end.
//! Pure: time and pins come in, removals and slots go out.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::abi::{BackendIndex, Pin, Slot, Ticks};
use lb_common::config::{self, Desired};
use lb_common::hash;
use lb_common::image::Image;

use super::ids::Ids;

/// An embryonic pin lives this long: a handshake that takes longer has failed.
const EMBRYONIC_TICKS: u16 = 10;

/// How long a flow may be silent before it counts as ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdleTimeouts {
    /// Of TCP, and of the window after a change, ns.
    pub flow_ns: u64,
    /// Of UDP, ns.
    pub udp_ns: u64,
}

/// The idle time-outs of a configuration's pools, by index.
pub fn idle_timeouts(desired: &Desired, ids: &Ids) -> BTreeMap<u32, IdleTimeouts> {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let timeouts = |(name, pool): (&String, &config::Pool)| {
        let (flow_ns, udp_ns) = (ns(pool.flow_idle_timeout), ns(pool.udp_idle_timeout));
        Some((ids.pool(name)?, IdleTimeouts { flow_ns, udp_ns }))
    };
    desired.pools.iter().filter_map(timeouts).collect()
}

/// The slots of one pool that one change has put in transition.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    pool: u32,
    closes_at_ns: u64,
    slots: Vec<u32>,
}

/// The windows that are open. Not stored: after a restart each slot in transition gets a new one,
/// which at worst keeps a `previous` for longer than it need be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    /// Opens a window for every slot that has a `previous` in `after` and had none in `before`.
    pub fn open(
        &mut self,
        before: &Image,
        after: &Image,
        timeouts: &BTreeMap<u32, IdleTimeouts>,
        now_ns: u64,
    ) {
        // A pool that keeps no flows has no slot left in transition: should it keep them again,
        // an old window must not close a new transition.
        let keeps = |pool: &u32| timeouts.get(pool).is_some_and(|timeouts| timeouts.flow_ns > 0);
        self.0.retain(|window| after.pools.contains_key(&window.pool) && keeps(&window.pool));
        for (pool, entry) in &after.pools {
            let old = before.pools.get(pool).map(|entry| entry.table);
            if old == Some(entry.table) {
                continue;
            }
            let had = |slot: u32| {
                let place = old.filter(|old| old.slots() == entry.table.slots());
                place.is_some_and(|old| before.slot(old, slot).previous() != BackendIndex::NONE)
            };
            let slots: Vec<_> = (0..)
                .zip(after.table(entry.table))
                .filter(|(number, slot)| slot.previous() != BackendIndex::NONE && !had(*number))
                .map(|(number, _)| number)
                .collect();
            if !slots.is_empty() {
                let wait_ns = timeouts.get(pool).map_or(0, |timeouts| timeouts.flow_ns);
                let closes_at_ns = now_ns.saturating_add(wait_ns);
                self.0.push(Window { pool: *pool, closes_at_ns, slots });
            }
        }
    }

    /// The slots whose window has closed by now, by pool; they are forgotten here.
    fn close(&mut self, now_ns: u64) -> Vec<(u32, Vec<u32>)> {
        let is_closed = |window: &mut Window| window.closes_at_ns <= now_ns;
        self.0.extract_if(.., is_closed).map(|window| (window.pool, window.slots)).collect()
    }
}

/// What a sweep found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Pins to remove: position in the table, and what must still be there.
    pub expired: Vec<(usize, Pin)>,
    /// Slots that change: pool, number, new content.
    pub slots: Vec<(u32, u32, Slot)>,
    /// Live pins by backend.
    pub flows: BTreeMap<BackendIndex, u64>,
    /// Slots still in transition, over all pools.
    pub restless: usize,
}

/// A pool during a sweep.
struct Pool {
    slots: Vec<Slot>,
    /// Whether a pin keeps the slot in transition.
    held: Vec<bool>,
    timeouts: IdleTimeouts,
}

/// Goes over all pins, in the order of the table, and over the slots in transition.
pub fn sweep(
    image: &Image,
    windows: &mut Windows,
    pins: impl Iterator<Item = Pin>,
    timeouts: &BTreeMap<u32, IdleTimeouts>,
    now_ns: u64,
) -> Swept {
    let mut swept = Swept::default();
    let mut pools = restless_pools(image, timeouts);
    for (pool, slots) in windows.close(now_ns) {
        for number in slots {
            let slot = pools.get_mut(&pool).and_then(|pool| pool.slots.get_mut(number as usize));
            if let Some(slot) = slot {
                *slot = slot.without_previous();
            }
        }
    }
    sweep_pins(image, &mut pools, pins, Ticks::at(now_ns), &mut swept);
    for (pool, Pool { mut slots, held, .. }) in pools {
        for (slot, held) in slots.iter_mut().zip(held) {
            if slot.previous() == BackendIndex::NONE && !held {
                *slot = Slot::clean(slot.current());
            }
        }
        swept.restless += slots.iter().filter(|slot| slot.consult()).count();
        let before = image.pools.get(&pool).map(|entry| image.table(entry.table));
        let changed = (0..).zip(before.into_iter().flatten()).zip(slots);
        swept.slots.extend(
            changed
                .filter(|((_, before), after)| before != after)
                .map(|((number, _), after)| (pool, number, after)),
        );
    }
    swept
}

/// The pools that have a slot in transition.
fn restless_pools(image: &Image, timeouts: &BTreeMap<u32, IdleTimeouts>) -> BTreeMap<u32, Pool> {
    let restless = |(index, entry): (&u32, &lb_common::abi::PoolEntry)| {
        let slots: Vec<_> = image.table(entry.table).collect();
        let timeouts = timeouts.get(index).copied()?;
        let held = vec![false; slots.len()];
        slots.iter().any(|slot| slot.consult()).then_some((*index, Pool { slots, held, timeouts }))
    };
    image.pools.iter().filter_map(restless).collect()
}

fn sweep_pins(
    image: &Image,
    pools: &mut BTreeMap<u32, Pool>,
    pins: impl Iterator<Item = Pin>,
    now: Ticks,
    swept: &mut Swept,
) {
    // The table may hold a million pins, so a backend's pool is found by index, not by search.
    let mut pool_of = vec![u32::MAX; usize::from(BackendIndex::MAX) + 1];
    for (index, entry) in &image.backends {
        if let Some(place) = pool_of.get_mut(usize::from(index.value())) {
            *place = entry.pool;
        }
    }
    let mut flows = vec![0_u64; pool_of.len()];
    for (position, pin) in pins.enumerate().filter(|(_, pin)| !pin.is_empty()) {
        let backend = usize::from(pin.backend().value());
        let pool = pool_of.get(backend).and_then(|pool| pools.get_mut(pool));
        if pool.is_some_and(|pool| hold(pool, pin, now)) {
            if let Some(count) = flows.get_mut(backend) {
                *count += 1;
            }
        } else {
            swept.expired.push((position, pin));
        }
    }
    swept.flows = (0..)
        .zip(flows)
        .filter(|(_, count)| *count > 0)
        .filter_map(|(index, count)| Some((BackendIndex::new(index)?, count)))
        .collect();
}

/// Whether a pin lives on, and so keeps its slot in transition.
fn hold(pool: &mut Pool, pin: Pin, now: Ticks) -> bool {
    let limit = if pin.is_embryonic() {
        EMBRYONIC_TICKS
    } else {
        ticks(if pin.is_udp() { pool.timeouts.udp_ns } else { pool.timeouts.flow_ns })
    };
    let number = hash::slot(pin.tag(), u32::try_from(pool.slots.len()).unwrap_or(u32::MAX));
    let Some(slot) = pool.slots.get(number as usize) else { return false };
    let redundant = slot.previous() == BackendIndex::NONE && pin.backend() == slot.current();
    if !slot.consult() || redundant || pin.last_seen().until(now) > limit {
        return false;
    }
    if let Some(held) = pool.held.get_mut(number as usize) {
        *held = true;
    }
    true
}

/// A duration in ticks, rounded up, so that no pin ends early.
fn ticks(ns: u64) -> u16 {
    u16::try_from((ns >> Ticks::NANOSECONDS_BITS) + 1).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
