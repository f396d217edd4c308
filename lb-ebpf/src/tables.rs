//! The BPF maps, and [`Tables`] over them.
//!
//! Sizes here are placeholders: the agent sets each map's real one from its configured limits.

use core::arch::asm;
use core::cell::UnsafeCell;

use aya_ebpf::Global;
use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC};
use aya_ebpf::helpers::generated::bpf_ktime_get_coarse_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, DevMapHash, HashMap, PerCpuArray};
use lb_common::abi::{
    BackendEntry, BackendIndex, PINS_PER_BUCKET, Pin, PinBucket, PoolEntry, QuicKey,
    ServiceDirectory, ServiceEntry, ServiceHalf, ServiceKey, ServicePlace, Slot, TablePage,
    pin_bucket,
};
use lb_common::datapath::{Arrival, owner, take_from_budget};
use lb_common::tables::{OuterHeaders, Pins, Tables};
use lb_common::verdict::{PinEvent, Reply};

use crate::stats;

/// Memory-mapped by the agent, as are the buckets and places that it leads to.
#[map]
static SERVICE_DIRECTORY: Array<ServiceDirectory> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static SERVICE_BUCKETS: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static SERVICES: Array<ServicePlace> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static POOLS: Array<PoolEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Memory-mapped by the agent: a table is written by copy, page by page.
#[map]
static TABLE_PAGES: Array<TablePage> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Memory-mapped for its alignment: elements of a mappable array start on a page, so that each
/// entry of 64 bytes is one cache line.
#[map]
static BACKENDS: Array<BackendEntry> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Memory-mapped by the agent, which expires pins and counts them.
#[map]
static PINS: Array<PinBucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Memory-mapped for its alignment, like the pins.
#[map]
static FRAGMENTS: Array<PinBucket> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Memory-mapped by the agent, which counts anew now and then.
#[map]
static LOADS: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static TURNS: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Without memory set aside: most configurations have no such servers.
#[map]
static QUIC_SERVERS: HashMap<QuicKey, u64> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

#[map]
static EGRESS: DevMapHash = DevMapHash::with_max_entries(1, 0);

#[map]
static REPLY_BUDGETS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Reply::COUNT, 0);

/// Number of buckets in [`FRAGMENTS`]; [`lb_common::abi::global::FRAGMENT_BUCKETS`].
#[unsafe(no_mangle)]
static FRAGMENT_BUCKETS: Global<u32> = Global::new(1);

/// UDP port of GUE; [`lb_common::abi::global::GUE_PORT`].
#[unsafe(no_mangle)]
static GUE_PORT: Global<u32> = Global::new(0);

/// Bits of outer sources that the hash fills; [`lb_common::abi::global::SOURCE_SPREAD_V4`].
#[unsafe(no_mangle)]
static SOURCE_SPREAD_V4: Global<u32> = Global::new(0);

/// The same of IPv6; [`lb_common::abi::global::SOURCE_SPREAD_V6`].
#[unsafe(no_mangle)]
static SOURCE_SPREAD_V6: Global<[u32; 4]> = Global::new([0; 4]);

/// Time between replies; [`lb_common::abi::global::REPLY_INTERVALS_NS`].
#[unsafe(no_mangle)]
static REPLY_INTERVALS_NS: Global<[u64; Reply::ALL.len()]> = Global::new([0; Reply::ALL.len()]);

/// Number of buckets in [`PINS`]; [`lb_common::abi::global::PIN_BUCKETS`].
#[unsafe(no_mangle)]
static PIN_BUCKETS: Global<u32> = Global::new(1);

/// The balancer's tables in the kernel.
pub(crate) struct Maps;

impl OuterHeaders for Maps {
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

impl Tables for Maps {
    type Pins = Bucket;

    #[inline]
    fn owner(&self, slot: Slot, arrival: &Arrival) -> BackendIndex {
        index_of(transition_owner(slot.word(), arrival.pool, arrival.hash, arrival.flags()))
    }

    #[inline]
    fn pins(&self, hash: u64) -> Option<&Bucket> {
        bucket(PINS.get_ptr(pin_bucket(hash, PIN_BUCKETS.load())))
    }

    #[inline]
    fn fragments(&self, hash: u64) -> Option<&Bucket> {
        bucket(FRAGMENTS.get_ptr(pin_bucket(hash, FRAGMENT_BUCKETS.load())))
    }

    /// By the coarse clock: the same as the fine one, renewed with every timer tick, which is often
    /// enough for pins; and half the price (Linux 5.11, d05512618056).
    #[inline]
    fn now_ns(&self) -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_coarse_ns() }
    }

    #[inline]
    fn next_turn(&self, pool: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "turns count modulo 2^32")]
        TURNS.get_ptr_mut(pool).map_or(0, |turn| fetch_add_one(turn) as u32)
    }

    #[inline]
    fn load(&self, backend: BackendIndex) -> u64 {
        let load = LOADS.get_ptr(u32::from(backend.value()));
        // SAFETY: an aligned word of the map's element, which lives as long as the program; other
        // CPUs change it by atomic instructions.
        load.map_or(0, |load| unsafe { load.read_volatile() })
    }

    #[inline]
    fn count_flow(&self, backend: BackendIndex) {
        if let Some(load) = LOADS.get_ptr_mut(u32::from(backend.value())) {
            fetch_add_one(load);
        }
    }

    #[inline]
    fn quic_server(&self, key: &QuicKey) -> Option<BackendIndex> {
        // SAFETY: the element is one aligned word, which stays readable until this program returns
        // (RCU).
        let index = unsafe { QUIC_SERVERS.get(key) }?;
        #[expect(clippy::cast_possible_truncation, reason = "an index of 15 bits")]
        Some(index_of(*index as u32))
    }

    #[inline]
    fn leaves_by(&self, ifindex: u32) -> bool {
        EGRESS.redirect(ifindex, 0).is_ok()
    }

    #[inline]
    fn may_reply(&self, reply: Reply) -> bool {
        let Some(due_ns) = REPLY_BUDGETS.get_ptr_mut(reply.index()) else { return false };
        // SAFETY: this CPU's element, which lives as long as the program and which nobody else
        // writes.
        let due_ns = unsafe { &mut *due_ns };
        let [errors_ns, echoes_ns] = REPLY_INTERVALS_NS.load();
        let interval_ns = match reply {
            Reply::Error => errors_ns,
            Reply::Echo => echoes_ns,
        };
        match take_from_budget(*due_ns, self.now_ns(), interval_ns) {
            Some(next_ns) => {
                *due_ns = next_ns;
                true
            }
            None => false,
        }
    }

    #[inline]
    fn count_pin(&self, event: PinEvent) {
        stats::count_pin(event);
    }

    #[inline]
    fn service(&self, key: &ServiceKey) -> Option<&ServiceEntry> {
        let directory = SERVICE_DIRECTORY.get(0)?;
        // SAFETY: an aligned word of the map's element; the agent changes it by one store.
        let current = unsafe { (&raw const directory.current).read_volatile() };
        let halves = (&raw const directory.halves).cast::<ServiceHalf>();
        let number = (current & 1) as usize;
        // Its address is computed from the word that was read, not chosen by it, so that a weakly
        // ordered CPU reads what is there after that word.
        // SAFETY: one of two.
        let half = unsafe { halves.add(number) };
        // SAFETY: the current half, its buckets and its places stay as they are until this program
        // has returned: the agent waits for that before it writes to them again.
        let half = unsafe { &*half };
        let hash = half.hash(key);
        let multiplier = SERVICE_BUCKETS.get(half.bucket(hash))?;
        let place = SERVICES.get(half.place(hash, *multiplier))?;
        (place.key == *key).then_some(&place.entry)
    }

    #[inline]
    fn pool(&self, index: u32) -> Option<&PoolEntry> {
        POOLS.get(index)
    }

    #[inline]
    fn slot(&self, page: u32, offset: u32) -> Option<Slot> {
        let page = TABLE_PAGES.get_ptr(page)?.cast::<Slot>();
        // The mask says to the verifier what the caller has already seen to.
        let offset = (offset & (lb_common::abi::SLOTS_PER_PAGE - 1)) as usize;
        // SAFETY: the offset is masked to the number of slots in a page.
        let slot = unsafe { page.add(offset) };
        // SAFETY: inside the page, see above; the agent writes whole words of 4 bytes.
        Some(unsafe { slot.read() })
    }

    #[inline]
    fn backend(&self, index: BackendIndex) -> Option<&BackendEntry> {
        BACKENDS.get(u32::from(index.value()))
    }

    #[inline]
    fn count_service(&self, service: u32, bytes: usize) {
        stats::count_service(service, bytes);
    }

    #[inline]
    fn count_backend(&self, backend: BackendIndex, bytes: usize) {
        stats::count_backend(backend, bytes);
    }
}

/// The rules of a slot in transition, as a function of its own. The kernel verifies a global
/// function once, for any arguments, instead of once for every way a packet can be parsed; and the
/// ordinary path is not burdened with its registers.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn transition_owner(slot: u32, pool: u32, hash: u64, flags: u32) -> u32 {
    let arrival = Arrival::from_parts(pool, hash, flags);
    u32::from(owner(&Maps, Slot::from_word(slot), &arrival).value())
}

/// A word that was a backend's index, or 0.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "fifteen bits, as every index")]
fn index_of(word: u32) -> BackendIndex {
    BackendIndex::new((word & u32::from(BackendIndex::MAX)) as u16).unwrap_or(BackendIndex::NONE)
}

/// A bucket of the pins or of the fragments.
#[inline]
fn bucket<'m>(element: Option<*const PinBucket>) -> Option<&'m Bucket> {
    // SAFETY: a `Bucket` has the layout of the maps' elements, which live as long as the program,
    // and gives access to them by atomic instructions only.
    Some(unsafe { &*element?.cast::<Bucket>() })
}

/// Adds one to a word that other CPUs change too; what it was.
#[inline]
fn fetch_add_one(word: *mut u64) -> u64 {
    let mut value: u64 = 1;
    // SAFETY: `word` points to an aligned word of a map's element; the instruction adds `value` to
    // it and leaves in `value` what was there.
    unsafe {
        asm!(
            "{value} = atomic_fetch_add((u64 *)({word} + 0), {value})",
            word = in(reg) word,
            value = inout(reg) value,
        );
    }
    value
}

/// A bucket of the pin table, which all CPUs and the agent change at once.
#[repr(transparent)]
pub(crate) struct Bucket(UnsafeCell<[u64; PINS_PER_BUCKET]>);

impl Bucket {
    #[inline]
    fn word(&self, place: usize) -> *mut u64 {
        // The mask says to the verifier what the caller has already seen to.
        let place = place & (PINS_PER_BUCKET - 1);
        // SAFETY: the place is masked to the number of words in a bucket.
        unsafe { self.0.get().cast::<u64>().add(place) }
    }
}

impl Pins for Bucket {
    #[inline]
    fn load(&self, place: usize) -> Pin {
        // SAFETY: inside the bucket; an aligned word is read whole, and anew each time.
        Pin(unsafe { self.word(place).read_volatile() })
    }

    #[inline]
    fn replace(&self, place: usize, expected: Pin, new: Pin) -> bool {
        let word = self.word(place);
        let found: u64;
        // The target's compare-and-swap has no form in `core::sync::atomic`.
        // SAFETY: `word` points to an aligned word inside the bucket; the instruction compares it
        // with r0, stores `new` if they are equal, and leaves what it found in r0.
        unsafe {
            asm!(
                "r0 = cmpxchg_64({word} + 0, r0, {new})",
                word = in(reg) word,
                new = in(reg) new.0,
                inout("r0") expected.0 => found,
            );
        }
        found == expected.0
    }
}
