//! What the pipeline looks up: the BPF maps in the kernel, [`crate::image::Image`] on the host.

use crate::abi::{
    AddressKey, BackendEntry, BackendIndex, Pin, PoolEntry, QuicKey, ServiceEntry, ServiceKey,
    Slot, Ticks,
};
use crate::datapath::{Arrival, owner};
use crate::verdict::{PinEvent, Reply};

/// What outer headers are made with, besides the entry of the backend they lead to.
pub trait OuterHeaders {
    /// UDP port that GUE packets are sent to.
    fn gue_port(&self) -> u16;

    /// Bits of an IPv4 outer source that the flow hash fills, as a native word.
    fn source_spread_v4(&self) -> u32;

    /// The same of an IPv6 outer source.
    fn source_spread_v6(&self) -> [u32; 4];
}

/// The balancer's tables. All answers are those of one moment each: nothing is locked.
pub trait Tables: OuterHeaders {
    /// One bucket of the pin table, or of the fragment table.
    type Pins: Pins;

    /// The service of exactly this VIP, protocol and port.
    fn service(&self, key: &ServiceKey) -> Option<&ServiceEntry>;

    /// Pool number `index`.
    fn pool(&self, index: u32) -> Option<&PoolEntry>;

    /// Slot `offset` (below [`crate::abi::SLOTS_PER_PAGE`]) of page `page`.
    fn slot(&self, page: u32, offset: u32) -> Option<Slot>;

    /// Backend number `index`.
    fn backend(&self, index: BackendIndex) -> Option<&BackendEntry>;

    /// The backend of a packet whose pin counts: [`owner`], unless an implementation has a better
    /// place to run it in.
    #[inline]
    fn owner(&self, slot: Slot, arrival: &Arrival) -> BackendIndex
    where
        Self: Sized,
    {
        owner(self, slot, arrival)
    }

    /// The bucket that a flow's pin would be in.
    fn pins(&self, hash: u64) -> Option<&Self::Pins>;

    /// The bucket that a datagram's place would be in.
    fn fragments(&self, hash: u64) -> Option<&Self::Pins>;

    /// The monotonic clock, ns.
    fn now_ns(&self) -> u64;

    /// The time, as pins keep it.
    #[inline]
    fn now(&self) -> Ticks {
        Ticks::at(self.now_ns())
    }

    /// The number of a new flow among those that a pool's scheduler has placed, modulo 2^32.
    fn next_turn(&self, pool: u32) -> u32;

    /// Flows that a backend is known to have.
    fn load(&self, backend: BackendIndex) -> u64;

    /// Adds a flow to a backend's load.
    fn count_flow(&self, backend: BackendIndex);

    /// The backend that a connection id names.
    fn quic_server(&self, key: &QuicKey) -> Option<BackendIndex>;

    /// Whether packets may leave by this interface. If so, the frame will, once its verdict is
    /// [`crate::verdict::Verdict::Redirect`].
    fn leaves_by(&self, ifindex: u32) -> bool;

    /// Whether a reply of this kind is within its budget, which it then takes from.
    fn may_reply(&self, reply: Reply) -> bool;

    /// Counts a flow that found no room for its pin, or an embryonic pin that made room.
    fn count_pin(&self, event: PinEvent);

    /// Counts one packet of `bytes` for a service.
    fn count_service(&self, service: u32, bytes: usize);

    /// Counts one packet of `bytes` for a backend.
    fn count_backend(&self, backend: BackendIndex, bytes: usize);
}

/// One bucket of the pin table. Other CPUs work on it at the same time.
pub trait Pins {
    /// The pin at a place below [`crate::abi::PINS_PER_BUCKET`].
    fn load(&self, place: usize) -> Pin;

    /// Puts `new` in a place that still holds `expected`; false, and no change, if it does not.
    fn replace(&self, place: usize, expected: Pin, new: Pin) -> bool;
}

/// The tables of lb-origin.
pub trait OriginTables {
    /// Whether tunnelled packets from this address are wanted.
    fn accepts_source(&self, source: &AddressKey) -> bool;

    /// Whether this address is a VIP served here.
    fn serves(&self, vip: &AddressKey) -> bool;
}
