//! The demo's traffic, IPv4 and IPv6, and the table that shows where it goes.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::http::Tally;
use lb_tests::http::load::Load;
use lb_tests::process::now;
use lb_tests::topology::{Agent, Host, VIP_V4, VIP_V6, port_80};
use serde_json::Value;

use crate::screen::{Row, Screen};

/// Connections at a time for each IP version.
const THREADS: usize = 2;
/// Pause of a thread between two requests; the demo shows spread, not speed. A port that the client
/// takes again goes where its last connection went while its slot is in transition, so the requests of
/// all steps must be few beside the client's 28,000 ports.
const PAUSE: Duration = Duration::from_millis(6);
/// Time between two drawings of a live table.
const REDRAW: Duration = Duration::from_millis(200);
/// Requests that make a share worth looking at.
const ENOUGH: u64 = 500;
/// Largest distance between a share of the table and the share of requests: four standard
/// deviations of a third of 500 requests are 0.084.
const TOLERANCE: f64 = 0.09;

/// Requests to both VIPs, in the background.
pub(crate) struct Traffic {
    v4: Load,
    v6: Load,
    /// What the agent last said of the backends.
    backends: Vec<Backend>,
}

/// What the table needs to know of a backend.
struct Backend {
    name: String,
    weight: u64,
    state: String,
    share: f64,
}

/// Requests since some moment.
pub(crate) struct Phase {
    v4: Tally,
    v6: Tally,
}

impl Phase {
    /// Both IP versions together.
    pub(crate) fn both(&self) -> Tally {
        let mut both = self.v4.clone();
        both.merge(&self.v6);
        both
    }

    /// What was counted after `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self { v4: self.v4.since(&earlier.v4), v6: self.v6.since(&earlier.v6) }
    }

    fn remark(&self) -> String {
        format!("  (IPv4 {}, IPv6 {})", self.v4.answered(), self.v6.answered())
    }
}

impl Traffic {
    /// Starts the requests.
    pub(crate) fn start(client: &Host) -> Self {
        Self {
            v4: Load::start(client, &[port_80(VIP_V4); THREADS], PAUSE),
            v6: Load::start(client, &[port_80(VIP_V6); THREADS], PAUSE),
            backends: Vec::new(),
        }
    }

    /// Asks the agent for weights, states and shares.
    pub(crate) fn look_at_backends(&mut self, agent: &Agent) -> Result<()> {
        let list = agent.files.ctl_json(&["backend", "list", "web"])?;
        let items = list.get("items").and_then(Value::as_array).context("no backends")?;
        self.backends = items.iter().map(backend).collect::<Result<_>>()?;
        Ok(())
    }

    /// Everything counted so far; requests counted later began after this call.
    pub(crate) fn mark(&self) -> Result<Phase> {
        Ok(Phase { v4: self.v4.settle()?, v6: self.v6.settle()? })
    }

    /// Shows for `duration` where requests begun from now on go, and gives their counts.
    pub(crate) fn watch(&self, screen: &Screen, duration: Duration) -> Result<Phase> {
        let begin = self.mark()?;
        self.watch_from(&begin, screen, duration)
    }

    /// Like [`Traffic::watch`], counting from `begin`.
    pub(crate) fn watch_from(
        &self,
        begin: &Phase,
        screen: &Screen,
        duration: Duration,
    ) -> Result<Phase> {
        let (start, mut drawn) = (now(), false);
        while start.elapsed() < duration {
            if screen.is_live() {
                let phase = self.so_far().since(begin);
                screen.table(&self.rows(), &phase.both(), &phase.remark(), drawn);
                drawn = true;
            }
            thread::park_timeout(REDRAW.min(duration));
        }
        let phase = self.mark()?.since(begin);
        screen.table(&self.rows(), &phase.both(), &phase.remark(), drawn);
        Ok(phase)
    }

    /// Fails unless the requests were spread as the agent's table is.
    pub(crate) fn expect_spread(&self, phase: &Phase) -> Result<()> {
        let tally = phase.both();
        ensure!(tally.answered() >= ENOUGH, "too few answers to judge the spread: {tally}");
        for Backend { name, share, .. } in &self.backends {
            let seen = tally.share(name);
            ensure!(
                (seen - share).abs() <= TOLERANCE,
                "{name} has {share:.3} of the table but {seen:.3} of the requests"
            );
        }
        Ok(())
    }

    /// Stops, and gives the count of everything.
    pub(crate) fn stop(self) -> Result<Tally> {
        let mut all = self.v4.stop()?;
        all.merge(&self.v6.stop()?);
        Ok(all)
    }

    fn so_far(&self) -> Phase {
        Phase { v4: self.v4.snapshot(), v6: self.v6.snapshot() }
    }

    fn rows(&self) -> Vec<Row> {
        let row = |backend: &Backend| Row {
            origin: backend.name.clone(),
            weight: backend.weight,
            state: backend.state.clone(),
        };
        self.backends.iter().map(row).collect()
    }
}

/// Fails if a request of `phase` failed.
pub(crate) fn expect_no_failure(phase: &Phase) -> Result<()> {
    let tally = phase.both();
    ensure!(tally.failed() == 0, "requests failed: {tally}");
    Ok(())
}

fn backend(item: &Value) -> Result<Backend> {
    let text = |field: &str| item.get(field).and_then(Value::as_str).map(str::to_owned);
    let parts = || {
        Some(Backend {
            name: text("name")?,
            weight: item.get("weight_effective")?.as_u64()?,
            state: text("state")?,
            share: item.get("share")?.as_f64()?,
        })
    };
    parts().with_context(|| format!("a backend without name, weight, state or share: {item}"))
}
