//! The balancer's XDP program: the kernel's end of the packet pipeline in lb-common.
//!
//! Everything that decides is in [`lb_common::datapath`]; this crate only adapts packet pointers,
//! maps and counters to it. The agent sets the maps' sizes and the globals before it loads this.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(clippy::inline_always, reason = "both ways use them, and neither may pay for calls")]
#![expect(missing_docs, unreachable_pub, reason = "aya's entry point macro makes such an item")]

mod counting;
mod frame;
mod shared;
mod stats;
mod tables;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{PerCpuArray, ProgramArray};
use aya_ebpf::programs::XdpContext;
use aya_ebpf::{EbpfContext, Global};
use aya_log_ebpf::debug;
use lb_common::abi::Features;
use lb_common::datapath::{Context, Packet, classify, ordinary, unusual_classified};
use lb_common::frame::Frame;
use lb_common::verdict::{Reason, Verdict};

use frame::XdpFrame;
use tables::Maps;

/// The cluster's hash seed; [`lb_common::abi::global::HASH_SEED`].
#[unsafe(no_mangle)]
static HASH_SEED: Global<[u64; 2]> = Global::new([0; 2]);

/// What may occur in the maps; [`lb_common::abi::global::FEATURES`].
#[unsafe(no_mangle)]
static FEATURES: Global<u32> = Global::new(0);

/// The packet that [`classify_packet`] has read, for [`unusual_packet`]. Not on the stack, of which
/// all functions together have 512 bytes.
#[map]
static PACKET: PerCpuArray<Packet> = PerCpuArray::with_max_entries(1, 0);

/// Where the program for unusual packets is. A tail call, since an ordinary packet would pay for a
/// function of its own as much as for all its look-ups; and a stack of its own.
#[map]
static UNUSUAL: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Entry point: one frame in, one verdict out.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn balancer(ctx: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(&ctx);
    let bytes = frame.len();
    let reason = ordinary(&mut frame, &Maps, &context(&ctx)).unwrap_or_else(|| {
        // SAFETY: the frame is as it came in, and nothing of this program is used again unless the
        // call fails.
        unsafe { UNUSUAL.tail_call(&ctx, 0) };
        // There is no such program, which the agent sees to before it attaches this one.
        Reason::OtherProtocol
    });
    finish(&ctx, reason, bytes)
}

/// The way of all other packets. Its steps are functions of their own, so that each is verified
/// once, and none needs stack while another runs.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn unusual(ctx: XdpContext) -> u32 {
    unusual_packet(ctx.ctx, classify_packet(ctx.ctx))
}

/// Reads any packet's headers and puts down what they say; the index of a [`Reason`] if it goes no
/// further, else [`Reason::COUNT`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn classify_packet(ctx: *mut xdp_md) -> u32 {
    let Some(packet) = PACKET.get_ptr_mut(0) else { return Reason::Malformed.index() };
    match classify(&XdpFrame::new(&XdpContext::new(ctx))) {
        Ok(read) => {
            // SAFETY: this CPU's element; programs on one CPU run one after the other, and this one
            // holds no reference to it.
            unsafe { packet.write(read) };
            Reason::COUNT
        }
        Err(reason) => reason.index(),
    }
}

/// The way of all other packets, once their headers have been read or refused.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn unusual_packet(ctx: *mut xdp_md, refused: u32) -> u32 {
    let ctx = XdpContext::new(ctx);
    let mut frame = XdpFrame::new(&ctx);
    let bytes = frame.len();
    let reason = match (Reason::ALL.get(refused as usize), PACKET.get_ptr(0)) {
        (Some(reason), _) => *reason,
        (None, Some(packet)) => {
            // SAFETY: this CPU's element, which `classify_packet` has just written.
            let packet = unsafe { &*packet };
            unusual_classified(&mut frame, &Maps, &context(&ctx), packet)
        }
        (None, None) => Reason::Malformed,
    };
    finish(&ctx, reason, bytes)
}

/// What the agent has set for this program, and the interface the frame came in by.
#[inline(always)]
fn context(ctx: &XdpContext) -> Context {
    #[expect(clippy::cast_possible_truncation, reason = "aya widens a 32-bit field")]
    let ingress_ifindex = ctx.ingress_ifindex() as u32;
    Context { hash_seed: HASH_SEED.load(), ingress_ifindex, features: Features(FEATURES.load()) }
}

/// Counts how a packet of `bytes` ended and gives the kernel its verdict.
#[inline(always)]
fn finish<C: EbpfContext>(ctx: &C, reason: Reason, bytes: usize) -> u32 {
    stats::count_reason(reason, bytes);
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Tx => xdp_action::XDP_TX,
        Verdict::Redirect => xdp_action::XDP_REDIRECT,
        Verdict::Drop => {
            log_drop(ctx, reason, bytes);
            xdp_action::XDP_DROP
        }
    }
}

/// One debug line per dropped packet. The log level is a read-only global, so unless the agent was
/// started with debug logs for the data plane the verifier removes this.
#[inline(never)]
fn log_drop<C: EbpfContext>(ctx: &C, reason: Reason, bytes: usize) {
    debug!(ctx, "dropped: reason {}, {} bytes", reason.index(), bytes);
}
