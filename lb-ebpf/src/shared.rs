//! What both programs need to be programs: a way to count, a licence, and no way to panic.

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

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier refuses the program if any path leads here.
    loop {}
}

/// The kernel opens its GPL-only helpers to programs that declare a compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
