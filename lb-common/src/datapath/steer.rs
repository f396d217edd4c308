//! Step 3: from a flow to its backend: the keyed hash, then one slot of the pool's table.

use super::transition::Arrival;
use super::{Context, Flow, Packet, Part, Stop, lookup, quic, slot_place};
use crate::abi::{BackendIndex, Family, Features, PoolEntry, Scheduler};
use crate::frame::Frame;
use crate::hash;
use crate::tables::Tables;
use crate::verdict::Reason;
use crate::wire::protocol;

/// Bits of a flow's hash that its client's address decides in a pool with
/// [`Scheduler::SourceHash`]. The slot is taken from these alone; the other 12 bits of the tag keep
/// the pins of a client's flows apart.
const CLIENT_BITS: u64 = 0xfffff << 44;

/// Where a packet goes.
pub(super) struct Choice {
    /// Index of the service's counters, if it is known.
    pub(super) service: Option<u32>,
    /// Hash of the flow.
    pub(super) hash: u64,
    /// The backend.
    pub(super) backend: BackendIndex,
}

/// The backend of a packet whose ports are known.
#[inline(always)]
pub(super) fn choose<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    context: &Context,
    packet: &Packet,
) -> Result<Choice, Stop> {
    let service = lookup::service(tables, &packet.flow).ok_or(Reason::NoService)?;
    if packet.l2_bytes + packet.ip_bytes > frame.len() {
        return Err(Reason::Truncated.into());
    }
    let pool = tables.pool(service.pool).ok_or(Reason::NoBackend)?;
    let hash = pool_hash(context, pool, &packet.flow);
    let named = if context.features.has(Features::QUIC) {
        quic::server(frame, tables, (service.pool, pool), packet)
    } else {
        None
    };
    let backend = match named {
        Some(backend) => backend,
        None => backend(tables, context.features, (service.pool, pool), packet, hash)
            .ok_or(Reason::NoBackend)?,
    };
    Ok(Choice { service: Some(service.service), hash, backend })
}

/// The hash of a flow: all of the 5-tuple, so that two flows share it only by chance.
#[inline(always)]
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

/// The hash of a flow as its pool takes it.
#[inline(always)]
pub fn pool_hash(context: &Context, pool: &PoolEntry, flow: &Flow) -> u64 {
    let whole = flow_hash(context.hash_seed, flow);
    let by_client = context.features.has(Features::SOURCE_HASH)
        && pool.scheduler == Scheduler::SourceHash.code();
    if !by_client {
        return whole;
    }
    let [high, low] = flow.source;
    let client = hash::keyed(context.hash_seed, [high, low, flow.family as u64]);
    client & CLIENT_BITS | whole & !CLIENT_BITS
}

/// The slot of a flow in a table of `slots`, under a pool's scheduler. A pin's tag will do for the
/// hash.
#[inline(always)]
pub const fn slot_number(scheduler: Scheduler, hash: u64, slots: u32) -> u32 {
    let hash = if matches!(scheduler, Scheduler::SourceHash) { hash & CLIENT_BITS } else { hash };
    hash::scaled(hash, slots)
}

/// The backend of a packet for a pool; `None` if nobody takes it.
#[inline(always)]
pub(super) fn backend<T: Tables>(
    tables: &T,
    features: Features,
    (index, pool): (u32, &PoolEntry),
    packet: &Packet,
    hash: u64,
) -> Option<BackendIndex> {
    let table = pool.table;
    if table.slots() == 0 {
        return None;
    }
    let number = if features.has(Features::SOURCE_HASH) {
        slot_number(Scheduler::from_code(pool.scheduler), hash, table.slots())
    } else {
        hash::scaled(hash, table.slots())
    };
    let (page, offset) = slot_place(table, number);
    let slot = tables.slot(page, offset)?;
    let placed = features.has(Features::SCHEDULERS)
        && Scheduler::from_code(pool.scheduler).pins_every_flow();
    let backend = if slot.consult() || placed {
        let arrival = Arrival {
            pool: index,
            hash,
            opening: packet.tcp_flags.is_opening(),
            closing: packet.tcp_flags.is_closing(),
            udp: packet.flow.protocol == protocol::UDP,
            quoted: packet.part == Part::Error,
            scheduled: placed,
        };
        tables.owner(slot, &arrival)
    } else {
        slot.current()
    };
    if backend == BackendIndex::NONE { None } else { Some(backend) }
}
