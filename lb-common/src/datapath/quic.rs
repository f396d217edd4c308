//! Step 3d: QUIC packets that name their server (draft-ietf-quic-load-balancers, plaintext form).
//!
//! A client that moves to another address keeps its connection id, and the id names the server: so
//! the connection stays whole. An id that the client itself made up, or that names nobody, falls
//! back to the 5-tuple, which does not change before the server's own ids are in use.

use super::{Packet, Part};
use crate::abi::{BackendEntry, BackendIndex, PoolEntry, QuicKey};
use crate::frame::Frame;
use crate::tables::Tables;
use crate::wire::quic::{ConnectionId, First, LONG_PREFIX_BYTES, LongPrefix};
use crate::wire::{Udp, protocol};

/// The backend that a packet's connection id names, if it is one that can take it.
#[inline(always)]
pub(super) fn server<F: Frame, T: Tables>(
    frame: &F,
    tables: &T,
    (index, pool): (u32, &PoolEntry),
    packet: &Packet,
) -> Option<BackendIndex> {
    if packet.flow.protocol != protocol::UDP || packet.part != Part::Whole {
        return None;
    }
    let at = packet.transport_at()? + size_of::<Udp>();
    let is_long = frame.header::<First>(at)?.is_long();
    let (id_at, id_bytes) = if is_long {
        (at + LONG_PREFIX_BYTES, frame.header::<LongPrefix>(at)?.id_bytes)
    } else {
        // A short header does not say how long its id is: the configuration does.
        (at + size_of::<First>(), u8::MAX)
    };
    // Longer than many an id: what follows one is at least an authentication tag of 16 bytes.
    let id = frame.header::<ConnectionId>(id_at)?;
    let config = id.config();
    let server_id_bytes = *pool.quic_server_id_bytes.get(usize::from(config))?;
    if server_id_bytes == 0 || id_bytes <= server_id_bytes {
        return None;
    }
    let key = QuicKey::new(index, config, id.server_id(server_id_bytes & 0xf));
    let backend = tables.quic_server(&key)?;
    let entry = tables.backend(backend)?;
    let usable = entry.flags & BackendEntry::USABLE != 0 && u32::from(entry.pool) == index;
    if usable { Some(backend) } else { None }
}
