//! Measures on one core: packets stay in its caches, and per-CPU lists are one list.

use std::thread;

use anyhow::{Context as _, Result, anyhow};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Runs `body` in a thread that stays on one core, the last that this process may use.
///
/// # Errors
/// The kernel refuses, or as `body`.
pub fn on_one<T: Send>(body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pinned = || {
        let this = Pid::from_raw(0);
        let allowed = sched_getaffinity(this).context("asking for the allowed cores")?;
        let last = (0..CpuSet::count()).rev().find(|cpu| allowed.is_set(*cpu).unwrap_or(false));
        let mut one = CpuSet::new();
        one.set(last.context("no core is allowed")?).context("choosing a core")?;
        sched_setaffinity(this, &one).context("staying on one core")?;
        body()
    };
    thread::scope(|scope| scope.spawn(pinned).join())
        .map_err(|_panic| anyhow!("the measuring thread panicked"))?
}
