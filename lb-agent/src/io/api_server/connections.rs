//! Connections of the control API: how many there may be, and how long each may take.
//!
//! A client that connects and hangs must not keep others out, however many of them there are, and
//! must not cost the agent the descriptors it needs for files and netlink. So each connection
//! carries one request, which is what `lb-ctl` sends; it ends after a minute ([`LIMITS`])
//! whatever it does; and when [`CONNECTIONS_MAX`] are open, a new one takes the place of the oldest that the
//! agent's loop is not working for. Only then, and only if the loop works for all of them, does
//! the newcomer wait. Who follows events, of whom there are few, keeps its place and stays for as
//! long as it reads.
//!
//! Caller: `api_server::serve`.

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::errno::Errno;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{Answer, Call, Sources, Wanted, routes};
use crate::io::journal::{Follower, Taken};
use crate::io::metrics::ScrapeError;

/// Connections at once: one for each call that may wait for the loop, far below the 1,024
/// descriptors that a process usually gets.
pub(super) const CONNECTIONS_MAX: usize = 64;
/// What the agent gives its clients. The head of a request takes a local client microseconds.
pub(super) const LIMITS: Limits =
    Limits { head: Duration::from_secs(5), connection: Duration::from_mins(1) };
/// Pause after the kernel refused to hand over a connection: most likely descriptors ran out, and
/// asking again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the connect to the end of the request's head.
    pub(super) head: Duration,
    /// From the connect to the last byte of the answer.
    pub(super) connection: Duration,
}

/// Answers the requests of one connection: from the agent's loop, or from the journal.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) sources: Sources,
    place: Place,
    /// How far it is, once it follows.
    following: Arc<OnceLock<Taken>>,
}

impl Caller {
    /// Calls the loop and waits for the answer; none if the loop has ended. Until then the
    /// connection keeps its place.
    pub(super) async fn ask(&self, wanted: Wanted) -> Option<Answer> {
        let (answer, answered) = oneshot::channel();
        let _kept = self.place.keep();
        match self.sources.calls.send(Call { wanted, answer }).await {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        }
    }

    /// The metrics as text. The connection keeps its place meanwhile.
    pub(super) async fn metrics(&self) -> Result<String, ScrapeError> {
        let _kept = self.place.keep();
        self.sources.scraper.text().await
    }

    /// Follows the events after a number; none if too many do. The connection keeps its place for as
    /// long as the second of these lives.
    pub(super) fn follow(&self, since: Option<u64>) -> Option<(Follower, Kept)> {
        let follower = self.sources.journal.follow(since)?;
        // One request a connection: it is set once.
        let _ = self.following.set(follower.taken());
        Some((follower, self.place.keep()))
    }
}

/// The place of a connection among the open ones.
#[derive(Clone, Debug, Default)]
struct Place {
    /// Whether it must not be given to another.
    is_kept: Arc<AtomicBool>,
    /// Told when `is_kept` ends.
    freed: Arc<Notify>,
}

impl Place {
    fn keep(&self) -> Kept {
        self.is_kept.store(true, Ordering::Relaxed);
        Kept(self.clone())
    }
}

/// Keeps a place for as long as it lives.
#[derive(Debug)]
pub(super) struct Kept(Place);

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.is_kept.store(false, Ordering::Relaxed);
        self.0.freed.notify_one();
    }
}

/// The open connections, oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    open: VecDeque<Connection>,
    freed: Arc<Notify>,
}

struct Connection {
    task: AbortHandle,
    is_kept: Arc<AtomicBool>,
}

/// Accepts and serves connections until the listener breaks.
pub(super) async fn serve(
    listener: UnixListener,
    sources: Sources,
    limits: Limits,
) -> io::Result<()> {
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.make_room().await;
                connections.start(stream, &sources, limits);
            }
            Err(error) if is_passing(&error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Whether accept(2) may succeed later: the client had gone, or the system is short of something.
fn is_passing(error: &io::Error) -> bool {
    use Errno::{ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM};
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(ECONNABORTED | EINTR | EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

impl Connections {
    /// Waits until there is room for one more; ends the oldest that may be ended, if need be.
    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.open.retain(|connection| !connection.task.is_finished());
            if self.tasks.len() < CONNECTIONS_MAX {
                return;
            }
            let idle = |connection: &Connection| !connection.is_kept.load(Ordering::Relaxed);
            let oldest = self.open.iter().position(idle);
            if let Some(connection) = oldest.and_then(|oldest| self.open.remove(oldest)) {
                debug!("ended the oldest connection: {CONNECTIONS_MAX} were open");
                connection.task.abort();
            }
            tokio::select! {
                _ = self.tasks.join_next() => {}
                () = self.freed.notified() => {}
            }
        }
    }

    fn start(&mut self, stream: UnixStream, sources: &Sources, limits: Limits) {
        let place = Place { freed: Arc::clone(&self.freed), ..Place::default() };
        let is_kept = Arc::clone(&place.is_kept);
        let caller = Caller { sources: sources.clone(), place, following: Arc::default() };
        let task = self.tasks.spawn(serve_one(stream, caller, limits));
        self.open.push_back(Connection { task, is_kept });
    }
}

/// Serves one request. How it ends is the client's business: it has its answer, or has gone.
async fn serve_one(stream: UnixStream, caller: Caller, limits: Limits) {
    let following = Arc::clone(&caller.following);
    let journal = Arc::clone(&caller.sources.journal);
    let service = TowerToHyperService::new(routes::router(caller));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stuck_at = None;
    while timeout(limits.connection, &mut connection).await.is_err() {
        // Who follows stays, unless it has left events lying for all that time.
        let taken = following.get().map(Taken::last);
        if taken.is_none() || taken == stuck_at {
            debug!(?limits, "ended a connection that took too long");
            return;
        }
        stuck_at = taken.filter(|taken| *taken < journal.last());
    }
}
