//! Counters, one set per CPU: nothing is shared, so nothing is locked.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use lb_common::abi::{BackendIndex, Counter};
use lb_common::verdict::{PinEvent, Reason};

use crate::counting::add;

#[map]
static REASON_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(Reason::COUNT, 0);

#[map]
static SERVICE_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);

#[map]
static BACKEND_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);

#[map]
static PIN_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(PinEvent::COUNT, 0);

/// Counts trouble with a pin; bytes have no meaning there.
#[inline]
pub(crate) fn count_pin(event: PinEvent) {
    add(PIN_COUNTERS.get_ptr_mut(event.index()), 0);
}

/// Counts how a packet ended.
#[inline]
pub(crate) fn count_reason(reason: Reason, bytes: usize) {
    add(REASON_COUNTERS.get_ptr_mut(reason.index()), bytes);
}

/// Counts a packet of a service.
#[inline]
pub(crate) fn count_service(service: u32, bytes: usize) {
    add(SERVICE_COUNTERS.get_ptr_mut(service), bytes);
}

/// Counts a packet sent to a backend.
#[inline]
pub(crate) fn count_backend(backend: BackendIndex, bytes: usize) {
    add(BACKEND_COUNTERS.get_ptr_mut(u32::from(backend.value())), bytes);
}
