//! UDP flows, and the servers that know them apart.
//!
//! A [`Counter`] answers each datagram with the origin's name and the number of datagrams it has
//! had from that peer, so a client sees both another origin and one that came back.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result};

use super::servers::Servers;
use super::{Answer, Flow};
use crate::topology::{Host, Origin, VIP_V4, VIP_V6};

/// Port of the servers.
pub const PORT: u16 = 4000;

/// Time an answer may take until the question is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How often a question is asked: nobody promises that a datagram arrives.
const ATTEMPTS: usize = 5;
/// Longer than any datagram.
const BUFFER_BYTES: usize = 256;

/// Servers on one origin, on both VIPs. Dropped, they stop.
#[derive(Debug)]
pub struct Counter(#[expect(dead_code, reason = "dropped, they stop")] Servers);

impl Counter {
    /// Starts servers on `origin`.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(origin: &Origin) -> Result<Self> {
        let name = origin.name().to_owned();
        let answer = || {
            let (name, mut counts) = (name.clone(), HashMap::<_, u64>::new());
            move |_: &[u8], peer| {
                let count = counts.entry(peer).or_default();
                *count += 1;
                format!("{name}:{count}").into_bytes()
            }
        };
        Servers::start(origin, PORT, answer).map(Self)
    }
}

/// One flow: a socket with a port of its own.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    /// The last count heard; 0 if none.
    count: u64,
}

/// Opens `count` flows from `client`, to the VIPs in turn.
///
/// # Errors
/// When a socket cannot be had.
pub fn open(client: &Host, count: usize) -> Result<Vec<Datagrams>> {
    let ways: [(SocketAddr, SocketAddr); 2] = [
        ((Ipv4Addr::UNSPECIFIED, 0).into(), (VIP_V4, PORT).into()),
        ((Ipv6Addr::UNSPECIFIED, 0).into(), (VIP_V6, PORT).into()),
    ];
    client
        .enter(|| ways.iter().cycle().take(count).map(|(own, vip)| connect(*own, *vip)).collect())?
}

fn connect(own: SocketAddr, vip: SocketAddr) -> Result<Datagrams> {
    let socket = UdpSocket::bind(own).context("binding a UDP socket")?;
    socket.set_read_timeout(Some(ANSWER_LIMIT)).context("time limit")?;
    socket.connect(vip).with_context(|| format!("connecting to {vip}"))?;
    Ok(Datagrams { socket, count: 0 })
}

impl Flow for Datagrams {
    fn ask(&mut self) -> Result<(), String> {
        self.socket.send(b"?").map(drop).map_err(|error| format!("send: {error}"))
    }

    fn answer(&mut self) -> Result<Answer, String> {
        let mut answer = [0; BUFFER_BYTES];
        for _ in 0..ATTEMPTS {
            match self.socket.recv(&mut answer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(answer.get(..length).unwrap_or_default());
                    return self.judge(&text).ok_or_else(|| format!("answer: {text:?}"));
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    self.ask()?;
                }
                Err(error) => return Err(format!("receive: {error}")),
            }
        }
        Err(format!("no answer to {ATTEMPTS} questions"))
    }
}

impl Datagrams {
    fn judge(&mut self, answer: &str) -> Option<Answer> {
        let (name, count) = answer.split_once(':')?;
        let count: u64 = count.parse().ok()?;
        let known = count > self.count;
        self.count = count;
        let name = name.to_owned();
        Some(if known { Answer::From(name) } else { Answer::Stranger(name) })
    }
}
