//! ICMP echo: one request, and whether its reply comes back.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +---------------+---------------+-------------------------------+
//! |     type      |     code      |           checksum            |
//! +---------------+---------------+-------------------------------+
//! |          identifier           |        sequence number        |
//! +-------------------------------+-------------------------------+
//! |                       token, 8 bytes                          |
//! ```
//! (RFC 792, RFC 4443 §4.1.) Where `net.ipv4.ping_group_range` allows it, the socket is one of the
//! kernel's own for echoes: it needs no capability, and gets its own replies only. The kernel writes
//! the identifier then. Else it is a raw one, for which `CAP_NET_RAW` is needed, and which gets
//! whatever ICMP comes from the backend. Either is connected, so nobody else's comes in, and the token
//! tells the reply to this request from all others.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;
use tokio::net::UdpSocket;

use super::steps::Steps;

/// Types of messages: request and reply (RFC 792, RFC 4443 §4).
const ECHO_V4: (u8, u8) = (8, 0);
const ECHO_V6: (u8, u8) = (128, 129);
/// Bytes of a message of ours.
const MESSAGE_BYTES: usize = 16;
/// Longest header before a message on a raw IPv4 socket, and the message.
const PACKET_MAX_BYTES: usize = 60 + MESSAGE_BYTES;

/// Why there is no reply.
#[derive(Debug, Error)]
pub(super) enum IcmpFailure {
    #[error("cannot ask: {0}")]
    Socket(io::Error),
    #[error("no reply: {0}")]
    NoReply(io::Error),
}

/// One echo request and what is its reply.
struct Echo {
    sequence: u16,
    token: [u8; 8],
    types: (u8, u8),
}

/// Sends a request and waits for its reply.
pub(super) async fn ask(address: IpAddr, steps: &mut Steps) -> Result<String, IcmpFailure> {
    steps.begin("request");
    let (socket, kind) = open(address).map_err(IcmpFailure::Socket)?;
    let to = SockAddr::from(SocketAddr::new(address, 0));
    socket.connect(&to).map_err(IcmpFailure::NoReply)?;
    // Of a descriptor that sends and receives datagrams, tokio does not ask the protocol.
    let socket = UdpSocket::from_std(socket.into()).map_err(IcmpFailure::Socket)?;
    let types = if address.is_ipv4() { ECHO_V4 } else { ECHO_V6 };
    let echo = Echo { sequence: fastrand::u16(..), token: fastrand::u64(..).to_be_bytes(), types };
    let request = echo.request(fastrand::u16(..));
    socket.send(&request).await.map_err(IcmpFailure::NoReply)?;
    steps.done(|| format!("echo request {} to {address}, {kind} socket", echo.sequence));
    steps.begin("answer");
    let mut packet = [0; PACKET_MAX_BYTES];
    loop {
        let length = socket.recv(&mut packet).await.map_err(IcmpFailure::NoReply)?;
        if echo.is_reply(packet.get(..length).unwrap_or_default()) {
            steps.done(|| format!("echo reply {} from {address}", echo.sequence));
            return Ok("echo reply".to_owned());
        }
    }
}

/// Whether this process may send echo requests.
///
/// # Errors
/// The kernel's refusal of the last kind of socket that was tried.
pub(super) fn may_ask() -> io::Result<()> {
    open(IpAddr::from([127, 0, 0, 1])).map(|_| ())
}

/// A socket for echoes, and what kind it is of.
fn open(address: IpAddr) -> io::Result<(Socket, &'static str)> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let new = |kind| Socket::new(domain, kind, Some(protocol));
    let (socket, kind) = match new(Type::DGRAM) {
        Ok(socket) => (socket, "datagram"),
        Err(_) => (new(Type::RAW)?, "raw"),
    };
    socket.set_nonblocking(true)?;
    Ok((socket, kind))
}

impl Echo {
    fn request(&self, identifier: u16) -> [u8; MESSAGE_BYTES] {
        let [i0, i1] = identifier.to_be_bytes();
        let [s0, s1] = self.sequence.to_be_bytes();
        let [t0, t1, t2, t3, t4, t5, t6, t7] = self.token;
        let message = |[c0, c1]: [u8; 2]| {
            [self.types.0, 0, c0, c1, i0, i1, s0, s1, t0, t1, t2, t3, t4, t5, t6, t7]
        };
        // The kernel computes that of ICMPv6 itself: it covers the addresses.
        message(checksum(&message([0, 0])))
    }

    /// Whether this is the reply, with an IPv4 header before it or without.
    fn is_reply(&self, packet: &[u8]) -> bool {
        let message = match packet.first() {
            Some(first) if self.types == ECHO_V4 && first >> 4 == 4 => {
                packet.get(usize::from(first & 0xf) * 4..).unwrap_or_default()
            }
            _ => packet,
        };
        let has = |at: usize, bytes: &[u8]| message.get(at..at + bytes.len()) == Some(bytes);
        has(0, &[self.types.1, 0]) && has(6, &self.sequence.to_be_bytes()) && has(8, &self.token)
    }
}

/// The internet checksum (RFC 1071).
fn checksum(message: &[u8]) -> [u8; 2] {
    let words = message.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while let high @ 1.. = sum >> 16 {
        sum = (sum & 0xffff) + high;
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests;
