//! Packets as the job wants them, written over whatever a frame holds.

use aya_ebpf::programs::XdpContext;
use lb_common::bench::{Job, WORDS_V4, WORDS_V6, client_of, flow_of, vip_bits_of};
use lb_common::frame::Frame;
use lb_common::wire::Ports;
use lb_common::wire::ethernet::Ethernet;
use lb_common::wire::ipv4::Ipv4;
use lb_common::wire::ipv6::Ipv6;
use zerocopy::big_endian::U16;
use zerocopy::native_endian::U64;

use crate::frame::XdpFrame;

/// Writes the job's next packet; `None` if the frame is too short for it.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call would hide from the verifier what was checked")]
pub(crate) fn prepare(ctx: &XdpContext, job: &Job) -> Option<()> {
    let mut frame = XdpFrame::new(ctx);
    let flow = flow_of(job.next_packet, job.flow_mask);
    let (host, port) = client_of(flow);
    let vip_bits = vip_bits_of(flow, job.vip_mask);
    let ports_at = if job.family == 4 {
        lay_down::<WORDS_V4>(&mut frame, job)?;
        let ip = frame.header_mut::<Ipv4>(size_of::<Ethernet>())?;
        // 10.0.0.0/8
        ip.source = (host | 10 << 24).to_be_bytes();
        let [.., last] = &mut ip.destination;
        *last |= vip_bits;
        size_of::<Ethernet>() + size_of::<Ipv4>()
    } else {
        lay_down::<WORDS_V6>(&mut frame, job)?;
        let ip = frame.header_mut::<Ipv6>(size_of::<Ethernet>())?;
        let [.., a, b, c] = &mut ip.source;
        [_, *a, *b, *c] = host.to_be_bytes();
        let [.., last] = &mut ip.destination;
        *last |= vip_bits;
        size_of::<Ethernet>() + size_of::<Ipv6>()
    };
    frame.header_mut::<Ports>(ports_at)?.source = U16::new(port);
    Some(())
}

/// Copies the first `WORDS` words of the template to the front of the frame.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call would hide from the verifier what was checked")]
fn lay_down<const WORDS: usize>(frame: &mut XdpFrame<'_>, job: &Job) -> Option<()> {
    let front = frame.header_mut::<[U64; WORDS]>(0)?;
    let template = job.template.first_chunk::<WORDS>()?;
    for (to, from) in front.iter_mut().zip(template) {
        to.set(*from);
    }
    Some(())
}
