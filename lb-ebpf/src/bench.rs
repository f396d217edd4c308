//! lb-bench: the programs that the balancer is measured with. `cargo xtask bench` loads them.
//!
//! A driver that makes packets and calls its target with them; a target that does nothing, which
//! is what the driver itself costs; constant encapsulations, which are the floor; and a generator
//! of live frames. The pipeline is not in here: the driver's tail call from a subprogram needs BTF,
//! which the kernel refuses as a whole for some Rust types (enums with data), and the compiler may
//! put one into the signature of a function at any time.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(missing_docs, unreachable_pub, reason = "aya's entry point macro makes such an item")]

#[path = "bench/driver.rs"]
mod driver;
mod frame;
#[path = "bench/live.rs"]
mod live;
#[path = "bench/null.rs"]
mod null;
#[path = "bench/packets.rs"]
mod packets;
mod shared;

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

/// Target that does nothing: what is left is the driver.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}
