//! The clock that pins are kept by: the one `bpf_ktime_get_coarse_ns` reads.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC_COARSE`.
pub fn monotonic_ns() -> u64 {
    // It has no way to fail for this clock.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC_COARSE).map(std::time::Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
