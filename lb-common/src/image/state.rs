//! What the program itself writes: pins, fragments, loads, turns and budgets.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::PinTable;
use crate::abi::{BackendIndex, Pin};
use crate::verdict::Reply;

/// Buckets of the fragment table on the host.
const FRAGMENT_BUCKETS: u32 = 128;

/// The maps that packets change, for one thread, and what a program is loaded with.
#[derive(Clone, Debug)]
pub struct State {
    /// The pin table.
    pub pins: PinTable,
    /// The fragment table.
    pub fragments: PinTable,
    /// New flows by pool.
    pub turns: RefCell<BTreeMap<u32, u32>>,
    /// Flows by backend, as far as known.
    pub loads: RefCell<BTreeMap<BackendIndex, u64>>,
    /// When the next reply of each kind is due, ns.
    pub replies_due_ns: RefCell<[u64; Reply::ALL.len()]>,
    /// UDP port that GUE packets are sent to.
    pub gue_port: u16,
    /// Bits of an IPv4 outer source that the flow hash fills, as a native word.
    pub source_spread_v4: u32,
    /// The same of an IPv6 outer source.
    pub source_spread_v6: [u32; 4],
    /// Time from one reply of each kind to the next, ns; 0 for none at all.
    pub reply_intervals_ns: [u64; Reply::ALL.len()],
}

impl State {
    /// A state with empty tables, in which there may be 1,000 replies of each kind a second.
    pub fn new(pin_buckets: u32) -> Self {
        Self::with_pins(PinTable::new(pin_buckets))
    }

    /// The same, with these pins, bucket after bucket.
    pub fn from_pins(pins: impl IntoIterator<Item = Pin>) -> Self {
        Self::with_pins(PinTable::from_pins(pins))
    }

    fn with_pins(pins: PinTable) -> Self {
        Self {
            pins,
            fragments: PinTable::new(FRAGMENT_BUCKETS),
            turns: RefCell::default(),
            loads: RefCell::default(),
            replies_due_ns: RefCell::default(),
            gue_port: crate::wire::gue::PORT,
            source_spread_v4: 0,
            source_spread_v6: [0; 4],
            reply_intervals_ns: [1_000_000; Reply::ALL.len()],
        }
    }
}
