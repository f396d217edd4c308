//! What the agent takes while nothing happens: 100 services of one pool of 100 backends, each checked
//! every two seconds over TCP.
//!
//! A real agent runs in a namespace, and a real nginx answers at all addresses. Its processor time is
//! read from the kernel, thread by thread, once a second, and its memory at the end.

use std::fmt::Write as _;
use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::report::Row;
use super::statistics::Series;
use crate::process::{now, wait_until};
use crate::topology::{Agent, BALANCER_V4, Topology};

/// Name of the row.
pub const NAME: &str = "agent-at-rest";
const SERVICES: usize = 100;
const BACKENDS: usize = 100;
/// Host part of the first backend's address.
const FIRST: usize = 100;
/// Time in which all have been checked and next hops are known.
const SETTLED: Duration = Duration::from_secs(30);

/// Watches an agent for so many seconds: nanoseconds of processor time for each of them, and with that
/// the share of a core in percent, and what
/// is in memory.
///
/// # Errors
/// The network or the agent cannot be set up, or the backends are not found up.
pub fn measure(seconds: usize) -> Result<Row> {
    let topology = Topology::new("rest")?;
    let origin = topology.origins.first().context("no origin")?;
    let mut batch = String::new();
    for number in FIRST..FIRST + BACKENDS {
        // Writing to a String cannot fail.
        let _ = writeln!(batch, "addr add 10.3.0.{number}/24 dev eth0");
    }
    origin.host.ip(&batch)?;
    let agent = topology.start_agent(&configuration())?;
    wait_until("all backends to be up", SETTLED, || {
        let up = agent.status()?.pointer("/health/up").and_then(serde_json::Value::as_u64);
        Ok((up == Some(BACKENDS as u64)).then_some(()))
    })?;
    let mut series = Series::default();
    for _ in 0..seconds {
        let (before, begun) = (processor_ns(&agent)?, now());
        thread::park_timeout(Duration::from_secs(1));
        let spent = processor_ns(&agent)? - before;
        series.push(spent / begun.elapsed().as_secs_f64());
    }
    let row = Row::alone(NAME, &series).context("no seconds, no figures")?;
    let core_percent = row.ns_median / 1e7;
    let (own_mib, maps_mib) = resident_mib(&agent)?;
    let more = vec![
        ("core_percent", core_percent),
        ("resident_mib", own_mib),
        ("resident_maps_mib", maps_mib),
    ];
    Ok(Row { more, ..row })
}

/// Processor time of all threads of the agent, nanoseconds. One that has ended counts no more; these
/// do not end.
fn processor_ns(agent: &Agent) -> Result<f64> {
    let tasks = format!("/proc/{}/task", agent.process.pid());
    let mut sum = 0.0;
    for task in fs::read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
        let path = task?.path().join("schedstat");
        let text =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let first = text.split_whitespace().next().context("an empty schedstat")?;
        sum += first.parse::<f64>()?;
    }
    ensure!(sum > 0.0, "the kernel counts no time for {tasks}");
    Ok(sum)
}

/// Memory in RAM that is the agent's own, and that of the maps which it has mapped and touched: these
/// are the kernel's, and there without an agent. Both in MiB.
fn resident_mib(agent: &Agent) -> Result<(f64, f64)> {
    let path = format!("/proc/{}/smaps", agent.process.pid());
    let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let (mut own_kib, mut maps_kib, mut is_map) = (0.0, 0.0, false);
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first.contains('-') {
            is_map = line.ends_with("bpf-map");
        } else if first == "Rss:" {
            let kib: f64 = words.next().context("no size behind Rss")?.parse()?;
            *(if is_map { &mut maps_kib } else { &mut own_kib }) += kib;
        }
    }
    ensure!(own_kib > 0.0, "no memory in {path}");
    Ok((own_kib / 1024.0, maps_kib / 1024.0))
}

fn configuration() -> String {
    let mut text = format!(
        "node:\n  name: edge-1\n  encap_source: {{ ipv4: {BALANCER_V4} }}\n\
         interfaces:\n  - {{ name: eth0, mode: native }}\npools:\n  - name: web\n    \
         health: {{ type: tcp, port: 80, interval: 2s, timeout: 1s }}\n    backends:\n"
    );
    // Writing to a String cannot fail.
    for number in 0..BACKENDS {
        let address = format!("10.3.0.{}", FIRST + number);
        let _ = writeln!(text, "      - {{ name: web-{number}, address: {address} }}");
    }
    text.push_str("services:\n");
    for number in 0..SERVICES {
        let _ = writeln!(
            text,
            "  - {{ name: web-{number}, vip: 203.0.113.{number}, protocol: tcp, ports: [80], \
             pool: web }}"
        );
    }
    text
}
