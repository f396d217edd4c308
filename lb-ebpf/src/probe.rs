//! lb-probe: wraps health checks that go through the tunnel, on their way out of the balancer.
//!
//! A classifier at the egress of each interface of the configuration. The agent's probes are
//! connections of the balancer's own to a VIP, and carry a mark that names a backend; the packets of
//! such a connection get the outer headers that [`lb_common::datapath`] gives to a client's packet for
//! that backend, from the same entry of the same map. Whatever has no such mark goes on untouched, so
//! a filter that a dead agent has left behind does nothing. Whatever has one and cannot be wrapped is
//! dropped: as it is, it would reach a backend that some balancer chooses, and prove nothing.

#![no_std]
#![no_main]
#![expect(clippy::inline_always, reason = "a call would hide from the verifier what was checked")]
#![expect(missing_docs, unreachable_pub, reason = "aya's entry point macro makes such an item")]

#[path = "probe/frame.rs"]
mod frame;
mod shared;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, TC_ACT_OK, TC_ACT_REDIRECT, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::{bpf_redirect, bpf_skb_vlan_pop};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::TcContext;
use lb_common::abi::{BackendEntry, BackendIndex, Features, ProbeCount, ProbeMark};
use lb_common::datapath::{self, Context};
use lb_common::tables::OuterHeaders;
use lb_common::verdict::Reason;

use frame::SkbFrame;

/// The balancer's own, by its pin.
#[map]
static BACKENDS: Array<BackendEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Memory-mapped by the agent, which tells by it whether a probe was wrapped.
#[map]
static PROBE_COUNTS: Array<ProbeCount> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The cluster's hash seed; [`lb_common::abi::global::HASH_SEED`].
#[unsafe(no_mangle)]
static HASH_SEED: Global<[u64; 2]> = Global::new([0; 2]);

/// What the balancer may do; [`lb_common::abi::global::FEATURES`].
#[unsafe(no_mangle)]
static FEATURES: Global<u32> = Global::new(0);

/// UDP port of GUE; [`lb_common::abi::global::GUE_PORT`].
#[unsafe(no_mangle)]
static GUE_PORT: Global<u32> = Global::new(0);

/// Bits of outer sources that the hash fills; [`lb_common::abi::global::SOURCE_SPREAD_V4`].
#[unsafe(no_mangle)]
static SOURCE_SPREAD_V4: Global<u32> = Global::new(0);

/// The same of IPv6; [`lb_common::abi::global::SOURCE_SPREAD_V6`].
#[unsafe(no_mangle)]
static SOURCE_SPREAD_V6: Global<[u32; 4]> = Global::new([0; 4]);

/// The read-only globals.
struct Settings;

impl OuterHeaders for Settings {
    #[inline]
    fn gue_port(&self) -> u16 {
        #[expect(clippy::cast_possible_truncation, reason = "a port, in a word for the loader")]
        let port = GUE_PORT.load() as u16;
        port
    }

    #[inline]
    fn source_spread_v4(&self) -> u32 {
        SOURCE_SPREAD_V4.load()
    }

    #[inline]
    fn source_spread_v6(&self) -> [u32; 4] {
        SOURCE_SPREAD_V6.load()
    }
}

/// Entry point: one packet that is about to leave.
#[classifier]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn lb_probe(ctx: TcContext) -> i32 {
    // SAFETY: the context that the kernel called this program with; a word that it lets be read.
    let mark = unsafe { (*ctx.skb.skb).mark };
    if !ProbeMark::is_one(mark) {
        // Whatever filters come next decide.
        return TC_ACT_UNSPEC;
    }
    let index = ProbeMark::backend(mark);
    let Some(backend) = BACKENDS.get(u32::from(index.value())) else { return SHOT };
    match wrap(&ctx, backend) {
        Ok(action) => {
            count(index, None);
            action
        }
        Err(reason) => {
            count(index, Some(reason));
            SHOT
        }
    }
}

/// Not as it is.
const SHOT: i32 = TC_ACT_SHOT;

/// Wraps a packet for `backend` and sends it on its way; what the kernel is to do with it.
#[inline(always)]
fn wrap(ctx: &TcContext, backend: &BackendEntry) -> Result<i32, Reason> {
    // SAFETY: as in `lb_probe`.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    let features = Features(FEATURES.load());
    let context = Context { hash_seed: HASH_SEED.load(), ingress_ifindex: ifindex, features };
    let mut frame = SkbFrame::new(ctx, backend.encapsulation);
    let way_out = datapath::probe(&mut frame, &Settings, &context, backend)?;
    // It is one of the balancer's packets from here on, also for this program at another interface.
    ctx.set_mark(0);
    if way_out != Reason::Redirected {
        return Ok(TC_ACT_OK);
    }
    // The tag of the link that it was to leave by; without one this does nothing.
    // SAFETY: the context that the kernel called this program with; no reference into the packet is
    // alive.
    unsafe { bpf_skb_vlan_pop(ctx.skb.skb) };
    // SAFETY: the helper has no preconditions.
    let action = unsafe { bpf_redirect(backend.egress_ifindex, 0) };
    if action == i64::from(TC_ACT_REDIRECT) {
        Ok(TC_ACT_REDIRECT)
    } else {
        Err(Reason::WrongInterface)
    }
}

/// Counts what became of a packet for a backend.
#[inline(always)]
fn count(backend: BackendIndex, refused: Option<Reason>) {
    let Some(count) = PROBE_COUNTS.get_ptr_mut(u32::from(backend.value())) else { return };
    // SAFETY: the map's element, which lives as long as the program. The agent only reads it; should
    // another CPU count at this moment, one of the two is not counted, and the other is.
    let count = unsafe { &mut *count };
    match refused {
        None => count.wrapped = count.wrapped.wrapping_add(1),
        Some(reason) => {
            count.last_reason = u64::from(reason.index());
            count.refused = count.refused.wrapping_add(1);
        }
    }
}
