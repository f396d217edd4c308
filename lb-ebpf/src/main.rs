//! The balancer's XDP program: the kernel's end of the packet pipeline in lb-common.
//!
//! Everything that decides is in [`lb_common::datapath`]; this crate only adapts packet pointers,
//! maps and counters to it. The agent sets the maps' sizes and the globals before it loads this.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(missing_docs, unreachable_pub, reason = "aya's entry point macro makes such an item")]

mod frame;
mod shared;
mod stats;
mod tables;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use aya_ebpf::{EbpfContext, Global};
use aya_log_ebpf::debug;
use lb_common::datapath::{Context, process};
use lb_common::frame::Frame;
use lb_common::verdict::{Reason, Verdict};

use frame::XdpFrame;
use tables::Maps;

/// The cluster's hash seed; [`lb_common::abi::global::HASH_SEED`].
#[unsafe(no_mangle)]
static HASH_SEED: Global<[u64; 2]> = Global::new([0; 2]);

/// Entry point: one frame in, one verdict out.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn balancer(ctx: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(&ctx);
    let bytes = frame.len();
    #[expect(clippy::cast_possible_truncation, reason = "aya widens a 32-bit field")]
    let ingress_ifindex = ctx.ingress_ifindex() as u32;
    let context = Context { hash_seed: HASH_SEED.load(), ingress_ifindex };
    let reason = process(&mut frame, &Maps, &context);
    stats::count_reason(reason, bytes);
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Tx => xdp_action::XDP_TX,
        Verdict::Drop => {
            log_drop(&ctx, reason, bytes);
            xdp_action::XDP_DROP
        }
    }
}

/// One debug line per dropped packet. The log level is a read-only global, so unless the agent was
/// started with debug logs for the data plane the verifier removes this.
#[inline]
fn log_drop<C: EbpfContext>(ctx: &C, reason: Reason, bytes: usize) {
    debug!(ctx, "dropped: reason {}, {} bytes", reason.index(), bytes);
}
