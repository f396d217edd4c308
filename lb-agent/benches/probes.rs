//! What checks cost: the share of a core that the probing thread takes at 2,000 checks a second.
//!
//! `cargo bench -p lb-agent --bench probes` prints a line for each kind of check. The servers are
//! threads of the same process and are not counted, but on the loopback the kernel does much of a
//! server's work on the client's account: what checks cost over a network is rather less.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for its developers")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lb_agent::core::health::{Probe, ProbeId};
use lb_agent::io::probes::{self, Errand, Prober};
use lb_common::config::{
    HealthCheck, HealthKind, HealthVia, HttpCheck, HttpMethod, StatusRange, Statuses,
};
use tokio::time::{MissedTickBehavior, interval};

/// Checks a second.
const RATE: u64 = 2000;
/// How long each kind is measured.
const TIME: Duration = Duration::from_secs(5);
/// Servers that answer, so that none of them is short of time.
const SERVERS: usize = 2;
/// Name of the thread that asks.
const THREAD: &str = "probes";
/// Probes are sent in as many portions a second, as the agent's timer would.
const PORTIONS: u64 = 500;

/// A server that answers 200 to whatever it is sent.
fn serve(listener: &TcpListener) {
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        // A check of type tcp sends nothing and resets.
        if stream.read(&mut request).is_ok_and(|length| length > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    }
}

fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || serve(&listener));
    address
}

fn question(address: SocketAddr, kind: HealthKind) -> Probe {
    let check = HealthCheck {
        kind,
        port: None,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        panic_threshold: 1,
        via: HealthVia::Direct,
    };
    let (pool, backend) = ("web".to_owned(), "web-1".to_owned());
    let check = Arc::new(check);
    let id = ProbeId::default();
    Probe { id, pool, backend, address, tunnel: None, check, report_port: None }
}

/// Time of processors that the thread of this name has had.
fn cpu_time(name: &str) -> Duration {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let of_thread = threads.filter_map(|entry| {
        let path = entry.ok()?.path();
        let is_it = fs::read_to_string(path.join("comm")).ok()?.trim() == name;
        let run = fs::read_to_string(path.join("schedstat")).ok().filter(|_| is_it)?;
        run.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
    });
    of_thread.sum()
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn measure(name: &str, kind: &HealthKind) {
    // The thread of the kind before this one must not count.
    while cpu_time(THREAD) > Duration::ZERO {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (prober, mut finished) = Prober::start().unwrap();
    let servers: Vec<_> = (0..SERVERS).map(|_| question(server(), kind.clone())).collect();
    let mut portions = interval(Duration::from_secs(1) / u32::try_from(PORTIONS).unwrap());
    portions.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut came, mut failed) = (0, 0, 0);
    let (start, before) = (Instant::now(), cpu_time(THREAD));
    while came < sent || start.elapsed() < TIME {
        tokio::select! {
            _ = portions.tick(), if start.elapsed() < TIME => {
                for probe in servers.iter().cycle().take(usize::try_from(RATE / PORTIONS).unwrap()) {
                    prober.ask(Errand { probe: probe.clone(), counts: None });
                    sent += 1;
                }
            }
            Some((_, outcome)) = finished.recv() => {
                came += 1;
                failed += u64::from(!outcome.is_ok_and(|outcome| outcome.passed));
            }
        }
    }
    let (wall, cpu) = (start.elapsed(), cpu_time(THREAD).saturating_sub(before));
    let percent = cpu.as_secs_f64() / wall.as_secs_f64() * 100.0;
    let each_us = cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(came).unwrap());
    let rate = f64::from(u32::try_from(came).unwrap()) / wall.as_secs_f64();
    println!(
        "{name}: {rate:.0} checks a second take {percent:.1} % of a core, {each_us:.0} us each; \
         {failed} failed"
    );
}

fn main() {
    probes::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let http = HttpCheck {
        path: "/healthz".into(),
        method: HttpMethod::Get,
        host: None,
        expect_status: Statuses(vec![StatusRange { first: 200, last: 299 }]),
        expect_body: None,
        tls: None,
    };
    let with_body = HttpCheck { expect_body: Some("ok".into()), ..http.clone() };
    let kinds = [
        ("tcp", HealthKind::Tcp),
        ("http", HealthKind::Http(http)),
        ("http with a body", HealthKind::Http(with_body)),
    ];
    for (name, kind) in &kinds {
        runtime.block_on(measure(name, kind));
    }
}
