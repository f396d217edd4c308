//! Targets that do one thing of what the balancer does, and pass: what each costs by itself.
//!
//! Parts do not add up to the whole: on their own they neither share registers nor wait for one
//! another. They show what is worth a look.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::abi::{BackendIndex, Family, ServiceKey, Ticks, address_words};
use lb_common::bench::PART_POOL;
use lb_common::frame::Frame;
use lb_common::tables::Tables;
use lb_common::verdict::Reason;
use lb_common::wire::ipv4;
use lb_common::wire::protocol::TCP;

use crate::frame::XdpFrame;
use crate::stats;
use crate::tables::Maps;

/// 203.0.113.0, the VIP of all traffic that names no other.
const VIP: [u8; 16] = [203, 0, 113, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const PORT: u16 = 80;
const FRAME_BYTES: usize = 64;

/// Finds a service that is there.
#[xdp]
pub fn part_service(_ctx: XdpContext) -> u32 {
    const KEY: ServiceKey =
        ServiceKey::from_words(address_words(VIP), Family::V4, TCP, PORT.to_be());
    passed(Maps.service(&KEY).is_some())
}

/// Reads a pool, a slot of its table, and the slot's backend.
#[xdp]
pub fn part_backend(_ctx: XdpContext) -> u32 {
    let slot = Maps.pool(PART_POOL).and_then(|pool| Maps.slot(pool.table.first_page(), 0));
    let backend = slot.and_then(|slot| Maps.backend(slot.current()));
    passed(backend.is_some_and(|backend| backend.mtu_bytes > 0))
}

/// Counts a packet under its service, its backend and its reason.
#[xdp]
pub fn part_counters(_ctx: XdpContext) -> u32 {
    stats::count_service(0, FRAME_BYTES);
    stats::count_backend(BackendIndex::NONE, FRAME_BYTES);
    stats::count_reason(Reason::Forwarded, FRAME_BYTES);
    passed(true)
}

/// Makes room for an outer header.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn part_front(ctx: XdpContext) -> u32 {
    passed(XdpFrame::new(&ctx).push_front(ipv4::HEADER_BYTES).is_some())
}

/// Reads the clock, as a packet does whose slot is in transition.
#[xdp]
pub fn part_clock(_ctx: XdpContext) -> u32 {
    passed(Maps.now() != Ticks::at(u64::MAX))
}

#[inline]
fn passed(worked: bool) -> u32 {
    if worked { xdp_action::XDP_PASS } else { xdp_action::XDP_ABORTED }
}
