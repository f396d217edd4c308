//! What the balancer sends to each origin, captured on the router, with the kernel's timestamps.
//!
//! A packet socket for IPv4 sees what comes in by any interface of the router (packet(7)). What is
//! an IP packet inside another, to an origin's own address, came from the balancer's program; its
//! health checks are plain TCP and do not count.

use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeVal};

use super::Span;
use crate::process::now;
use crate::topology::{Host, ORIGINS_V4};

/// IPv4 and IPv6 in IPv4 (RFC 2003, RFC 4213).
const TUNNELLED: [u8; 2] = [4, 41];
/// An IPv4 header without options: all that is looked at.
const HEADER_BYTES: usize = 20;
/// Where it has the protocol, and the destination.
const PROTOCOL: usize = 9;
const DESTINATION: std::ops::Range<usize> = 16..20;
/// Room for packets while the thread waits for a CPU.
const BUFFER_BYTES: usize = 8 << 20;
/// Time between two looks at whether to stop, in microseconds.
const STOP_INTERVAL_US: i64 = 50_000;

/// A capture in the background. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Tap {
    shared: Arc<Shared>,
    worker: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
}

/// A packet, in time since the drill began, and the number of the origin it went to, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seen {
    at: Duration,
    origin: usize,
}

impl Tap {
    /// Starts to capture on `router`; times count from `start`.
    ///
    /// # Errors
    /// There is no such socket to be had.
    pub(super) fn start(router: &Host, start: Instant) -> Result<Self> {
        let socket = router.enter(open)?.context("opening a packet socket on the router")?;
        let (stop, seen) = (AtomicBool::new(false), Mutex::default());
        let shared = Arc::new(Shared { start, stop, seen });
        let in_thread = Arc::clone(&shared);
        let worker = thread::spawn(move || in_thread.work(&socket));
        Ok(Self { shared, worker: Some(worker) })
    }

    /// Ends the capture.
    ///
    /// # Errors
    /// The socket failed.
    pub(super) fn stop(mut self) -> Result<Capture> {
        self.end()?;
        let mut seen = self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Capture(std::mem::take(&mut *seen)))
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        match self.worker.take() {
            Some(worker) => worker.join().map_err(|_panic| anyhow!("the capture panicked"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // A failure was either reported by `stop` or happens while another is being reported.
        let _ = self.end();
    }
}

/// What was captured.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Capture(Vec<Seen>);

impl Capture {
    /// Packets to an origin in a span.
    pub(super) fn packets_to(&self, origin: usize, span: Span) -> usize {
        self.to(origin, span).count()
    }

    /// When the last packet to an origin came in a span.
    pub(super) fn last_to(&self, origin: usize, span: Span) -> Option<Duration> {
        self.to(origin, span).max()
    }

    fn to(&self, origin: usize, span: Span) -> impl Iterator<Item = Duration> {
        let times = self.0.iter().filter(move |seen| seen.origin == origin).map(|seen| seen.at);
        times.filter(move |at| (span.from..span.until).contains(at))
    }
}

fn open() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthIp)?;
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER_BYTES)?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, STOP_INTERVAL_US))?;
    Ok(socket)
}

impl Shared {
    fn work(&self, socket: &OwnedFd) -> Result<()> {
        let mut header = [0; HEADER_BYTES];
        let mut control = nix::cmsg_space!(TimeSpec);
        while !self.stop.load(Ordering::SeqCst) {
            let mut room = [IoSliceMut::new(&mut header)];
            let flags = MsgFlags::empty();
            let message =
                match recvmsg::<()>(socket.as_raw_fd(), &mut room, Some(&mut control), flags) {
                    Ok(message) => message,
                    Err(Errno::EAGAIN | Errno::EINTR) => continue,
                    Err(error) => return Err(error).context("reading a packet socket"),
                };
            let stamp =
                message.cmsgs().context("the time of a packet")?.find_map(
                    |message| match message {
                        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                        _ => None,
                    },
                );
            let stamp = stamp.context("a packet without a time")?;
            if let Some(origin) = origin_of(&header) {
                let at = self.since_start(stamp);
                let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.push(Seen { at, origin });
            }
        }
        Ok(())
    }

    /// The kernel stamps packets with the time of day; that they are some microseconds old is known
    /// on both clocks.
    #[expect(clippy::disallowed_methods, reason = "compared with the kernel's timestamps")]
    fn since_start(&self, stamp: Duration) -> Duration {
        let of_day = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = of_day.saturating_sub(stamp);
        now().duration_since(self.start).saturating_sub(age)
    }
}

/// The number of the origin that a tunnelled packet goes to.
fn origin_of(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let protocol = header.get(PROTOCOL)?;
    let destination: [u8; 4] = header.get(DESTINATION)?.try_into().ok()?;
    let address = Ipv4Addr::from(destination);
    let origin = ORIGINS_V4.iter().position(|origin| *origin == address)?;
    TUNNELLED.contains(protocol).then_some(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(protocol: u8, destination: Ipv4Addr) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[PROTOCOL] = protocol;
        header[DESTINATION].copy_from_slice(&destination.octets());
        header
    }

    #[test]
    fn only_tunnelled_packets_to_origins_count() {
        const TCP: u8 = 6;
        let [_, second, third] = ORIGINS_V4;
        assert_eq!(origin_of(&header(4, second)), Some(1));
        assert_eq!(origin_of(&header(41, third)), Some(2));
        assert_eq!(origin_of(&header(TCP, second)), None);
        assert_eq!(origin_of(&header(4, Ipv4Addr::LOCALHOST)), None);
    }

    #[test]
    fn packets_are_counted_by_origin_and_span() {
        let ms = Duration::from_millis;
        let seen = [(1, 0), (5, 1), (7, 1), (9, 1)];
        let capture = Capture(seen.map(|(at, origin)| Seen { at: ms(at), origin }).to_vec());
        let span = Span { from: ms(2), until: ms(9) };
        assert_eq!((capture.packets_to(0, span), capture.packets_to(1, span)), (0, 2));
        assert_eq!(capture.last_to(1, span), Some(ms(7)));
        assert_eq!(capture.last_to(0, span), None);
    }
}
