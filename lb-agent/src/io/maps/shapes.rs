//! What each map is like under given limits.

use aya::maps::MapType;
use lb_common::abi::{
    BackendEntry, Counter, PINS_PER_BUCKET, PinBucket, PoolEntry, QuicKey, SLOTS_PER_PAGE,
    ServiceDirectory, ServicePlace, TablePage, map,
};
use lb_common::config::{EGRESS_MAX, Limits};
use lb_common::services;
use lb_common::verdict::{PinEvent, Reason, Reply};

use crate::io::pins::MapShape;

/// `BPF_F_NO_PREALLOC`.
pub(super) const NO_PREALLOC: u32 = 1;
/// `BPF_F_RDONLY_PROG`, which the kernel sets on every device map (kernel/bpf/devmap.c).
const RDONLY_PROG: u32 = 1 << 7;
/// `BPF_F_MMAPABLE`.
pub(super) const MMAPABLE: u32 = 1 << 10;
/// `struct bpf_devmap_val`: an interface, and a program that none of ours has.
const EGRESS_BYTES: usize = 8;
/// A program, as user space names it.
const PROGRAM_BYTES: usize = 4;

/// How many elements each map has under `limits`, and everything else that must be as expected.
pub fn shapes(limits: &Limits) -> [MapShape; 18] {
    let array = |name, value_bytes, max_entries, flags| MapShape {
        name,
        map_type: MapType::Array,
        key_bytes: 4,
        value_bytes,
        max_entries,
        flags,
    };
    let counters = |name, max_entries| MapShape {
        map_type: MapType::PerCpuArray,
        ..array(name, size_of::<Counter>(), max_entries, 0)
    };
    let backends = backend_places(limits);
    let buckets = services::buckets(limits.services).saturating_mul(2);
    let places = services::places(limits.services).saturating_mul(2);
    [
        array(map::SERVICE_DIRECTORY, size_of::<ServiceDirectory>(), 1, MMAPABLE),
        array(map::SERVICE_BUCKETS, size_of::<u64>(), buckets, MMAPABLE),
        array(map::SERVICES, size_of::<ServicePlace>(), places, MMAPABLE),
        array(map::POOLS, size_of::<PoolEntry>(), limits.pools, MMAPABLE),
        array(map::TABLE_PAGES, size_of::<TablePage>(), table_pages(limits), MMAPABLE),
        array(map::BACKENDS, size_of::<BackendEntry>(), backends, MMAPABLE),
        array(map::PINS, size_of::<PinBucket>(), pin_buckets(limits), MMAPABLE),
        array(map::FRAGMENTS, size_of::<PinBucket>(), fragment_buckets(limits), MMAPABLE),
        array(map::LOADS, size_of::<u64>(), backends, MMAPABLE),
        array(map::TURNS, size_of::<u64>(), limits.pools, MMAPABLE),
        MapShape {
            name: map::QUIC_SERVERS,
            map_type: MapType::Hash,
            key_bytes: size_of::<QuicKey>(),
            value_bytes: size_of::<u64>(),
            max_entries: limits.backends,
            flags: NO_PREALLOC,
        },
        MapShape {
            map_type: MapType::DevMapHash,
            ..array(map::EGRESS, EGRESS_BYTES, EGRESS_MAX, RDONLY_PROG)
        },
        MapShape {
            map_type: MapType::PerCpuArray,
            ..array(map::REPLY_BUDGETS, size_of::<u64>(), Reply::COUNT, 0)
        },
        MapShape { map_type: MapType::ProgramArray, ..array(map::UNUSUAL, PROGRAM_BYTES, 1, 0) },
        counters(map::REASON_COUNTERS, Reason::COUNT),
        counters(map::PIN_COUNTERS, PinEvent::COUNT),
        counters(map::SERVICE_COUNTERS, limits.services),
        counters(map::BACKEND_COUNTERS, backends),
    ]
}

/// Buckets of the pin table under `limits`.
#[expect(clippy::cast_possible_truncation, reason = "8")]
pub const fn pin_buckets(limits: &Limits) -> u32 {
    limits.pins / PINS_PER_BUCKET as u32
}

/// Buckets of the fragment table under `limits`.
#[expect(clippy::cast_possible_truncation, reason = "8")]
pub const fn fragment_buckets(limits: &Limits) -> u32 {
    limits.fragments / PINS_PER_BUCKET as u32
}

/// Pages of the table map under `limits`.
pub const fn table_pages(limits: &Limits) -> u32 {
    limits.table_slots.div_ceil(SLOTS_PER_PAGE)
}

/// Elements of the arrays by backend index, of which 0 means "none".
pub const fn backend_places(limits: &Limits) -> u32 {
    limits.backends.saturating_add(1)
}
