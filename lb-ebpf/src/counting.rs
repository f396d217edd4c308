//! How a packet is counted.

use lb_common::abi::Counter;

/// Adds a packet of `bytes` to this CPU's element of a counter map.
#[inline]
pub(crate) fn add(counter: Option<*mut Counter>, bytes: usize) {
    let Some(counter) = counter else { return };
    // SAFETY: the map gave a pointer to this CPU's element; the program cannot be interrupted by
    // itself on one CPU, so nobody else holds a reference to it.
    let counter = unsafe { &mut *counter };
    counter.packets = counter.packets.wrapping_add(1);
    counter.bytes = counter.bytes.wrapping_add(bytes as u64);
}
