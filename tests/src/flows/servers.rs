//! UDP servers on an origin, on both VIPs, each in a thread of its own.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::topology::{Origin, VIP_V4, VIP_V6};

/// Time between two looks of a server at whether it shall stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);
/// Longer than any datagram.
const BUFFER_BYTES: usize = 64 * 1024;

/// The servers of one origin. Dropped, they stop.
#[derive(Debug)]
pub(super) struct Servers {
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Starts servers at `port`; `answer` makes what each of them answers with, to a datagram from
    /// a peer.
    ///
    /// # Errors
    /// When the port cannot be bound.
    pub(super) fn start<A>(origin: &Origin, port: u16, answer: impl Fn() -> A) -> Result<Self>
    where
        A: FnMut(&[u8], SocketAddr) -> Vec<u8> + Send + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for vip in [VIP_V4.into(), VIP_V6.into()] {
            let socket = origin.host.udp_socket((vip, port))?;
            socket.set_read_timeout(Some(STOP_INTERVAL)).context("a server's time limit")?;
            let (stop, answer) = (Arc::clone(&stop), answer());
            workers.push(thread::spawn(move || serve(&socket, &stop, answer)));
        }
        Ok(Self { stop, workers })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            // One that panicked has stopped as well.
            let _ = worker.join();
        }
    }
}

fn serve(
    socket: &UdpSocket,
    stop: &AtomicBool,
    mut answer: impl FnMut(&[u8], SocketAddr) -> Vec<u8>,
) {
    let mut question = vec![0; BUFFER_BYTES];
    while !stop.load(Ordering::SeqCst) {
        // Nothing came, or an earlier answer found nobody: neither ends the server.
        let Ok((length, peer)) = socket.recv_from(&mut question) else { continue };
        // The peer asks again if this is lost.
        let _ = socket.send_to(&answer(question.get(..length).unwrap_or_default(), peer), peer);
    }
}
