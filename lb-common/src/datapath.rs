//! The packet path, one page: what happens to a frame from the wire to its verdict.
//!
//! The same functions run in the kernel (lb-ebpf, over packet pointers and BPF maps) and on the
//! host (tests and fuzzers, over a byte vector and an [`crate::image::Image`]). They have no loop
//! without a bound, no panic and no unsafe code. What is not for a service is passed on
//! untouched; a frame is written to only once it is certain to go.
//!
//! There are two ways through. [`ordinary`] takes what nearly all packets are: whole TCP and UDP
//! packets without IP options or extension headers. [`unusual`] takes any packet, and is a program
//! of its own in the kernel, so that options, fragments and ICMP cost ordinary packets nothing. What
//! both can do, both do alike.

#![expect(
    clippy::inline_always,
    reason = "both ways use the same steps, and the ordinary one must not pay for calls"
)]

mod budget;
mod classify;
mod decapsulate;
mod ecn;
mod encapsulate;
mod extensions;
mod fragments;
mod lookup;
mod probe;
mod quic;
mod reply;
mod schedule;
mod steer;
mod transition;

use crate::abi::{Features, TableRef};
use crate::frame::Frame;
use crate::tables::Tables;
use crate::verdict::Reason;

pub use budget::take_from_budget;
pub use classify::{Flow, Packet, Part, classify};
pub use decapsulate::decapsulate;
pub use extensions::{Walked, walk_extensions};
pub use probe::probe;
pub use reply::{QUOTE_V4_BYTES, QUOTE_V6_BYTES};
pub use steer::{flow_hash, pool_hash, slot_number};
pub use transition::{Arrival, owner};

use encapsulate::{Outer, Wrapping};
use steer::Choice;

/// What the program knows besides frame and tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The cluster's hash seed.
    pub hash_seed: [u64; 2],
    /// Interface the frame came in by.
    pub ingress_ifindex: u32,
    /// What may occur in the maps.
    pub features: Features,
}

/// Why a packet goes no further on a way through. As in [`Part`], no field is wider than the tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stop {
    /// It ends here.
    Ends(Reason),
    /// The ordinary way does not know such packets.
    Unusual,
    /// It is too large for the path to its backend, which takes so many bytes of it.
    TooBig(u32),
    /// It has no hop left for the way to its backend.
    HopLimit,
}

impl From<Reason> for Stop {
    #[inline(always)]
    fn from(reason: Reason) -> Self {
        Self::Ends(reason)
    }
}

/// Takes one frame through the balancer and says how it ended.
#[inline]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T, context: &Context) -> Reason {
    match ordinary(frame, tables, context) {
        Some(reason) => reason,
        None => unusual(frame, tables, context),
    }
}

/// The way of ordinary packets; `None`, and no change, for any other.
#[inline(always)]
pub fn ordinary<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    context: &Context,
) -> Option<Reason> {
    let ended = classify::ordinary(frame).and_then(|packet| {
        let choice = steer::choose(frame, tables, context, &packet)?;
        forward(frame, tables, context, &packet, &choice)
    });
    match ended {
        Ok(reason) | Err(Stop::Ends(reason)) => Some(reason),
        Err(Stop::Unusual | Stop::TooBig(_) | Stop::HopLimit) => None,
    }
}

/// The way of any packet.
#[inline]
pub fn unusual<F: Frame, T: Tables>(frame: &mut F, tables: &T, context: &Context) -> Reason {
    match classify(frame) {
        Ok(packet) => unusual_classified(frame, tables, context, &packet),
        Err(reason) => reason,
    }
}

/// The way of any packet, once [`classify`] has read its headers.
#[inline]
pub fn unusual_classified<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    context: &Context,
    packet: &Packet,
) -> Reason {
    let Some(packet) = packet.within_bounds() else { return Reason::Malformed };
    if packet.part == Part::Echo {
        return reply::echo(frame, tables, &packet);
    }
    let ended = fragments::choose(frame, tables, context, &packet)
        .and_then(|choice| forward(frame, tables, context, &packet, &choice));
    match ended {
        Ok(reason) | Err(Stop::Ends(reason)) => reason,
        Err(Stop::TooBig(mtu_bytes)) => reply::too_big(frame, tables, &packet, mtu_bytes),
        Err(Stop::HopLimit) => reply::hop_limit(frame, tables, &packet),
        // Only the ordinary way knows anything unusual.
        Err(Stop::Unusual) => Reason::OtherProtocol,
    }
}

/// Sends a packet to the backend chosen for it.
#[inline(always)]
fn forward<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    context: &Context,
    packet: &Packet,
    choice: &Choice,
) -> Result<Reason, Stop> {
    let received_bytes = frame.len();
    let backend = tables.backend(choice.backend).ok_or(Reason::NoBackend)?;
    let outer = Outer::of(packet, backend, context.features)?;
    let reason = encapsulate::way_out(tables, context, backend)?;
    let mut wrapping = Wrapping {
        packet,
        backend,
        hash: choice.hash,
        features: context.features,
        tables,
        l2_bytes: packet.l2_bytes,
    };
    outer.wrap(frame, &mut wrapping, reason)?;
    if let Some(service) = choice.service {
        tables.count_service(service, received_bytes);
    }
    tables.count_backend(choice.backend, received_bytes);
    Ok(reason)
}

/// The page and the offset in it of slot number `slot`.
#[inline(always)]
pub const fn slot_place(table: TableRef, slot: u32) -> (u32, u32) {
    use crate::abi::{SLOT_BITS, SLOTS_PER_PAGE};
    (table.first_page().wrapping_add(slot >> SLOT_BITS), slot & (SLOTS_PER_PAGE - 1))
}

#[cfg(test)]
mod tests;
