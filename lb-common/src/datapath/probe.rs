//! A packet of a health check on its way out of the balancer itself: wrapped for one backend, as a
//! client's packet for it would be. Which backend that is, the agent has chosen.

use super::encapsulate::{Outer, Wrapping};
use super::{Context, Stop, classify, steer};
use crate::abi::{BackendEntry, Features};
use crate::frame::Frame;
use crate::tables::OuterHeaders;
use crate::verdict::Reason;
use crate::wire::ethernet::Ethernet;

/// Wraps a packet that is about to leave by `context.ingress_ifindex`. [`Reason::Forwarded`] if that
/// is also the interface towards the backend, [`Reason::Redirected`] if it must leave by another.
///
/// # Errors
/// Why it cannot be wrapped. It must not leave then: as it is, it might reach any backend.
#[inline(always)]
pub fn probe<F: Frame, T: OuterHeaders>(
    frame: &mut F,
    tables: &T,
    context: &Context,
    backend: &BackendEntry,
) -> Result<Reason, Reason> {
    let packet = classify::ordinary(frame).map_err(reason)?;
    // A tag of the interface's own comes after this.
    if packet.l2_bytes != size_of::<Ethernet>() {
        return Err(Reason::NotIp);
    }
    if packet.l2_bytes + packet.ip_bytes > frame.len() {
        return Err(Reason::Truncated);
    }
    let outer = Outer::of(&packet, backend, context.features).map_err(reason)?;
    let way_out = if backend.egress_ifindex == context.ingress_ifindex {
        Reason::Forwarded
    } else if context.features.has(Features::REDIRECT) {
        Reason::Redirected
    } else {
        return Err(Reason::WrongInterface);
    };
    let mut wrapping = Wrapping {
        packet: &packet,
        backend,
        hash: steer::flow_hash(context.hash_seed, &packet.flow),
        features: context.features,
        tables,
        l2_bytes: size_of::<Ethernet>(),
    };
    outer.wrap(frame, &mut wrapping, way_out)?;
    Ok(way_out)
}

/// Nobody is told of what cannot be wrapped, so it ends as what it would have been told.
#[inline(always)]
const fn reason(stop: Stop) -> Reason {
    match stop {
        Stop::Ends(reason) => reason,
        Stop::Unusual => Reason::OtherProtocol,
        Stop::TooBig(_) => Reason::TooBig,
        Stop::HopLimit => Reason::HopLimit,
    }
}
