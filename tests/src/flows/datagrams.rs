//! UDP flows, and the servers that know them apart.
//!
//! A [`Counter`] answers each datagram with the origin's name and the number of datagrams it has
//! had from that peer, so a client sees both another origin and one that came back.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Answer, Flow};
use crate::topology::{Host, Origin, VIP_V4, VIP_V6};

/// Port of the servers.
pub const PORT: u16 = 4000;

/// Time between two looks of a server at whether it shall stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);
/// Time an answer may take until the question is asked again.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// How often a question is asked: nobody promises that a datagram arrives.
const ATTEMPTS: usize = 5;
/// Longer than any datagram.
const BUFFER_BYTES: usize = 256;

/// A server on one origin, on both VIPs. Dropped, it stops.
#[derive(Debug)]
pub struct Counter {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Counter {
    /// Starts a server on `origin`.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub fn start(origin: &Origin) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for vip in [VIP_V4.into(), VIP_V6.into()] {
            let socket = origin.host.udp_socket((vip, PORT))?;
            socket.set_read_timeout(Some(STOP_INTERVAL)).context("a server's time limit")?;
            let (stop, name) = (Arc::clone(&stop), origin.name().to_owned());
            workers.push(thread::spawn(move || serve(&socket, &name, &stop)));
        }
        Ok(Self { stop, workers })
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            // One that panicked has stopped as well.
            let _ = worker.join();
        }
    }
}

fn serve(socket: &UdpSocket, name: &str, stop: &AtomicBool) {
    let mut counts: HashMap<SocketAddr, u64> = HashMap::new();
    let mut question = [0; BUFFER_BYTES];
    while !stop.load(Ordering::SeqCst) {
        // Nothing came, or an earlier answer found nobody: neither ends the server.
        let Ok((_, peer)) = socket.recv_from(&mut question) else { continue };
        let count = counts.entry(peer).or_default();
        *count += 1;
        // The peer asks again if this is lost.
        let _ = socket.send_to(format!("{name}:{count}").as_bytes(), peer);
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
