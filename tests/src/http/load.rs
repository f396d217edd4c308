//! HTTP requests from several threads until told to stop, counted as they are answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::{Tally, fetch};
use crate::process::wait_until;
use crate::topology::Host;

/// Time a round of requests may take until [`Load::settle`] gives up; a request can wait for a
/// connection and for each read.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// Requests in the background. Dropped, it stops.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    tally: Mutex<Tally>,
    /// Requests finished, one counter per thread.
    finished: Vec<AtomicU64>,
}

impl Load {
    /// Starts one thread on `client` for each of `targets`; each sends a request, waits for
    /// `pause` and starts again.
    pub fn start(client: &Host, targets: &[SocketAddr], pause: Duration) -> Self {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            tally: Mutex::default(),
            finished: targets.iter().map(|_| AtomicU64::new(0)).collect(),
        });
        let workers = targets
            .iter()
            .copied()
            .enumerate()
            .map(|(worker, target)| {
                let (shared, client) = (Arc::clone(&shared), client.clone());
                thread::spawn(move || {
                    client.enter_this_thread()?;
                    shared.work(worker, target, pause);
                    Ok(())
                })
            })
            .collect();
        Self { shared, workers }
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> Tally {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until every request that is under way now has ended, and gives what was counted so
    /// far: whatever is counted later was begun after this call was made.
    ///
    /// # Errors
    /// When a thread makes no progress.
    pub fn settle(&self) -> Result<Tally> {
        let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let before: Vec<u64> = self.shared.finished.iter().map(count).collect();
        wait_until("the requests under way to end", SETTLE_LIMIT, || {
            let now = self.shared.finished.iter().map(count);
            Ok(now.zip(&before).all(|(now, before)| now > *before).then_some(()))
        })?;
        Ok(self.snapshot())
    }

    /// Waits until at least `count` more requests have been answered or failed.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub fn wait_for(&self, count: u64, limit: Duration) -> Result<Tally> {
        let before = self.snapshot();
        wait_until(&format!("{count} requests"), limit, || {
            let new = self.snapshot().since(&before);
            Ok((new.answered() + new.failed() >= count).then_some(new))
        })
    }

    /// Lets the requests under way end, stops, and gives everything that was counted.
    ///
    /// # Errors
    /// When a thread failed or panicked.
    pub fn stop(mut self) -> Result<Tally> {
        self.end()?;
        Ok(self.snapshot())
    }

    fn end(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            worker.join().map_err(|_panic| anyhow!("a thread of the HTTP load panicked"))??;
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // A failure was either reported by `stop` or happens while another is being reported.
        let _ = self.end();
    }
}

impl Shared {
    fn work(&self, worker: usize, target: SocketAddr, pause: Duration) {
        while !self.stop.load(Ordering::SeqCst) {
            let outcome = fetch(target, &[]);
            self.tally.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
            if let Some(counter) = self.finished.get(worker) {
                counter.fetch_add(1, Ordering::SeqCst);
            }
            // Parked, not asleep, so that `end` can wake it.
            thread::park_timeout(pause);
        }
    }
}
