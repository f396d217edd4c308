//! Step 3c: fragments. Only the first of a datagram has ports; the others go where it went.
//!
//! Where it went is kept in a table of its own, laid out like that of the pins, for as long as a
//! receiver would wait for the rest (RFC 8200 §4.5, RFC 1122 §3.3.2). The oldest give way. Nobody
//! has to clean up: what is too old is not found.

use super::steer::{self, Choice};
use super::{Context, Packet, Part, Stop, lookup};
use crate::abi::{BackendEntry, BackendIndex, Family, PINS_PER_BUCKET, Pin};
use crate::frame::Frame;
use crate::hash;
use crate::tables::{Pins, Tables};
use crate::verdict::Reason;

/// How long the rest of a datagram is waited for: a minute, in ticks.
const LIFETIME_TICKS: u16 = 56;

/// The backend of any packet, whole or not.
#[inline]
pub(super) fn choose<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    context: &Context,
    packet: &Packet,
) -> Result<Choice, Stop> {
    match packet.part {
        Part::LaterFragment => follow(frame, tables, context, packet),
        Part::FirstFragment => {
            let choice = steer::choose(frame, tables, context, packet)?;
            remember(tables, datagram_hash(context.hash_seed, packet), choice.backend);
            Ok(choice)
        }
        Part::Whole | Part::Error | Part::Echo => steer::choose(frame, tables, context, packet),
    }
}

/// The hash of what fragments of one datagram have in common: addresses, identification and, of
/// IPv4, the protocol (RFC 791 §3.2; of IPv6 it may differ: RFC 8200 §4.5).
#[inline]
fn datagram_hash(seed: [u64; 2], packet: &Packet) -> u64 {
    let flow = &packet.flow;
    let [source_high, source_low] = flow.source;
    let [destination_high, destination_low] = flow.destination;
    let protocol = match flow.family {
        Family::V4 => flow.protocol,
        Family::V6 => 0,
    };
    let selector =
        u64::from(packet.datagram_id) | u64::from(protocol) << 32 | (flow.family as u64) << 40;
    hash::keyed(seed, [source_high, source_low, destination_high, destination_low, selector])
}

/// Notes where the first fragment goes.
#[inline]
fn remember<T: Tables>(tables: &T, hash: u64, backend: BackendIndex) {
    let Some(places) = tables.fragments(hash) else { return };
    let new = Pin::new(hash, backend, tables.now());
    let mut oldest = (0, places.load(0));
    for place in 0..PINS_PER_BUCKET {
        let there = places.load(place);
        let age = |pin: Pin| pin.last_seen().until(new.last_seen());
        if there.is_of(hash) || there.is_empty() {
            oldest = (place, there);
            break;
        }
        if age(there) > age(oldest.1) {
            oldest = (place, there);
        }
    }
    // Should another CPU have been quicker, its datagram stays and this one's rest is lost.
    places.replace(oldest.0, oldest.1, new);
}

/// Where the first fragment went.
#[inline]
fn follow<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    context: &Context,
    packet: &Packet,
) -> Result<Choice, Stop> {
    if !lookup::is_for_a_vip(tables, &packet.flow) {
        return Err(Reason::NoService.into());
    }
    if packet.l2_bytes + packet.ip_bytes > frame.len() {
        return Err(Reason::Truncated.into());
    }
    let hash = datagram_hash(context.hash_seed, packet);
    let places = tables.fragments(hash).ok_or(Reason::FragmentUnknown)?;
    let now = tables.now();
    let mut backend = BackendIndex::NONE;
    for place in 0..PINS_PER_BUCKET {
        let there = places.load(place);
        if there.is_of(hash) && there.last_seen().until(now) <= LIFETIME_TICKS {
            backend = there.backend();
            break;
        }
    }
    let entry = tables.backend(backend).ok_or(Reason::FragmentUnknown)?;
    if backend == BackendIndex::NONE || entry.flags & BackendEntry::USABLE == 0 {
        return Err(Reason::FragmentUnknown.into());
    }
    Ok(Choice { service: None, hash, backend })
}
