//! Datagrams larger than any link takes at once, and servers that send them back.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;

use super::servers::Servers;
use crate::topology::{Host, Origin};

/// Port of the servers.
pub const PORT: u16 = 4001;

/// Time an answer may take until the question is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How often a question is asked: nobody promises that all fragments arrive, and in order.
const ATTEMPTS: usize = 5;
/// Longer than any answer.
const BUFFER_BYTES: usize = 64 * 1024;

/// Servers on one origin that answer with its name, a colon and what they were sent.
#[derive(Debug)]
pub struct Echo(#[expect(dead_code, reason = "dropped, they stop")] Servers);

impl Echo {
    /// Starts them.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(origin: &Origin) -> Result<Self> {
        let prefix = format!("{}:", origin.name());
        let answer = || {
            let prefix = prefix.clone();
            move |question: &[u8], _| [prefix.as_bytes(), question].concat()
        };
        Servers::start(origin, PORT, answer).map(Self)
    }
}

/// A flow of such datagrams: a socket with a port of its own.
#[derive(Debug)]
pub struct Large(UdpSocket);

impl Large {
    /// Opens a flow from `client` to a VIP.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn open(client: &Host, vip: IpAddr) -> Result<Self> {
        let own: IpAddr = match vip {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = client.udp_socket((own, 0))?;
        socket.set_read_timeout(Some(ANSWER_LIMIT)).context("time limit")?;
        let connect = || socket.connect((vip, PORT));
        client.enter(connect)?.with_context(|| format!("connecting to {vip}"))?;
        Ok(Self(socket))
    }

    /// Sends a datagram of `bytes` and gives the name of the origin that sent it back, whole.
    ///
    /// # Errors
    /// When nobody does, or something else comes back.
    pub fn ask(&self, bytes: usize) -> Result<String> {
        // No two fragments are alike, so that none can stand in another's place.
        let question: Vec<u8> = (0_u32..).flat_map(u32::to_be_bytes).take(bytes).collect();
        let mut answer = vec![0; BUFFER_BYTES];
        for _ in 0..ATTEMPTS {
            let answered = self.0.send(&question).and_then(|_| self.0.recv(&mut answer));
            match answered {
                Ok(length) => {
                    let answer = answer.get(..length).unwrap_or_default();
                    let name = answer.strip_suffix(question.as_slice());
                    let name = name.and_then(|name| name.strip_suffix(b":"));
                    let name = name.with_context(|| format!("{length} other bytes came back"))?;
                    return Ok(String::from_utf8_lossy(name).into_owned());
                }
                Err(error) if may_be_repeated(&error) => {}
                Err(error) => return Err(error).with_context(|| format!("asking {bytes} bytes")),
            }
        }
        bail!("no answer to {ATTEMPTS} datagrams of {bytes} bytes")
    }
}

/// No answer in time, or the kernel was told that a fragment was too large and makes smaller ones
/// from now on (ip(7)).
fn may_be_repeated(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        || error.raw_os_error() == Some(Errno::EMSGSIZE as i32)
}
