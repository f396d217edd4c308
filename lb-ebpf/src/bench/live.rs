//! Live frames: a generator that sends them, and a program that ends them.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;

use crate::driver::DRIVER;
use crate::packets::prepare;

/// Sends the job's next packet out of the interface of the test-run. Its pages come back as the
/// last receiver left them, so every packet is written anew.
#[xdp]
#[expect(clippy::needless_pass_by_value, reason = "the macro passes it so")]
pub fn generate(ctx: XdpContext) -> u32 {
    let Some(driver) = DRIVER.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the runner makes one test-run at a time, so nobody else works on the only element.
    let job = unsafe { &mut (*driver).job };
    if prepare(&ctx, job).is_none() {
        return xdp_action::XDP_ABORTED;
    }
    job.next_packet = job.next_packet.wrapping_add(1);
    xdp_action::XDP_TX
}

/// Ends every frame: what a receiver costs that does nothing at all.
#[xdp]
pub fn drop_all(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}
