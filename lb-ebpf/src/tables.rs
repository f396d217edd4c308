//! The BPF maps, and [`Tables`] over them.
//!
//! Sizes here are placeholders: the agent sets each map's real one from its configured limits.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use lb_common::abi::{
    BackendEntry, BackendIndex, PoolEntry, ServiceEntry, ServiceKey, Slot, TablePage,
};
use lb_common::tables::Tables;

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

/// The balancer's tables in the kernel.
pub(crate) struct Maps;

impl Tables for Maps {
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
