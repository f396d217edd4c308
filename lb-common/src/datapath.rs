//! The packet path, one page: what happens to a frame from the wire to its verdict.
//!
//! The same function runs in the kernel (lb-ebpf, over packet pointers and BPF maps) and on the
//! host (tests and fuzzers, over a byte vector and an [`crate::image::Image`]). It has no loop
//! without a bound, no panic and no unsafe code. What is not for a service is passed on
//! untouched; a frame is written to only once nothing can stop it any more.

mod classify;
mod decapsulate;
mod encapsulate;
mod lookup;
mod steer;
mod transition;

use crate::abi::TableRef;
use crate::frame::Frame;
use crate::tables::Tables;
use crate::verdict::Reason;

pub use classify::{Flow, Packet, classify};
pub use decapsulate::decapsulate;
pub use steer::flow_hash;
pub use transition::{Arrival, owner};

/// What the program knows besides frame and tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The cluster's hash seed.
    pub hash_seed: [u64; 2],
    /// Interface the frame came in by.
    pub ingress_ifindex: u32,
}

/// Takes one frame through the balancer and says how it ended.
#[inline]
pub fn process<F: Frame, T: Tables>(frame: &mut F, tables: &T, context: &Context) -> Reason {
    match balance(frame, tables, context) {
        Ok(()) => Reason::Forwarded,
        Err(reason) => reason,
    }
}

#[inline]
fn balance<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    context: &Context,
) -> Result<(), Reason> {
    let received_bytes = frame.len();
    let packet = classify(frame)?;
    let service = lookup::service(tables, &packet.flow).ok_or(Reason::NoService)?;
    if packet.l2_bytes + packet.ip_bytes > received_bytes {
        return Err(Reason::Truncated);
    }

    let pool = tables.pool(service.pool).ok_or(Reason::NoBackend)?;
    let hash = flow_hash(context.hash_seed, &packet.flow);
    let index =
        steer::backend(tables, (service.pool, pool), &packet, hash).ok_or(Reason::NoBackend)?;
    let backend = tables.backend(index).ok_or(Reason::NoBackend)?;

    encapsulate::admit(&packet, backend, context.ingress_ifindex)?;
    encapsulate::wrap(frame, &packet, backend, hash)?;

    tables.count_service(service.service, received_bytes);
    tables.count_backend(index, received_bytes);
    Ok(())
}

/// The page and the offset in it of slot number `slot`.
#[inline]
pub const fn slot_place(table: TableRef, slot: u32) -> (u32, u32) {
    use crate::abi::{SLOT_BITS, SLOTS_PER_PAGE};
    (table.first_page().wrapping_add(slot >> SLOT_BITS), slot & (SLOTS_PER_PAGE - 1))
}

#[cfg(test)]
mod tests;
