//! The baseline: the balancer as it would be if it kept every flow, as Katran or Cilium do.
//!
//! The same pipeline, with one look-up more and one less: the flow is looked for in a kernel LRU
//! hash by its 5-tuple, and only a miss reads the Maglev slot, and inserts. The LRU lists are per
//! CPU (`BPF_F_NO_COMMON_LRU`), and the key is the 16 bytes that IPv4 needs, not the 40 of a map for
//! both IP versions: both flatter the baseline. It takes IPv4 without options or tags only.

use core::cell::Cell;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_NO_COMMON_LRU, xdp_action};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::XdpContext;
use lb_common::abi::{
    BackendEntry, BackendIndex, Features, PoolEntry, QuicKey, ServiceEntry, ServiceKey, Slot,
};
use lb_common::datapath::{Arrival, Context, ordinary};
use lb_common::frame::Frame;
use lb_common::tables::{OuterHeaders, Tables};
use lb_common::verdict::{PinEvent, Reply, Verdict};
use lb_common::wire::ethernet::Ethernet;
use lb_common::wire::ipv4::Ipv4;
use zerocopy::native_endian::U32;

use crate::frame::XdpFrame;
use crate::stats;
use crate::tables::{Bucket, Maps};

#[map]
static FLOWS: LruHashMap<[u64; 2], u64> = LruHashMap::with_max_entries(1, BPF_F_NO_COMMON_LRU);

/// The cluster's hash seed; [`lb_common::abi::global::HASH_SEED`].
#[unsafe(no_mangle)]
static HASH_SEED: Global<[u64; 2]> = Global::new([0; 2]);

/// Target: one frame in, one verdict out.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn lru_baseline(ctx: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(&ctx);
    let bytes = frame.len();
    let Some(key) = key(&frame) else { return xdp_action::XDP_PASS };
    #[expect(clippy::cast_possible_truncation, reason = "aya widens a 32-bit field")]
    let ingress_ifindex = ctx.ingress_ifindex() as u32;
    let features = Features::default();
    let context = Context { hash_seed: HASH_SEED.load(), ingress_ifindex, features };
    let tables = Lru { key, place: Cell::new((0, 0)) };
    let Some(reason) = ordinary(&mut frame, &tables, &context) else {
        return xdp_action::XDP_PASS;
    };
    stats::count_reason(reason, bytes);
    match reason.verdict() {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Tx | Verdict::Redirect => xdp_action::XDP_TX,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// The 5-tuple of an IPv4 packet. The pipeline knows it too, but hands out no more than its hash.
#[inline]
fn key(frame: &XdpFrame<'_>) -> Option<[u64; 2]> {
    let ip = frame.header::<Ipv4>(size_of::<Ethernet>())?;
    let addresses =
        [ip.source, ip.destination].map(|address| u64::from(u32::from_ne_bytes(address)));
    let ports = frame.header::<U32>(size_of::<Ethernet>() + size_of::<Ipv4>())?.get();
    let [source, destination] = addresses;
    Some([source | destination << 32, u64::from(ports) | u64::from(ip.protocol) << 32])
}

/// The balancer's maps behind a table of flows.
struct Lru {
    key: [u64; 2],
    /// Page and offset of the slot that a miss reads.
    place: Cell<(u32, u32)>,
}

impl OuterHeaders for Lru {
    #[inline]
    fn gue_port(&self) -> u16 {
        0
    }

    #[inline]
    fn source_spread_v4(&self) -> u32 {
        0
    }

    #[inline]
    fn source_spread_v6(&self) -> [u32; 4] {
        [0; 4]
    }
}

impl Tables for Lru {
    type Pins = Bucket;

    /// Notes where the slot is, and has [`Self::owner`] asked.
    #[inline]
    fn slot(&self, page: u32, offset: u32) -> Option<Slot> {
        self.place.set((page, offset));
        Some(Slot::in_transition(BackendIndex::NONE, BackendIndex::NONE))
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "an index was put in")]
    fn owner(&self, _slot: Slot, _arrival: &Arrival) -> BackendIndex {
        // SAFETY: the value is one word; should the entry be reused under our eyes, the word is
        // that of another flow, and names a backend too.
        if let Some(index) = unsafe { FLOWS.get(self.key) } {
            return BackendIndex::new(*index as u16).unwrap_or(BackendIndex::NONE);
        }
        let (page, offset) = self.place.get();
        let owner = Maps.slot(page, offset).map_or(BackendIndex::NONE, Slot::current);
        // An insertion that fails leaves the flow to the next packet.
        let _ = FLOWS.insert(self.key, u64::from(owner.value()), 0);
        owner
    }

    #[inline]
    fn service(&self, key: &ServiceKey) -> Option<&ServiceEntry> {
        Maps.service(key)
    }

    #[inline]
    fn pool(&self, index: u32) -> Option<&PoolEntry> {
        Maps.pool(index)
    }

    #[inline]
    fn backend(&self, index: BackendIndex) -> Option<&BackendEntry> {
        Maps.backend(index)
    }

    #[inline]
    fn pins(&self, _hash: u64) -> Option<&Bucket> {
        None
    }

    #[inline]
    fn now_ns(&self) -> u64 {
        Maps.now_ns()
    }

    // What follows belongs to features that the baseline does not have.

    #[inline]
    fn fragments(&self, _hash: u64) -> Option<&Bucket> {
        None
    }

    #[inline]
    fn next_turn(&self, _pool: u32) -> u32 {
        0
    }

    #[inline]
    fn load(&self, _backend: BackendIndex) -> u64 {
        0
    }

    #[inline]
    fn count_flow(&self, _backend: BackendIndex) {}

    #[inline]
    fn quic_server(&self, _key: &QuicKey) -> Option<BackendIndex> {
        None
    }

    #[inline]
    fn leaves_by(&self, _ifindex: u32) -> bool {
        false
    }

    #[inline]
    fn may_reply(&self, _reply: Reply) -> bool {
        false
    }

    #[inline]
    fn count_pin(&self, event: PinEvent) {
        Maps.count_pin(event);
    }

    #[inline]
    fn count_service(&self, service: u32, bytes: usize) {
        Maps.count_service(service, bytes);
    }

    #[inline]
    fn count_backend(&self, backend: BackendIndex, bytes: usize) {
        Maps.count_backend(backend, bytes);
    }
}
