//! The one form of a packet test: maps, pins and a frame in; a reason, a frame and pins out.
//!
//! The same fixtures run on the host (the pipeline over an [`Image`]) and in the kernel (the
//! loaded program over real maps filled from the same image). The catalogue names every rule of
//! the packet path; [`generate`] makes frames without end for the differential test.

mod catalogue;
#[cfg(feature = "kernel")]
pub mod check;
mod control;
mod encapsulated;
pub mod generate;
mod host;
#[cfg(feature = "kernel")]
pub mod kernel;
mod maps;
mod moved_on;
pub mod origin;
#[cfg(feature = "kernel")]
pub mod probe;
mod transition;

use lb_common::abi::{PINS_PER_BUCKET, Pin, Ticks, pin_bucket};
use lb_common::datapath::{classify, flow_hash};
use lb_common::image::{Buffer, Image};
use lb_common::verdict::{Reason, Reply};

pub use catalogue::catalogue;
pub use host::Host;
pub use maps::{OUTER_SOURCE_IPV4, OUTER_SOURCE_IPV6, backends, standard};
pub use transition::moving;

/// Room in front of a frame in a test-run (`XDP_PACKET_HEADROOM`).
pub const HEADROOM: usize = 256;
/// Interface a test-run's frames come in by: loopback, in any network namespace.
pub const INGRESS_IFINDEX: u32 = 1;
/// The only other interface in the network namespace of a test-run.
pub const OTHER_IFINDEX: u32 = 2;
/// Hash seed of all fixtures.
pub const HASH_SEED: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
/// Buckets of the fixtures' pin table.
pub const PIN_BUCKETS: u32 = 128;
/// Time between replies of each kind: there may be replies without end.
pub const REPLY_INTERVALS_NS: [u64; Reply::ALL.len()] = [1; Reply::ALL.len()];

/// One packet test.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// The claim.
    pub name: &'static str,
    /// What the maps hold.
    pub maps: Image,
    /// The pins in the bucket of the frame's flow, place by place.
    pub pins: Vec<Pin>,
    /// Frames that have come before it.
    pub earlier: Vec<Vec<u8>>,
    /// The frame as it comes in.
    pub frame_in: Vec<u8>,
    /// How it must end.
    pub reason: Reason,
    /// The frame as it must leave.
    pub frame_out: Vec<u8>,
    /// All pins there must be then, each without the time it was seen at.
    pub pins_after: Vec<Pin>,
}

impl Fixture {
    /// Where in the pin table the bucket of the frame's flow begins.
    pub fn position(&self) -> usize {
        pin_bucket(hash_of(&self.frame_in), PIN_BUCKETS) as usize * PINS_PER_BUCKET
    }

    /// Takes the frame through the pipeline on the host: reason, frame and pins.
    pub fn on_the_host(&self) -> (Reason, Vec<u8>, Vec<Pin>) {
        let mut host = Host::new(self.maps.clone(), HASH_SEED);
        host.put_pins(self.position(), &self.pins);
        let now_ns = 77 << Ticks::NANOSECONDS_BITS;
        for frame in &self.earlier {
            host.run(frame, now_ns);
        }
        let (reason, frame) = host.run(&self.frame_in, now_ns);
        (reason, frame, timeless(host.state.pins.iter()))
    }
}

/// The pins of a table, in order, as if all had been seen at the same time.
pub fn timeless(pins: impl Iterator<Item = Pin>) -> Vec<Pin> {
    pins.filter(|pin| !pin.is_empty()).map(|pin| pin.seen_at(Ticks::default())).collect()
}

/// The hash of a frame's flow; 0 if it has none.
fn hash_of(frame: &[u8]) -> u64 {
    let packet = classify(&Buffer::new(frame, 0));
    packet.map_or(0, |packet| flow_hash(HASH_SEED, &packet.flow))
}

/// Takes one frame through the pipeline on the host, with no flow pinned.
pub fn on_the_host(image: &Image, seed: [u64; 2], frame: &[u8]) -> (Reason, Vec<u8>) {
    Host::new(image.clone(), seed).run(frame, 0)
}
