//! How often the balancer may speak for a VIP: a bucket of tokens as one word per CPU.
//!
//! The word is the time at which the next reply is due if replies keep to their rate; it may run
//! ahead of the clock by [`BURST_NS`]. That is the generic cell rate algorithm (ITU-T I.371).

/// How far ahead of its rate a budget may be spent.
const BURST_NS: u64 = 100_000_000;

/// The due time after one more reply at `now_ns`; `None` if it is not within the budget.
#[inline]
pub const fn take_from_budget(due_ns: u64, now_ns: u64, interval_ns: u64) -> Option<u64> {
    if interval_ns == 0 || due_ns > now_ns.saturating_add(BURST_NS) {
        return None;
    }
    let from_ns = if due_ns > now_ns { due_ns } else { now_ns };
    Some(from_ns.saturating_add(interval_ns))
}

#[cfg(test)]
mod tests;
