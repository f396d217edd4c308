//! Target `quic`: what a connection id says, and where a packet with it goes.

use lb_common::abi::BackendIndex;
use lb_common::config::ServerId;
use lb_common::wire::quic::ConnectionId;

use super::generated::VIP;
use super::pipeline::Outcome;
use crate::fixture::backends;
use crate::packet::{self, Ipv4Fields};

/// The port of the pool that knows QUIC servers.
const PORT: u16 = 8_031;
/// Bytes of a server id by configuration there.
const SERVER_ID_BYTES: [usize; 8] = [2, 15, 8, 9, 0, 0, 0, 0];
/// The only server; shorter ids are the beginnings of this one.
const SERVER_ID: [u8; 15] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// An input: the payload of a UDP datagram.
///
/// # Panics
/// Its connection id is not read as it is written.
pub fn quic(payload: &[u8]) {
    if let Some(id) = payload.first_chunk() {
        read(*id);
    }
    // The packet has to fit its way.
    let payload = &payload[..payload.len().min(1_400)];
    let datagram = packet::udp(4_433, PORT, payload);
    let fields = Ipv4Fields::default();
    let packet = packet::ipv4([198, 51, 100, 7].into(), VIP, 17, &fields, &datagram);
    let outcome = Outcome::on_its_own(&packet::ethernet(&[], 0x0800, &packet));
    let (backend, _) = outcome.lookups.backend.expect("a backend was looked up");
    let (index, _) = if names_the_server(payload) { backends::QUIC } else { backends::V6 };
    assert_eq!(Some(backend), BackendIndex::new(index), "{payload:02x?}");
}

/// Whether a payload is a packet whose connection id is of a known configuration and has the
/// server's id (draft-ietf-quic-load-balancers §3, RFC 8999 §5).
fn names_the_server(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else { return false };
    let (id_bytes, id) = match (first & 0x80 != 0, payload) {
        (true, [_, _, _, _, _, id_bytes, id @ ..]) => (usize::from(*id_bytes), id),
        (true, _) => return false,
        (false, _) => (usize::MAX, &payload[1..]),
    };
    // A packet of no more than this has no room for its authentication tag.
    let Some([first, rest @ ..]) = id.first_chunk::<16>() else { return false };
    let bytes = SERVER_ID_BYTES[usize::from(first >> 5)];
    bytes > 0 && id_bytes > bytes && rest[..bytes] == SERVER_ID[..bytes]
}

/// The server id of each length, as the program and as the configuration reads it.
fn read(bytes: [u8; 16]) {
    let id = ConnectionId(bytes);
    assert_eq!(id.config(), bytes[0] >> 5);
    for length in 1..=15 {
        let server_id = &bytes[1..=usize::from(length)];
        let mut filled = [0; 16];
        filled[..server_id.len()].copy_from_slice(server_id);
        let (halves, _) = filled.as_chunks();
        let expected = [halves[0], halves[1]].map(u64::from_ne_bytes);
        assert_eq!(id.server_id(length), expected, "{length} bytes of {bytes:02x?}");
        let text = server_id.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let configured = ServerId::parse(&text).expect("a server id");
        assert_eq!((configured.bytes(), configured.words()), (length, expected));
        assert_eq!(configured.to_string(), text);
    }
}
