//! Echo requests made by hand, and who answers them.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};
use etherparse::Ipv4Slice;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use super::host::Host;
use crate::packet;

/// Tells these echoes from those of others.
const IDENTIFIER: [u8; 2] = [0x4c, 0x42];
/// What every echo says.
const PAYLOAD: &[u8] = b"are you there?";
/// An ICMP header.
const HEADER_BYTES: usize = 8;
/// Longer than any packet of interest.
const BUFFER_BYTES: usize = 2048;

/// Asks for echoes and hears the answers, of one IP version.
#[derive(Debug)]
pub struct Pinger {
    /// A raw socket, which the standard library need not know.
    socket: UdpSocket,
    request: u8,
    reply: u8,
}

impl Host {
    /// A pinger on this host, for destinations of the version of `destination`.
    ///
    /// # Errors
    /// When there is no raw socket to be had.
    pub fn pinger(&self, destination: IpAddr) -> Result<Pinger> {
        let (family, protocol, request, reply) = match destination {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8, 0),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128, 129),
        };
        let open = || socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol);
        let socket = UdpSocket::from(self.enter(open)?.context("a raw socket")?);
        Ok(Pinger { socket, request, reply })
    }
}

impl Pinger {
    /// Asks `destination` for an echo with this number.
    ///
    /// # Errors
    /// When the kernel does not send it.
    pub fn ask(&self, destination: IpAddr, number: u16) -> Result<()> {
        let ([first, second], [high, low]) = (IDENTIFIER, number.to_be_bytes());
        // The kernel writes the checksum of ICMPv6 (RFC 3542 §3.1).
        let message = packet::icmp4(self.request, 0, [first, second, high, low], PAYLOAD);
        let sent = self.socket.send_to(&message, SocketAddr::new(destination, 0));
        sent.with_context(|| format!("asking {destination} for an echo"))?;
        Ok(())
    }

    /// The next answer, by source and number; nothing if none comes for as long as `limit`.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn answer(&self, limit: Duration) -> Result<Option<(IpAddr, u16)>> {
        self.socket.set_read_timeout(Some(limit)).context("setting a time limit")?;
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if let Some(number) = self.number_of(packet, source.is_ipv4()) {
                        return Ok(Some((source.ip(), number)));
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                // A call with a time limit is not restarted by the kernel (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("receiving an answer"),
            }
        }
    }

    /// The number of a packet that is an answer to us, and says what was asked.
    fn number_of(&self, packet: &[u8], is_ipv4: bool) -> Option<u16> {
        // Of IPv4, and only of that, a raw socket gives the header too (raw(7)).
        let message =
            if is_ipv4 { Ipv4Slice::from_slice(packet).ok()?.payload().payload } else { packet };
        let (header, payload) = message.split_at_checked(HEADER_BYTES)?;
        let &[kind, 0, _, _, first, second, high, low] = header else { return None };
        let is_ours = kind == self.reply && [first, second] == IDENTIFIER && payload == PAYLOAD;
        is_ours.then(|| u16::from_be_bytes([high, low]))
    }
}
