//! What the maps take of a host's memory. All of it is set aside when they are made.
//!
//! Callers: the agent, which says so before it makes them and in its status; `lb-ctl config validate`.

use super::desired::Limits;
use crate::abi::{BackendEntry, Counter, Pin, PoolEntry, ServiceDirectory, ServicePlace, Slot};
use crate::services;
use crate::verdict::{PinEvent, Reason, Reply};

/// Interfaces that packets may leave by, at most.
pub const EGRESS_MAX: u32 = 1024;

/// A bucket of a hash map whose entries are made one by one.
const BUCKET: u64 = 16;
/// A bucket of a device map (kernel/bpf/devmap.c).
const DEVICE_BUCKET: u64 = 8;
/// What a per-CPU array has for each element besides the elements.
const POINTER: u64 = 8;

/// Memory of the maps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MapMemory {
    /// Bytes on any host.
    pub fixed_bytes: u64,
    /// Bytes more for each possible CPU.
    pub per_cpu_bytes: u64,
}

impl MapMemory {
    /// Bytes on a host with so many possible CPUs.
    pub const fn on(&self, cpus: u64) -> u64 {
        self.fixed_bytes + self.per_cpu_bytes * cpus
    }
}

impl Limits {
    /// What maps of these sizes take.
    pub fn map_memory(&self) -> MapMemory {
        let Self { services, pools, backends, table_slots, pins, fragments } = *self;
        let service_buckets = u64::from(services::buckets(services));
        let service_places = u64::from(services::places(services));
        let [services, pools, backends] = [services, pools, backends].map(u64::from);
        // Index 0 of a backend means "none".
        let backend_places = backends + 1;
        let words = size::<u64>();
        // The word: where the program for unusual packets is.
        let arrays = size::<ServiceDirectory>()
            + words
            + 2 * (service_buckets * words + service_places * size::<ServicePlace>())
            + pools * (size::<PoolEntry>() + words)
            + backend_places * (size::<BackendEntry>() + words)
            + u64::from(table_slots) * size::<Slot>()
            + (u64::from(pins) + u64::from(fragments)) * size::<Pin>();
        let hashes = backends.next_power_of_two() * BUCKET
            + u64::from(EGRESS_MAX).next_power_of_two() * DEVICE_BUCKET;
        let counters =
            u64::from(Reason::COUNT) + u64::from(PinEvent::COUNT) + services + backend_places;
        let budgets = u64::from(Reply::COUNT);
        MapMemory {
            fixed_bytes: arrays + hashes + (counters + budgets) * POINTER,
            per_cpu_bytes: counters * size::<Counter>() + budgets * words,
        }
    }
}

const fn size<T>() -> u64 {
    size_of::<T>() as u64
}
