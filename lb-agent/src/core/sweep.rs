//! The end of a transition: which pins have expired, and which slots have come to rest.
//!
//! A plan leaves slots in transition behind: `previous` set, `consult` set. From then on this runs
//! about once a second over the pin table and does what only time can decide:
//! - the window of a slot closes one idle time-out after its change: every flow older than the
//!   change has shown itself by then, and been pinned, or is gone; `previous` is cleared;
//! - a pin that has not been used for its time-out, or says what its slot says, is removed;
//! - a slot without `previous` whose last pin has gone is clean again.
//!
//! In a pool whose scheduler places each flow no pin says what its slot says: they live for their
//! time-out, and a slot without `previous` is clean whatever is pinned.
//!
//! It also counts the flows that are pinned to each backend, which is how a drain knows its end,
//! and how many of them are under way, which is what the fewest connections are. Pure: time and pins
//! come in, removals and slots go out. The pin table may hold millions, so nothing is searched for
//! or allocated for a pin.

mod pool;
mod restless;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{BackendIndex, Pin, PinState, Slot, Ticks};
use lb_common::image::Image;

use pool::Pool;

pub use windows::{IdleTimeouts, Windows, idle_timeouts};

/// What a sweep found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Swept {
    /// Pins to remove: position in the table, and what must still be there.
    pub expired: Vec<(usize, Pin)>,
    /// Slots that change: pool, number, new content.
    pub slots: Vec<(u32, u32, Slot)>,
    /// Live pins by backend.
    pub flows: BTreeMap<BackendIndex, u64>,
    /// Those of them whose flow has not been closed.
    pub loads: BTreeMap<BackendIndex, u64>,
    /// Backends that slots in open windows name as `previous`.
    pub previous: BTreeSet<BackendIndex>,
    /// Slots still in transition, over all pools.
    pub restless: usize,
    /// Whether any pool's scheduler pins every flow, so that there is always something to sweep.
    pub pins_for_good: bool,
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
    let mut pools = pools(image, windows, timeouts, now_ns);
    sweep_pins(image, &mut pools, pins, Ticks::at(now_ns), &mut swept);
    for pool in pools {
        swept.pins_for_good |= pool.pins_every_flow;
        pool.settle(&mut swept);
    }
    windows.forget_settled();
    swept.previous = windows.previous();
    swept
}

/// The pools that may have pins: those with a slot in transition, and those that pin every flow.
fn pools<'s>(
    image: &'s Image,
    windows: &'s mut Windows,
    timeouts: &BTreeMap<u32, IdleTimeouts>,
    now_ns: u64,
) -> Vec<Pool<'s>> {
    let mut closed = windows.close(now_ns);
    let mut restless = windows.restless();
    let mut pools = Vec::new();
    for (index, entry) in &image.pools {
        let Some(timeouts) = timeouts.get(index) else { continue };
        let pool = Pool::new(*index, entry, *timeouts);
        let closed = closed.remove(index).unwrap_or_default();
        if let Some(restless) = restless.remove(index) {
            pools.push(pool.moving(image, entry.table, restless, closed));
        } else if pool.pins_every_flow {
            pools.push(pool);
        }
    }
    pools
}

/// One backend during a sweep.
#[derive(Clone, Copy)]
struct Backend {
    /// Place of its pool among those that may have pins; [`Backend::NO_POOL`] for none.
    pool: u32,
    flows: u32,
    load: u32,
}

impl Backend {
    const NO_POOL: u32 = u32::MAX;
    const UNKNOWN: Self = Self { pool: Self::NO_POOL, flows: 0, load: 0 };
}

fn sweep_pins(
    image: &Image,
    pools: &mut [Pool<'_>],
    pins: impl Iterator<Item = Pin>,
    now: Ticks,
    swept: &mut Swept,
) {
    let mut backends = backends(image, pools);
    for (position, pin) in pins.enumerate() {
        if pin.is_empty() {
            continue;
        }
        let backend = backends.get_mut(usize::from(pin.backend().value()));
        let Some(backend) = backend else { continue };
        let pool = pools.get_mut(backend.pool as usize);
        if pool.is_some_and(|pool| pool.holds(pin, now)) {
            backend.flows += 1;
            backend.load += u32::from(pin.state() != PinState::Closing);
        } else {
            swept.expired.push((position, pin));
        }
    }
    for (index, backend) in (0..).zip(backends).filter(|(_, backend)| backend.flows > 0) {
        let Some(index) = BackendIndex::new(index) else { continue };
        swept.flows.insert(index, backend.flows.into());
        if backend.load > 0 {
            swept.loads.insert(index, backend.load.into());
        }
    }
}

/// Every backend that a pin can name, by index.
fn backends(image: &Image, pools: &[Pool<'_>]) -> Vec<Backend> {
    let mut place_of = vec![Backend::NO_POOL; usize::from(u16::MAX) + 1];
    for (place, pool) in (0..).zip(pools) {
        if let Some(there) = place_of.get_mut(pool.index as usize) {
            *there = place;
        }
    }
    let mut backends = vec![Backend::UNKNOWN; usize::from(BackendIndex::MAX) + 1];
    for (index, entry) in &image.backends {
        let place = place_of.get(usize::from(entry.pool));
        if let Some((backend, place)) = backends.get_mut(usize::from(index.value())).zip(place) {
            backend.pool = *place;
        }
    }
    backends
}

#[cfg(test)]
mod tests;
