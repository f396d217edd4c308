//! lb-origin: takes the outer header off on origins whose kernel has no tunnel device for it.
//!
//! The decisions are in [`lb_common::datapath::decapsulate`]. It accepts configured sources and
//! VIPs only; all other tunnelled traffic is dropped, all ordinary traffic passes.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(missing_docs, unreachable_pub, reason = "aya's entry point macro makes such an item")]

mod counting;
mod frame;
mod shared;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, xdp_action};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{HashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use lb_common::abi::{AddressKey, Counter, PrefixKey};
use lb_common::datapath::decapsulate;
use lb_common::frame::Frame;
use lb_common::tables::OriginTables;
use lb_common::verdict::{OriginReason, Verdict};

use frame::XdpFrame;

/// A trie, since a balancer may fill part of its source from the flow's hash.
#[map]
static ORIGIN_SOURCES: LpmTrie<PrefixKey, u64> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);

#[map]
static ORIGIN_VIPS: HashMap<AddressKey, u64> = HashMap::with_max_entries(1, 0);

#[map]
static ORIGIN_COUNTERS: PerCpuArray<Counter> =
    PerCpuArray::with_max_entries(OriginReason::COUNT, 0);

/// UDP port that GUE packets come to, 0 for none; [`lb_common::abi::global::GUE_PORT`].
#[unsafe(no_mangle)]
static GUE_PORT: Global<u32> = Global::new(0);

/// The origin's sets in the kernel.
struct Maps;

impl OriginTables for Maps {
    #[inline]
    fn accepts_source(&self, source: &AddressKey) -> bool {
        ORIGIN_SOURCES.get(Key::new(PrefixKey::BITS, PrefixKey::of(source))).is_some()
    }

    #[inline]
    fn serves(&self, vip: &AddressKey) -> bool {
        ORIGIN_VIPS.get_ptr(vip).is_some()
    }
}

/// Entry point: one frame in, one verdict out.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn origin(ctx: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(&ctx);
    let bytes = frame.len();
    #[expect(clippy::cast_possible_truncation, reason = "a port, in a word for the loader's sake")]
    let gue_port = GUE_PORT.load() as u16;
    let reason = decapsulate(&mut frame, &Maps, gue_port);
    counting::add(ORIGIN_COUNTERS.get_ptr_mut(reason.index()), bytes);
    match reason.verdict() {
        Verdict::Pass | Verdict::Tx | Verdict::Redirect => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}
