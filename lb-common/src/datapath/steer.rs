//! Step 3: from a flow to its backend: the keyed hash, then one slot of the pool's table.

use super::transition::Arrival;
use super::{Flow, Packet, slot_place};
use crate::abi::{BackendIndex, Family, PoolEntry};
use crate::hash;
use crate::tables::Tables;
use crate::wire::protocol;

/// The hash of a flow: all of the 5-tuple, so that two flows share it only by chance.
#[inline]
pub fn flow_hash(seed: [u64; 2], flow: &Flow) -> u64 {
    let [source_high, source_low] = flow.source;
    let [destination_high, destination_low] = flow.destination;
    let selector = u64::from(flow.source_port_be)
        | u64::from(flow.destination_port_be) << 16
        | u64::from(flow.protocol) << 32
        | (flow.family as u64) << 40;
    match flow.family {
        // An IPv4 address fills only half of its first word.
        Family::V4 => hash::keyed(seed, [source_high | destination_high << 32, selector]),
        Family::V6 => hash::keyed(
            seed,
            [source_high, source_low, destination_high, destination_low, selector],
        ),
    }
}

/// The backend of a packet for a pool; `None` if nobody takes it.
#[inline]
pub(super) fn backend<T: Tables>(
    tables: &T,
    (index, pool): (u32, &PoolEntry),
    packet: &Packet,
    hash: u64,
) -> Option<BackendIndex> {
    let table = pool.table;
    if table.slots() == 0 {
        return None;
    }
    let (page, offset) = slot_place(table, hash::slot(hash, table.slots()));
    let slot = tables.slot(page, offset)?;
    let backend = if slot.consult() {
        let udp = packet.flow.protocol == protocol::UDP;
        tables.owner(slot, &Arrival { pool: index, hash, opening: packet.opening, udp })
    } else {
        slot.current()
    };
    if backend == BackendIndex::NONE { None } else { Some(backend) }
}
