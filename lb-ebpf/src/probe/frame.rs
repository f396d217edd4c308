//! [`Frame`] over a packet of the network stack.
//!
//! As over an XDP frame, both ends are read once and again after each move, and every header is
//! checked against the end before a reference to it exists. Two things are different: the frame may
//! be longer than what is in reach, as payload may lie elsewhere, and room comes between the Ethernet
//! header and the packet, which says to the kernel that it is wrapped. For us both is the same: the
//! Ethernet header is written anew. For the kernel it is not: a checksum that it has left for the
//! driver to compute is that of the packet inside, and a device that cannot do that is not asked to.

use aya_ebpf::bindings::{
    BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6, BPF_F_ADJ_ROOM_ENCAP_L4_GRE,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP, bpf_adj_room_mode,
};
use aya_ebpf::programs::TcContext;
use lb_common::abi::Encapsulation;
use lb_common::frame::{Frame, Header};

/// Bytes that must be in reach: Ethernet, IPv6, and a TCP header without options.
const HEADERS_BYTES: u32 = 14 + 40 + 20;

/// The packet a program was called for.
pub(crate) struct SkbFrame<'c> {
    ctx: &'c TcContext,
    start: usize,
    end: usize,
    /// `BPF_F_ADJ_ROOM_*`: what the room in front will hold.
    room: u32,
}

impl<'c> SkbFrame<'c> {
    /// The packet of `ctx`, to be wrapped like this.
    #[inline(always)]
    pub(crate) fn new(ctx: &'c TcContext, encapsulation: u8) -> Self {
        // What cannot be brought into reach is not there, and refused for it.
        let _ = ctx.pull_data(HEADERS_BYTES.min(ctx.len()));
        let room = match Encapsulation::from_code(encapsulation) {
            Some(Encapsulation::IpipV4) => BPF_F_ADJ_ROOM_ENCAP_L3_IPV4,
            Some(Encapsulation::IpipV6) => BPF_F_ADJ_ROOM_ENCAP_L3_IPV6,
            Some(Encapsulation::GueV4) => {
                BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP
            }
            Some(Encapsulation::GueV6) => {
                BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP
            }
            Some(Encapsulation::GreV4) => {
                BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE
            }
            Some(Encapsulation::GreV6) => {
                BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_ENCAP_L4_GRE
            }
            Some(Encapsulation::L2) | None => 0,
        };
        Self { ctx, start: ctx.data(), end: ctx.data_end(), room }
    }

    /// The address of a header, once the verifier can see that all of it is inside.
    #[inline(always)]
    fn checked<T>(&self, at: usize) -> Option<*mut T> {
        let header = self.start + at;
        if header + size_of::<T>() > self.end { None } else { Some(header as *mut T) }
    }
}

impl Frame for SkbFrame<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        self.ctx.len() as usize
    }

    #[inline(always)]
    fn header<T: Header>(&self, at: usize) -> Option<&T> {
        let header = self.checked::<T>(at)?;
        // SAFETY: `checked` compared the header's last byte with the end of what is in reach, any
        // bytes are a valid T of alignment 1 (`Header`), and nothing moves or writes while `self`
        // is borrowed.
        Some(unsafe { &*header })
    }

    #[inline(always)]
    fn header_mut<T: Header>(&mut self, at: usize) -> Option<&mut T> {
        let header = self.checked::<T>(at)?;
        // SAFETY: as in `header`; `&mut self` makes this the only reference into the packet.
        Some(unsafe { &mut *header })
    }

    /// Behind the Ethernet header: see above.
    #[inline(always)]
    fn push_front(&mut self, bytes: usize) -> Option<()> {
        let bytes = i32::try_from(bytes).ok()?;
        let result = self.ctx.skb.adjust_room(
            bytes,
            bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
            u64::from(self.room),
        );
        self.start = self.ctx.data();
        self.end = self.ctx.data_end();
        result.ok()
    }

    /// Nothing of a packet that the stack has made is taken away.
    #[inline(always)]
    fn pull_front(&mut self, _bytes: usize) -> Option<()> {
        None
    }

    /// The same.
    #[inline(always)]
    fn truncate(&mut self, _bytes: usize) -> Option<()> {
        None
    }
}
