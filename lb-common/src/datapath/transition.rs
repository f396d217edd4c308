//! Step 3b: a slot in transition. Who owns this flow: the old backend, the new one, or its pin?
//!
//! The rules, in this order:
//! 1. A pin to a usable backend of this pool wins, unless the packet opens a connection and that
//!    backend takes no new ones.
//! 2. A packet that opens a connection goes to `current` and is pinned there: its retransmission,
//!    and the rest of the connection, must find the same backend.
//! 3. Any other packet belongs to a flow older than the change: it goes to `previous`, if that is
//!    set and usable, and is pinned there.
//! 4. Else it goes to `current`, and is pinned there as long as `previous` is set: should the slot
//!    change again, this flow must not be taken for one of the old backend's.
//!
//! UDP opens nothing, so all of it is treated as old while `previous` is set, and as new after.
//! A pin made by an opening packet is embryonic until another packet confirms it; only embryonic
//! pins ever give way, so a flood of them cannot push out a live flow. A new connection that finds
//! no room for a pin goes to `previous`, where its next packets will go by rule 3.

use crate::abi::{BackendEntry, BackendIndex, PINS_PER_BUCKET, Pin, Slot, Ticks};
use crate::tables::{Pins, Tables};
use crate::verdict::PinEvent;

/// What the rules want to know of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Index of the pool it is for.
    pub pool: u32,
    /// Hash of its flow.
    pub hash: u64,
    /// Whether it opens a connection: TCP with SYN and without ACK.
    pub opening: bool,
    /// Whether it is UDP.
    pub udp: bool,
}

/// The backend of a packet in a slot whose `consult` is set; [`BackendIndex::NONE`] for nobody.
#[inline]
pub fn owner<T: Tables>(tables: &T, slot: Slot, arrival: &Arrival) -> BackendIndex {
    let now = tables.now();
    let previous = usable(tables, slot.previous(), arrival.pool);
    let Some(pins) = tables.pins(arrival.hash) else {
        return without_pin(slot, previous);
    };
    let found = find(pins, arrival.hash);
    if let Some((place, pin)) = found
        && let Some(flags) = flags(tables, pin.backend(), arrival.pool)
        && flags & BackendEntry::USABLE != 0
        && (!arrival.opening || flags & BackendEntry::ACCEPTS_NEW != 0)
    {
        touch(pins, place, pin, arrival.opening, now);
        return pin.backend();
    }

    let owner = if !arrival.opening && previous { slot.previous() } else { slot.current() };
    if owner == BackendIndex::NONE {
        return owner;
    }
    // With no previous backend, unpinned flows are the current one's: a pin would say nothing new.
    // One that is there and has just been refused must not be found again, though.
    if slot.previous() == BackendIndex::NONE && found.is_none() {
        return owner;
    }
    let pin = Pin::new(arrival.hash, owner, now).embryonic(arrival.opening).udp(arrival.udp);
    let pinned = match found {
        Some((place, old)) => pins.replace(place, old, pin),
        None => insert(tables, pins, pin),
    };
    if pinned { owner } else { without_pin(slot, previous) }
}

/// Where a flow goes that cannot be pinned: where its next packets will go.
#[inline]
const fn without_pin(slot: Slot, previous: bool) -> BackendIndex {
    if previous { slot.previous() } else { slot.current() }
}

/// The flags of a backend of this pool; `None` for nobody's or another pool's.
#[inline]
fn flags<T: Tables>(tables: &T, index: BackendIndex, pool: u32) -> Option<u8> {
    let backend = tables.backend(index)?;
    if index == BackendIndex::NONE || backend.pool != pool { None } else { Some(backend.flags) }
}

#[inline]
fn usable<T: Tables>(tables: &T, index: BackendIndex, pool: u32) -> bool {
    flags(tables, index, pool).is_some_and(|flags| flags & BackendEntry::USABLE != 0)
}

/// The pin of a flow, and its place.
#[inline]
fn find<P: Pins>(pins: &P, hash: u64) -> Option<(usize, Pin)> {
    for place in 0..PINS_PER_BUCKET {
        let pin = pins.load(place);
        if pin.is_of(hash) {
            return Some((place, pin));
        }
    }
    None
}

/// Notes that a flow is alive, at most once a tick. Should another CPU have changed the place
/// meanwhile, it has noted as much.
#[inline]
fn touch<P: Pins>(pins: &P, place: usize, pin: Pin, opening: bool, now: Ticks) {
    let seen = pin.seen_at(now).embryonic(pin.is_embryonic() && opening);
    if seen != pin {
        pins.replace(place, pin, seen);
    }
}

/// Puts a new pin in a free place, or in that of the embryonic pin which has waited longest.
#[inline]
fn insert<T: Tables>(tables: &T, pins: &T::Pins, new: Pin) -> bool {
    let mut victim = None;
    let mut waited = 0;
    for place in 0..PINS_PER_BUCKET {
        let pin = pins.load(place);
        if pin.is_empty() {
            if pins.replace(place, pin, new) {
                return true;
            }
            continue;
        }
        let age = pin.last_seen().until(new.last_seen());
        if pin.is_embryonic() && (victim.is_none() || age > waited) {
            victim = Some((place, pin));
            waited = age;
        }
    }
    if let Some((place, pin)) = victim
        && pins.replace(place, pin, new)
    {
        tables.count_pin(PinEvent::Evicted);
        return true;
    }
    tables.count_pin(PinEvent::Full);
    false
}

#[cfg(test)]
mod tests;
