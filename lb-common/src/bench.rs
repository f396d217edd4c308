//! The contract between the benchmark's driver in the kernel and its runner on the host.
//!
//! The driver (`lb-bench` of lb-ebpf) takes a [`Job`] from a map and leaves a [`Report`] there. Which
//! packet belongs to which flow is decided here, so that the host can say beforehand what every
//! target must have seen.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Packets of one run of the driver. The kernel ends the 34th tail call of a program
/// (`MAX_TAIL_CALL_CNT`), so a batch is several runs.
pub const PACKETS_PER_RUN: u32 = 32;
/// Runs of one batch, between two looks at the clock.
pub const RUNS_PER_BATCH: u32 = 128;
/// Packets of one batch.
pub const PACKETS_PER_BATCH: u32 = PACKETS_PER_RUN * RUNS_PER_BATCH;
/// Batches that a report has room for.
pub const BATCHES: usize = 256;

/// Words of [`Job::template`] for an IPv4 packet: a frame of 64 bytes.
pub const WORDS_V4: usize = 8;
/// Words of [`Job::template`] for an IPv6 packet: a frame of 80 bytes.
pub const WORDS_V6: usize = 10;

/// The pool that the parts look at.
pub const PART_POOL: u32 = 1;

/// Names of the maps that are not the balancer's.
pub mod map {
    /// Array of one [`super::Driver`].
    pub const DRIVER: &str = "DRIVER";
    /// Program array: the candidates.
    pub const TARGETS: &str = "TARGETS";
    /// LRU hash of the baseline that keeps flows.
    pub const FLOWS: &str = "FLOWS";
}

/// Programs of lb-bench, which use no map of the balancer's.
pub mod program {
    /// The driver.
    pub const DRIVER: &str = "driver";
    /// Passes every packet: what the driver itself costs.
    pub const PASS: &str = "pass";
    /// The same outer IPv4 header in front of every packet: the floor.
    pub const NULL_V4: &str = "null_v4";
    /// The same for IPv6.
    pub const NULL_V6: &str = "null_v6";
    /// Sends live frames.
    pub const GENERATE: &str = "generate";
    /// Drops every packet.
    pub const DROP: &str = "drop_all";
}

/// Programs of lb-baseline, which use the balancer's maps.
pub mod baseline {
    /// The balancer's own look-ups behind one in an LRU hash of flows.
    pub const LRU: &str = "lru_baseline";
    /// Finds a service.
    pub const SERVICE: &str = "part_service";
    /// Reads pool, slot and backend.
    pub const BACKEND: &str = "part_backend";
    /// Counts a packet three times.
    pub const COUNTERS: &str = "part_counters";
    /// Moves the front of the frame.
    pub const FRONT: &str = "part_front";
    /// Reads the clock.
    pub const CLOCK: &str = "part_clock";
}

/// What the driver is to do, and what came of it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Driver {
    /// Written by the runner.
    pub job: Job,
    /// Zeroed by the runner, written by the driver.
    pub report: Report,
}

/// What packets are made, and who gets them.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Job {
    /// The frame, as native words; the client's address and port are written over it.
    pub template: [u64; WORDS_V6],
    /// Number of the next packet; the driver counts it up.
    pub next_packet: u64,
    /// Number of flows less one; the former is a power of two.
    pub flow_mask: u64,
    /// Bits of the flow that go into the last byte of the destination address.
    pub vip_mask: u64,
    /// Place of the candidate among the targets.
    pub target: u32,
    /// 4 or 6.
    pub family: u32,
}

/// What the packets of a job came to.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Report {
    /// Runs so far.
    pub runs: u64,
    /// Packets by the target's return value, an `enum xdp_action`; the last place is for calls that
    /// did not reach a target.
    pub verdicts: [u64; VERDICTS],
    /// Packets after which the frame could not be put back.
    pub lost_frames: u64,
    /// When each batch began and ended, one after the other.
    pub batches: [Span; BATCHES],
}

/// A stretch of monotonic time.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Span {
    /// Its beginning.
    pub start_ns: u64,
    /// Its end; 0 while it lasts.
    pub end_ns: u64,
}

/// Places in [`Report::verdicts`]: a power of two above the largest `enum xdp_action`.
pub const VERDICTS: usize = 8;
/// Verdict of a call that found no target.
pub const NOT_CALLED: u32 = 7;

/// Multiplier of [`flow_of`]: odd, so that it has an inverse modulo any power of two. 2^64 divided
/// by the golden ratio: neighbours in time are far apart in number.
const SCRAMBLE: u64 = 0x9e37_79b9_7f4a_7c15;

/// The flow of a packet: `flow_mask + 1` packets in a row are as many flows, out of order.
#[inline]
pub const fn flow_of(packet: u64, flow_mask: u64) -> u64 {
    packet.wrapping_mul(SCRAMBLE) & flow_mask
}

/// The client of a flow: the last three bytes of its address, and its port. Different for each of
/// the first 2^38 flows.
#[inline]
pub const fn client_of(flow: u64) -> (u32, u16) {
    let host = (flow & 0x00ff_ffff) as u32;
    let port = ((flow >> 24 ^ flow) & 0x3fff) as u16 | 0x8000;
    (host, port)
}

/// What a flow adds to the last byte of its VIP, of the bits in `vip_mask`.
#[inline]
pub const fn vip_bits_of(flow: u64, vip_mask: u64) -> u8 {
    (flow & vip_mask & 0xff) as u8
}

/// Flow mask of packets that are a new flow each: as many flows as there are clients.
pub const ALL_FLOWS: u64 = (1 << 38) - 1;

#[cfg(test)]
mod tests;
