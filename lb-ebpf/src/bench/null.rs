//! The floor: the same outer header in front of every packet, without a look at the packet.
//!
//! Nothing is looked up, computed or counted, so no balancer that encapsulates can cost less.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::frame::{Frame, Header};
use zerocopy::native_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::frame::XdpFrame;

/// Ethernet and IPv4 header, in pieces that one instruction stores each.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct OuterV4 {
    words: [U64; 4],
    rest: U16,
}

/// Ethernet and IPv6 header, likewise.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct OuterV6 {
    words: [U64; 6],
    rest: U32,
    last: U16,
}

/// Next hop and own address; IPv4 in IPv4, 70 bytes, don't fragment, 64 hops, from 10.2.0.2 to
/// 10.3.0.2, checksum included.
const V4: [u8; size_of::<OuterV4>()] = [
    2, 0xbb, 0, 0, 0, 1, 2, 0xee, 0, 0, 0, 1, 0x08, 0x00, //
    0x45, 0, 0, 70, 0, 0, 0x40, 0, 64, 4, 0x26, 0xac, 10, 2, 0, 2, 10, 3, 0, 2,
];

/// The same for IPv6 in IPv6, from `fd00:2::2` to `fd00:3::2`.
const V6: [u8; size_of::<OuterV6>()] = [
    2, 0xbb, 0, 0, 0, 1, 2, 0xee, 0, 0, 0, 1, 0x86, 0xdd, //
    0x60, 0, 0, 0, 0, 66, 41, 64, //
    0xfd, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, //
    0xfd, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
];

/// Target: IPv4 in IPv4.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn null_v4(ctx: XdpContext) -> u32 {
    wrap(&ctx, size_of::<OuterV4>(), |outer: &mut OuterV4| {
        const OUTER: OuterV4 = zerocopy::transmute!(V4);
        for (to, from) in outer.words.iter_mut().zip(OUTER.words) {
            *to = from;
        }
        outer.rest = OUTER.rest;
    })
}

/// Target: IPv6 in IPv6.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn null_v6(ctx: XdpContext) -> u32 {
    wrap(&ctx, size_of::<OuterV6>(), |outer: &mut OuterV6| {
        const OUTER: OuterV6 = zerocopy::transmute!(V6);
        for (to, from) in outer.words.iter_mut().zip(OUTER.words) {
            *to = from;
        }
        outer.rest = OUTER.rest;
        outer.last = OUTER.last;
    })
}

/// Makes room for an IP header and writes the new front.
#[inline(always)]
fn wrap<T: Header>(ctx: &XdpContext, front_bytes: usize, write: impl FnOnce(&mut T)) -> u32 {
    const ETHERNET_BYTES: usize = 14;
    let mut frame = XdpFrame::new(ctx);
    let front =
        frame.push_front(front_bytes - ETHERNET_BYTES).and_then(|()| frame.header_mut::<T>(0));
    let Some(front) = front else { return xdp_action::XDP_ABORTED };
    write(front);
    xdp_action::XDP_TX
}
