//! The driver: makes packets, calls a target with each, and undoes what the target did.
//!
//! A test-run does not put the packet back between repetitions, so a program that encapsulates
//! would work on its own output. Here every packet is written anew, header by header, with another
//! client; the target is called by a tail call from a subprogram, so that control comes back; and
//! the front of the frame is moved back afterwards, by nothing if the target did not move it. All
//! of that costs the same whatever the target does, and is subtracted as the cost of `pass`.

#![expect(
    clippy::cast_possible_truncation,
    reason = "numbers of a few bits, masked where they are made"
)]

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_xdp_adjust_head};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use lb_common::bench::{BATCHES, Driver, NOT_CALLED, PACKETS_PER_RUN, RUNS_PER_BATCH, VERDICTS};
use lb_common::frame::Frame;

use crate::frame::XdpFrame;
use crate::packets::prepare;

/// What is to be done, and what came of it; the generator of live frames takes its job from here
/// too.
#[map]
pub(crate) static DRIVER: Array<Driver> = Array::with_max_entries(1, 0);

/// Candidates of one run of the benchmark; the runner fills it.
#[map]
static TARGETS: ProgramArray = ProgramArray::with_max_entries(64, 0);

/// Bits of a verdict's count while a run lasts: all counts in one register.
const COUNT_BITS: u32 = u64::BITS / VERDICTS as u32;

/// Entry point: one run of packets. The frame that the test-run gives must be as long as the job's
/// template.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn driver(ctx: XdpContext) -> u32 {
    let Some(driver) = DRIVER.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the runner makes one test-run at a time, so nobody else works on the only element.
    let Driver { job, report } = unsafe { &mut *driver };
    // Masked for the verifier; the runner asks for no more batches than there are.
    let batch = (report.runs / u64::from(RUNS_PER_BATCH)) as usize & (BATCHES - 1);
    let Some(span) = report.batches.get_mut(batch) else { return xdp_action::XDP_ABORTED };
    if span.start_ns == 0 {
        span.start_ns = now_ns();
    }
    let bytes = length(&ctx);
    let mut counts = 0;
    for _ in 0..PACKETS_PER_RUN {
        if prepare(&ctx, job).is_none() {
            report.lost_frames += 1;
            break;
        }
        job.next_packet = job.next_packet.wrapping_add(1);
        let verdict = call_target(ctx.ctx, job.target);
        counts += 1 << ((verdict & (VERDICTS as u32 - 1)) * COUNT_BITS);
        if !put_back(&ctx, bytes) {
            report.lost_frames += 1;
            break;
        }
    }
    report.runs += 1;
    if report.runs.is_multiple_of(u64::from(RUNS_PER_BATCH)) {
        span.end_ns = now_ns();
    }
    add_counts(&mut report.verdicts, counts);
    xdp_action::XDP_PASS
}

/// Calls the target; its verdict, or [`NOT_CALLED`].
///
/// A function of its own because a tail call does not come back: it ends the function it is made
/// in, with the target's return value.
#[inline(never)]
fn call_target(ctx: *mut xdp_md, target: u32) -> u32 {
    let ctx = XdpContext::new(ctx);
    // SAFETY: nothing here needs to be dropped, and the caller reads the frame's ends anew.
    unsafe { TARGETS.tail_call(&ctx, target) };
    // To the compiler this function always returns what stands here, and it would use that constant
    // in its caller.
    opaque(NOT_CALLED)
}

/// Moves the front of the frame to where it was; false if the frame is not as long as before then.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call would hide from the verifier what was checked")]
fn put_back(ctx: &XdpContext, bytes: u64) -> bool {
    let grown = length(ctx).wrapping_sub(bytes) as i32;
    // SAFETY: the context is the one this program was called with, and no reference into the frame
    // is alive.
    let result = unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), grown) };
    result == 0
}

/// Bytes of the frame as it is. Opaque, or the compiler would subtract the pointers' low halves,
/// which the verifier does not allow.
#[inline(always)]
#[expect(clippy::inline_always, reason = "the verifier knows the frame's ends only in registers")]
fn length(ctx: &XdpContext) -> u64 {
    opaque(XdpFrame::new(ctx).len() as u64)
}

/// The value, of which the compiler knows no more from here on.
#[inline(always)]
#[expect(clippy::inline_always, reason = "it is one store and one load")]
fn opaque<T: Copy>(value: T) -> T {
    // SAFETY: the pointer is to a local variable.
    unsafe { (&raw const value).read_volatile() }
}

fn add_counts(verdicts: &mut [u64; VERDICTS], counts: u64) {
    for (verdict, sum) in (0..).zip(verdicts) {
        *sum += counts >> (verdict * COUNT_BITS) & ((1 << COUNT_BITS) - 1);
    }
}

fn now_ns() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}
