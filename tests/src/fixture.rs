//! The one form of a packet test: maps, a frame in, a reason, a frame out.
//!
//! The same fixtures run on the host (the pipeline over an [`Image`]) and in the kernel (the
//! loaded program over real maps filled from the same image). The catalogue names every rule of
//! the packet path; [`generate`] makes frames without end for the differential test.

mod catalogue;
mod encapsulated;
pub mod generate;
pub mod kernel;
mod maps;
pub mod origin;

use lb_common::abi::Ticks;
use lb_common::datapath::{Context, process};
use lb_common::image::{Buffer, Image, PinTable, Recorder};
use lb_common::verdict::Reason;

pub use catalogue::catalogue;
pub use maps::{OUTER_SOURCE_IPV4, OUTER_SOURCE_IPV6, backends, standard};

/// Room in front of a frame in a test-run (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: usize = 256;
/// Interface a test-run's frames come in by: loopback, in any network namespace.
pub const INGRESS_IFINDEX: u32 = 1;
/// Hash seed of all fixtures.
pub const HASH_SEED: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

/// One packet test.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The claim.
    pub name: &'static str,
    /// What the maps hold.
    pub maps: Image,
    /// The frame as it comes in.
    pub frame_in: Vec<u8>,
    /// How it must end.
    pub reason: Reason,
    /// The frame as it must leave.
    pub frame_out: Vec<u8>,
}

/// Takes a frame through the pipeline on the host.
pub fn on_the_host(image: &Image, seed: [u64; 2], frame: &[u8]) -> (Reason, Vec<u8>) {
    let mut buffer = Buffer::new(frame, HEADROOM);
    let context = Context { hash_seed: seed, ingress_ifindex: INGRESS_IFINDEX };
    let pins = PinTable::new(1);
    let tables = Recorder::new(image, &pins, Ticks::default());
    let reason = process(&mut buffer, &tables, &context);
    (reason, buffer.as_slice().to_vec())
}
