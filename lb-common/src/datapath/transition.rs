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
//!
//! A pool whose scheduler places new flows follows the same rules in every slot, with the
//! scheduler's choice in the place of `current` for a new flow, which is always pinned. A packet
//! that opens nothing and has no pin, after a restart of everything or from another balancer, goes
//! by its slot as ever.

use super::schedule;
use crate::abi::{BackendEntry, BackendIndex, PINS_PER_BUCKET, Pin, PinState, Slot, Ticks};
use crate::tables::{Pins, Tables};
use crate::verdict::PinEvent;

/// What the rules want to know of a packet.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one packet")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Index of the pool it is for.
    pub pool: u32,
    /// Hash of its flow.
    pub hash: u64,
    /// Whether it opens a connection: TCP with SYN and without ACK.
    pub opening: bool,
    /// Whether it closes a connection: TCP with FIN or RST.
    pub closing: bool,
    /// Whether it is UDP.
    pub udp: bool,
    /// Whether it only quotes a packet of the flow: it goes where the flow goes and leaves no trace.
    pub quoted: bool,
    /// Whether the pool's scheduler places new flows, and so pins every one.
    pub scheduled: bool,
}

impl Arrival {
    /// The flags as one word, and back: [`Self::from_parts`].
    #[inline]
    pub const fn flags(&self) -> u32 {
        self.opening as u32
            | (self.closing as u32) << 1
            | (self.udp as u32) << 2
            | (self.quoted as u32) << 3
            | (self.scheduled as u32) << 4
    }

    /// An arrival from its pool, its hash and its flags.
    #[inline]
    pub const fn from_parts(pool: u32, hash: u64, flags: u32) -> Self {
        Self {
            pool,
            hash,
            opening: flags & 1 != 0,
            closing: flags & 1 << 1 != 0,
            udp: flags & 1 << 2 != 0,
            quoted: flags & 1 << 3 != 0,
            scheduled: flags & 1 << 4 != 0,
        }
    }

    /// The state of a pin that the packet makes.
    #[inline]
    const fn first_state(&self) -> PinState {
        if self.udp {
            PinState::Udp
        } else if self.opening {
            PinState::Embryonic
        } else if self.closing {
            PinState::Closing
        } else {
            PinState::Established
        }
    }

    /// The state of a pin that the packet finds.
    #[inline]
    const fn next_state(&self, state: PinState) -> PinState {
        match state {
            PinState::Udp => PinState::Udp,
            // Whatever else it says: a packet that opens, seen twice, is a connection that never
            // went on, and its pin has to give way to others.
            PinState::Embryonic if self.opening => PinState::Embryonic,
            _ if self.closing => PinState::Closing,
            PinState::Established | PinState::Embryonic => PinState::Established,
            // The same ports once more, after the connection before.
            PinState::Closing if self.opening => PinState::Embryonic,
            PinState::Closing => PinState::Closing,
        }
    }
}

/// The backend of a packet in a slot whose `consult` is set, or in a pool that pins every flow;
/// [`BackendIndex::NONE`] for nobody.
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
        if !arrival.quoted {
            touch(pins, place, pin, arrival, now);
        }
        return pin.backend();
    }
    if arrival.quoted {
        return without_pin(slot, previous);
    }

    let is_new = arrival.opening || arrival.udp && !previous;
    let placed = arrival.scheduled && is_new;
    let owner = if !arrival.opening && previous {
        slot.previous()
    } else if placed {
        place(tables, slot, arrival)
    } else {
        slot.current()
    };
    if owner == BackendIndex::NONE {
        return owner;
    }
    // With no previous backend, unpinned flows are the current one's: a pin would say nothing new.
    // One that is there and has just been refused must not be found again, though.
    if slot.previous() == BackendIndex::NONE && found.is_none() && !placed {
        return owner;
    }
    let pin = Pin::new(arrival.hash, owner, now).in_state(arrival.first_state());
    let pinned = match found {
        Some((place, old)) => pins.replace(place, old, pin),
        None => insert(tables, pins, pin),
    };
    if !pinned {
        return without_pin(slot, previous);
    }
    if placed {
        tables.count_flow(owner);
    }
    owner
}

/// The backend that the pool's scheduler gives a new flow to; the slot's if it gives it to nobody.
#[inline]
fn place<T: Tables>(tables: &T, slot: Slot, arrival: &Arrival) -> BackendIndex {
    let picked = schedule::pick(tables, arrival.pool, arrival.hash);
    if picked == BackendIndex::NONE { slot.current() } else { picked }
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
    if index == BackendIndex::NONE || u32::from(backend.pool) != pool {
        None
    } else {
        Some(backend.flags)
    }
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

/// Notes that a flow is alive, at most once a tick, and what has become of it. Should another CPU
/// have changed the place meanwhile, it has noted as much.
#[inline]
fn touch<P: Pins>(pins: &P, place: usize, pin: Pin, arrival: &Arrival, now: Ticks) {
    let seen = pin.seen_at(now).in_state(arrival.next_state(pin.state()));
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
        if pin.state() == PinState::Embryonic && (victim.is_none() || age > waited) {
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
