//! Bare SYNs, made by hand, and who receives them.
//!
//! They come from an address in the client's subnet that nobody has: a kernel that had it would
//! answer the SYN-ACK with a reset, and be another packet of the flow.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etherparse::{PacketBuilder, SlicedPacket, TransportSlice};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};

use crate::process::wait_until;
use crate::topology::{Host, Origin, VIP_V4};

/// Where the SYNs come from.
const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 99);
/// Port they go to.
const PORT: u16 = 80;
/// Initial sequence number, the same in a retransmission.
const SEQUENCE: u32 = 1;
const WINDOW_BYTES: u16 = 64_240;
const HOPS: u8 = 64;
/// Longer than any packet of interest.
const BUFFER_BYTES: usize = 2048;
/// Time the SYNs may take to arrive.
const LIMIT: Duration = Duration::from_secs(10);

/// Sends a SYN to the IPv4 VIP from each of `ports`.
///
/// # Errors
/// When the kernel does not take one.
pub fn send(client: &Host, ports: impl IntoIterator<Item = u16>) -> Result<()> {
    let packets: Result<Vec<_>> = ports.into_iter().map(syn).collect();
    client.send_packets(VIP_V4, &packets?)
}

fn syn(port: u16) -> Result<Vec<u8>> {
    let builder = PacketBuilder::ipv4(SOURCE.octets(), VIP_V4.octets(), HOPS)
        .tcp(port, PORT, SEQUENCE, WINDOW_BYTES)
        .syn();
    let mut packet = Vec::with_capacity(builder.size(0));
    builder.write(&mut packet, &[]).context("building a SYN")?;
    Ok(packet)
}

/// Listens on every origin for these SYNs.
#[derive(Debug)]
pub struct Witness {
    taps: Vec<(String, OwnedFd)>,
    /// Origins that received the SYN of a port, in the order in which they were seen.
    seen: BTreeMap<u16, Vec<String>>,
}

impl Witness {
    /// Begins to listen.
    ///
    /// # Errors
    /// When an origin has no raw socket to give.
    pub fn new(origins: &[Origin]) -> Result<Self> {
        let tap = |origin: &Origin| {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let open = || socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Tcp);
            Ok((origin.name().to_owned(), origin.host.enter(open)?.context("a raw socket")?))
        };
        let taps: Result<Vec<_>> = origins.iter().map(tap).collect();
        Ok(Self { taps: taps?, seen: BTreeMap::new() })
    }

    /// Waits until `count` SYNs have been received in all, and gives the origins by port.
    ///
    /// # Errors
    /// When they do not come, or more of them do.
    pub fn wait_for(&mut self, count: usize) -> Result<&BTreeMap<u16, Vec<String>>> {
        wait_until(&format!("{count} SYNs at the origins"), LIMIT, || {
            self.drain()?;
            let seen: usize = self.seen.values().map(Vec::len).sum();
            ensure!(seen <= count, "{seen} SYNs instead of {count}");
            Ok((seen == count).then_some(()))
        })?;
        Ok(&self.seen)
    }

    fn drain(&mut self) -> Result<()> {
        let mut buffer = [0; BUFFER_BYTES];
        for (origin, tap) in &self.taps {
            loop {
                match recv(tap.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    Ok(length) => {
                        let port = opening_port(buffer.get(..length).unwrap_or_default());
                        if let Some(port) = port {
                            self.seen.entry(port).or_default().push(origin.clone());
                        }
                    }
                    Err(Errno::EAGAIN) => break,
                    Err(Errno::EINTR) => {}
                    Err(error) => return Err(error).context("reading a raw socket"),
                }
            }
        }
        Ok(())
    }
}

/// The source port of a packet that is one of our SYNs.
fn opening_port(packet: &[u8]) -> Option<u16> {
    let sliced = SlicedPacket::from_ip(packet).ok()?;
    let source = match sliced.net? {
        etherparse::NetSlice::Ipv4(ip) => ip.header().source_addr(),
        _ => return None,
    };
    let TransportSlice::Tcp(tcp) = sliced.transport? else { return None };
    (source == SOURCE && tcp.syn() && !tcp.ack()).then(|| tcp.source_port())
}
