//! What the pipeline looks up: the BPF maps in the kernel, [`crate::image::Image`] on the host.

use crate::abi::{
    AddressKey, BackendEntry, BackendIndex, PoolEntry, ServiceEntry, ServiceKey, Slot,
};

/// The balancer's tables. All answers are those of one moment each: nothing is locked.
pub trait Tables {
    /// The service of exactly this VIP, protocol and port.
    fn service(&self, key: &ServiceKey) -> Option<&ServiceEntry>;

    /// Pool number `index`.
    fn pool(&self, index: u32) -> Option<&PoolEntry>;

    /// Slot `offset` (below [`crate::abi::SLOTS_PER_PAGE`]) of page `page`.
    fn slot(&self, page: u32, offset: u32) -> Option<Slot>;

    /// Backend number `index`.
    fn backend(&self, index: BackendIndex) -> Option<&BackendEntry>;

    /// Counts one packet of `bytes` for a service.
    fn count_service(&self, service: u32, bytes: usize);

    /// Counts one packet of `bytes` for a backend.
    fn count_backend(&self, backend: BackendIndex, bytes: usize);
}

/// The tables of lb-origin.
pub trait OriginTables {
    /// Whether tunnelled packets from this address are wanted.
    fn accepts_source(&self, source: &AddressKey) -> bool;

    /// Whether this address is a VIP served here.
    fn serves(&self, vip: &AddressKey) -> bool;
}
