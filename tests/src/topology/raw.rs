//! Packets made by hand, from any host; above all datagrams in tunnels: what a stranger could send
//! to an origin.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, PacketBuilder};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrLike, sendto, socket,
};

use super::host::Host;

/// Hop limit of inner and outer headers.
const HOPS: u8 = 64;
/// Longer than any datagram of a test.
const BUFFER_BYTES: usize = 2048;

/// A UDP datagram inside an IP packet: source and destination of the latter, and what it carries.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Address it claims to come from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Destination port.
    pub port: u16,
    /// Its content.
    pub content: &'a [u8],
}

impl Host {
    /// Sends `inner` from this host in an IP-in-IP tunnel from `source` to `destination`.
    ///
    /// # Errors
    /// When the families of a pair differ, or the kernel does not take the packet.
    pub fn send_tunnelled(
        &self,
        source: IpAddr,
        destination: IpAddr,
        inner: Datagram<'_>,
    ) -> Result<()> {
        let inner = inner.packet()?;
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let packet = wrap_v4(source, destination, &inner)?;
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                self.enter(|| send_raw(AddressFamily::Inet, &packet, &to))?
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let packet = wrap_v6(source, destination, &inner)?;
                let to = SockaddrIn6::from(SocketAddrV6::new(destination, 0, 0, 0));
                self.enter(|| send_raw(AddressFamily::Inet6, &packet, &to))?
            }
            _ => bail!("no tunnel from {source} to {destination}"),
        }
    }

    /// Sends whole IPv4 packets, headers included, from this host towards `destination`.
    ///
    /// # Errors
    /// When the kernel does not take one.
    pub fn send_packets(&self, destination: Ipv4Addr, packets: &[Vec<u8>]) -> Result<()> {
        let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
        let send = |packet: &Vec<u8>| send_raw(AddressFamily::Inet, packet, &to);
        self.enter(|| packets.iter().try_for_each(send))?
    }
}

impl Datagram<'_> {
    fn packet(&self) -> Result<Vec<u8>> {
        let builder = match (self.source, self.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                PacketBuilder::ipv4(from.octets(), to.octets(), HOPS)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                PacketBuilder::ipv6(from.octets(), to.octets(), HOPS)
            }
            (from, to) => bail!("no packet from {from} to {to}"),
        };
        let builder = builder.udp(self.port, self.port);
        let mut packet = Vec::with_capacity(builder.size(self.content.len()));
        builder.write(&mut packet, self.content).context("building the inner packet")?;
        Ok(packet)
    }
}

/// The next datagram's content; nothing if none comes for as long as `limit`.
///
/// # Errors
/// When the socket fails.
pub fn receive(socket: &UdpSocket, limit: Duration) -> Result<Option<Vec<u8>>> {
    socket.set_read_timeout(Some(limit)).context("setting a time limit")?;
    let mut buffer = [0; BUFFER_BYTES];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => return Ok(buffer.get(..length).map(<[u8]>::to_vec)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            // A call with a time limit is not restarted by the kernel (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("receiving a datagram"),
        }
    }
}

/// RFC 2003, RFC 4213.
fn wrap_v4(source: Ipv4Addr, destination: Ipv4Addr, inner: &[u8]) -> Result<Vec<u8>> {
    let length = u16::try_from(inner.len()).context("length of the inner packet")?;
    let header =
        Ipv4Header::new(length, HOPS, next_header(inner)?, source.octets(), destination.octets())
            .context("outer header")?;
    let mut packet = Vec::new();
    header.write(&mut packet).context("writing the outer header")?;
    packet.extend(inner);
    Ok(packet)
}

/// RFC 2473.
fn wrap_v6(source: Ipv6Addr, destination: Ipv6Addr, inner: &[u8]) -> Result<Vec<u8>> {
    let header = Ipv6Header {
        traffic_class: 0,
        flow_label: Ipv6FlowLabel::ZERO,
        payload_length: u16::try_from(inner.len()).context("length of the inner packet")?,
        next_header: next_header(inner)?,
        hop_limit: HOPS,
        source: source.octets(),
        destination: destination.octets(),
    };
    let mut packet = Vec::new();
    header.write(&mut packet).context("writing the outer header")?;
    packet.extend(inner);
    Ok(packet)
}

fn next_header(inner: &[u8]) -> Result<IpNumber> {
    match inner.first().map(|byte| byte >> 4) {
        Some(4) => Ok(IpNumber::IPV4),
        Some(6) => Ok(IpNumber::IPV6),
        version => bail!("inner packet of version {version:?}"),
    }
}

/// Sends a whole packet, headers included (`IPPROTO_RAW`, raw(7)).
fn send_raw(family: AddressFamily, packet: &[u8], to: &impl SockaddrLike) -> Result<()> {
    let socket = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)
        .context("making a raw socket")?;
    sendto(socket.as_raw_fd(), packet, to, MsgFlags::empty()).context("sending a raw packet")?;
    Ok(())
}
