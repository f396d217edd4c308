//! The BPF maps, and [`Tables`] over them.
//!
//! Sizes here are placeholders: the agent sets each map's real one from its configured limits.

use core::arch::asm;
use core::cell::UnsafeCell;

use aya_ebpf::Global;
use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use lb_common::abi::{
    BackendEntry, BackendIndex, PINS_PER_BUCKET, Pin, PinBucket, PoolEntry, ServiceEntry,
    ServiceKey, Slot, TablePage, Ticks, pin_bucket,
};
use lb_common::datapath::{Arrival, owner};
use lb_common::tables::{Pins, Tables};
use lb_common::verdict::PinEvent;

use crate::stats;

#[map]
static SERVICES: HashMap<ServiceKey, ServiceEntry> = HashMap::with_max_entries(1, 0);

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

/// Number of buckets in [`PINS`]; [`lb_common::abi::global::PIN_BUCKETS`].
#[unsafe(no_mangle)]
static PIN_BUCKETS: Global<u32> = Global::new(1);

/// The balancer's tables in the kernel.
pub(crate) struct Maps;

impl Tables for Maps {
    type Pins = Bucket;

    #[inline]
    fn owner(&self, slot: Slot, arrival: &Arrival) -> BackendIndex {
        let flags = u32::from(arrival.opening) | u32::from(arrival.udp) << 1;
        // Fifteen bits, as every index: what the function returns was one.
        let index = transition_owner(slot.word(), arrival.pool, arrival.hash, flags) & 0x7fff;
        BackendIndex::new(index as u16).unwrap_or(BackendIndex::NONE)
    }

    #[inline]
    fn pins(&self, hash: u64) -> Option<&Bucket> {
        let bucket = PINS.get_ptr(pin_bucket(hash, PIN_BUCKETS.load()))?.cast::<Bucket>();
        // SAFETY: a `Bucket` has the layout of the map's elements, which live as long as the
        // program, and gives access to them by atomic instructions only.
        Some(unsafe { &*bucket })
    }

    #[inline]
    fn now(&self) -> Ticks {
        // SAFETY: the helper has no preconditions.
        Ticks::at(unsafe { bpf_ktime_get_ns() })
    }

    #[inline]
    fn count_pin(&self, event: PinEvent) {
        stats::count_pin(event);
    }

    #[inline]
    fn service(&self, key: &ServiceKey) -> Option<&ServiceEntry> {
        // SAFETY: the entry stays readable until this program returns (RCU). The agent replaces a
        // service's entry as a whole; should a removed one be reused under our eyes, its words are
        // those of another valid service.
        unsafe { SERVICES.get(key) }
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
    let arrival = Arrival { pool, hash, opening: flags & 1 != 0, udp: flags & 2 != 0 };
    u32::from(owner(&Maps, Slot::from_word(slot), &arrival).value())
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
