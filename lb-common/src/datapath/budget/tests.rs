//! The budget over time.

use super::*;

/// Replies granted when asked for every `step_ns` from `start_ns` on, `times` times.
fn granted(interval_ns: u64, start_ns: u64, step_ns: u64, times: u64) -> u64 {
    let mut due_ns = 0;
    let mut count = 0;
    for time in 0..times {
        if let Some(next_ns) = take_from_budget(due_ns, start_ns + time * step_ns, interval_ns) {
            due_ns = next_ns;
            count += 1;
        }
    }
    count
}

#[test]
fn a_flood_gets_the_rate_and_one_burst() {
    // 1,000 a second for 10 s, asked for 100,000 times a second: a burst is 100 ms' worth.
    let count = granted(1_000_000, 5_000_000_000, 10_000, 1_000_000);
    assert!((10_000..=10_102).contains(&count), "{count}");
}

#[test]
fn below_its_rate_nothing_is_refused() {
    assert_eq!(granted(1_000_000, 1, 1_000_000, 5_000), 5_000);
}

#[test]
fn a_rate_of_none_grants_nothing() {
    assert_eq!(granted(0, 5_000_000_000, 1_000_000_000, 100), 0);
}

#[test]
fn the_end_of_time_is_no_overflow() {
    assert_eq!(take_from_budget(u64::MAX, u64::MAX, 7), Some(u64::MAX));
}
