//! What checks cost: processor time of the probing thread, and how many fill a fifth of a core.
//!
//! `cargo bench -p lb-agent --bench probes` prints a line for each kind of check. The servers are
//! threads of the same process and are not counted, but on the loopback the kernel does much of a
//! server's work on the client's account: what checks cost over a network is rather less.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for its developers")]

mod servers;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_agent::core::health::{Probe, ProbeId};
use lb_agent::io::probes::{self, Errand, Prober};
use lb_common::config::{
    DnsCheck, DnsRcode, DnsRecord, ExecCheck, GrpcCheck, HealthCheck, HealthKind, HealthVia,
    HttpCheck, HttpMethod, StatusRange, Statuses, TlsCheck, Trust,
};
use tokio::time::{MissedTickBehavior, interval};

/// Checks a second of most types, and of those that take more than their share of this machine.
const RATE: u64 = 2000;
const SLOW_RATE: u64 = 500;
/// How long each kind is measured.
const TIME: Duration = Duration::from_secs(5);
/// Servers that answer, so that none of them is short of time.
const SERVERS: usize = 2;
/// Name of the thread that asks.
const THREAD: &str = "probes";
/// Probes are sent in as many portions a second, as the agent's timer would.
const PORTIONS: u64 = 250;

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

/// A type of check, as it is measured.
struct Kind {
    name: &'static str,
    asks: HealthKind,
    server: fn() -> SocketAddr,
    rate: u64,
}

#[expect(clippy::disallowed_methods, reason = "a measurement")]
async fn measure(Kind { name, asks, server, rate }: Kind) {
    // The thread of the kind before this one must not count.
    while cpu_time(THREAD) > Duration::ZERO {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (prober, mut finished) = Prober::start().unwrap();
    let servers: Vec<_> = (0..SERVERS).map(|_| question(server(), asks.clone())).collect();
    let mut portions = interval(Duration::from_secs(1) / u32::try_from(PORTIONS).unwrap());
    portions.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut came, mut failed) = (0, 0, 0);
    let (start, before) = (Instant::now(), cpu_time(THREAD));
    while came < sent || start.elapsed() < TIME {
        tokio::select! {
            _ = portions.tick(), if start.elapsed() < TIME => {
                for probe in servers.iter().cycle().take(usize::try_from(rate / PORTIONS).unwrap()) {
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
        "{name}: {rate:.0} checks a second take {percent:.1} % of a core, {each_us:.0} us each: \
         {:.0} in a fifth of a core; {failed} failed",
        0.2e6 / each_us
    );
}

fn kinds() -> [Kind; 8] {
    let http = HttpCheck {
        path: "/healthz".into(),
        method: HttpMethod::Get,
        host: None,
        expect_status: Statuses(vec![StatusRange { first: 200, last: 299 }]),
        expect_body: None,
        tls: None,
    };
    let with_body = HttpCheck { expect_body: Some("ok".into()), ..http.clone() };
    let trust =
        Trust::File { path: "/ca.pem".into(), certificates: Arc::new(vec![servers::authority()]) };
    let tls = TlsCheck { server_name: Some(servers::NAME.into()), trust };
    let https = HttpCheck { tls: Some(tls), ..http.clone() };
    let dns = DnsCheck {
        query: "www.example".into(),
        record: DnsRecord::A,
        expect_rcode: DnsRcode::NoError,
    };
    let grpc = GrpcCheck { service: String::new(), tls: None };
    let exec = ExecCheck {
        command: vec!["/bin/true".into()],
        environment: std::collections::BTreeMap::new(),
        user: None,
    };
    let kind = |name, asks, server, rate| Kind { name, asks, server, rate };
    [
        kind("tcp", HealthKind::Tcp, servers::http, RATE),
        kind("http", HealthKind::Http(http), servers::http, RATE),
        kind("http with a body", HealthKind::Http(with_body), servers::http, RATE),
        kind("dns", HealthKind::Dns(dns), servers::dns, RATE),
        kind("icmp", HealthKind::Icmp, servers::none, RATE),
        kind("grpc", HealthKind::Grpc(grpc), servers::grpc, RATE),
        kind("https", HealthKind::Http(https), servers::https, SLOW_RATE),
        kind("exec", HealthKind::Exec(exec), servers::none, SLOW_RATE),
    ]
}

fn main() {
    probes::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for kind in kinds() {
        runtime.block_on(measure(kind));
    }
}
