//! The clock that pins are kept by, the one `bpf_ktime_get_coarse_ns` reads, and checks are timed
//! by.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC_COARSE`.
pub fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC_COARSE)
}

/// The same clock without the wait for a timer tick: nanoseconds of `CLOCK_MONOTONIC`.
pub fn precise_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

fn read(clock: ClockId) -> u64 {
    // It has no way to fail for these clocks.
    let now = clock_gettime(clock).map(std::time::Duration::from);
    now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}
