//! [`Frame`] over the packet pointers of an XDP context.
//!
//! Both ends are read once and again after each head move; every header is checked against the
//! end before a reference to it exists. References borrow the frame, so none outlives a move.

#![expect(clippy::inline_always, reason = "a call would hide from the verifier what was checked")]

use core::arch::asm;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail};
use aya_ebpf::programs::XdpContext;
use lb_common::datapath::{Walked, walk_extensions};
use lb_common::frame::{Frame, Header};

/// The frame a program was called for.
pub(crate) struct XdpFrame<'c> {
    ctx: &'c XdpContext,
    start: usize,
    end: usize,
}

impl<'c> XdpFrame<'c> {
    /// The frame of `ctx`, as it came in.
    #[inline(always)]
    pub(crate) fn new(ctx: &'c XdpContext) -> Self {
        Self { ctx, start: ctx.data(), end: ctx.data_end() }
    }

    /// The address of a header, once the verifier can see that all of it is inside.
    #[inline(always)]
    fn checked<T>(&self, at: usize) -> Option<*mut T> {
        let header = self.start + at;
        if header + size_of::<T>() > self.end { None } else { Some(header as *mut T) }
    }

    #[inline(always)]
    fn move_front(&mut self, delta: i32) -> Option<()> {
        // SAFETY: the context is the one this program was called with; `start` and `end` are read
        // again below, and `&mut self` proves that no header reference is alive.
        let result = unsafe { bpf_xdp_adjust_head(self.ctx.as_ptr().cast(), delta) };
        self.start = self.ctx.data();
        self.end = self.ctx.data_end();
        if result == 0 { Some(()) } else { None }
    }
}

/// The way over extension headers, as a function of its own: it is a loop, and what follows it shall
/// be verified once, not once for each number of turns.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "a byte in a word; 64 bits on this target")]
pub(crate) extern "C" fn extensions_of(ctx: *mut xdp_md, first: u32, at: u64) -> u64 {
    walk_extensions(&XdpFrame::new(&XdpContext::new(ctx)), first as u8, at as usize).word()
}

impl Frame for XdpFrame<'_> {
    #[inline(always)]
    fn len(&self) -> usize {
        let mut length = self.end;
        // The compiler would turn `end - start - bytes` round, and the verifier allows nothing to be
        // subtracted from the end but the start.
        // SAFETY: one subtraction of two registers.
        unsafe {
            asm!(
                "{length} -= {start}",
                length = inout(reg) length,
                start = in(reg) self.start,
                options(pure, nomem, nostack),
            );
        }
        length
    }

    #[inline(always)]
    fn header<T: Header>(&self, at: usize) -> Option<&T> {
        let header = self.checked::<T>(at)?;
        // SAFETY: `checked` compared the header's last byte with the end of the packet, any bytes
        // are a valid T of alignment 1 (`Header`), and nothing moves or writes while `self` is
        // borrowed.
        Some(unsafe { &*header })
    }

    #[inline(always)]
    fn header_mut<T: Header>(&mut self, at: usize) -> Option<&mut T> {
        let header = self.checked::<T>(at)?;
        // SAFETY: as in `header`; `&mut self` makes this the only reference into the packet.
        Some(unsafe { &mut *header })
    }

    #[inline(always)]
    fn push_front(&mut self, bytes: usize) -> Option<()> {
        self.move_front(-i32::try_from(bytes).ok()?)
    }

    #[inline(always)]
    fn pull_front(&mut self, bytes: usize) -> Option<()> {
        self.move_front(i32::try_from(bytes).ok()?)
    }

    #[inline(always)]
    fn walk_extensions(&self, first: u8, at: usize) -> Walked {
        Walked::from_word(extensions_of(self.ctx.ctx, u32::from(first), at as u64))
    }

    #[inline(always)]
    fn truncate(&mut self, bytes: usize) -> Option<()> {
        let delta = i32::try_from(self.len().checked_sub(bytes)?).ok()?;
        // SAFETY: the context is the one this program was called with; `start` and `end` are read
        // again below, and `&mut self` proves that no header reference is alive.
        let result = unsafe { bpf_xdp_adjust_tail(self.ctx.as_ptr().cast(), -delta) };
        self.start = self.ctx.data();
        self.end = self.ctx.data_end();
        if result == 0 { Some(()) } else { None }
    }
}
