//! 10,000 services and 10,000 backends: the whole way from the file to what the maps hold.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test of its own crate")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_agent::core::drain::Drain;
use lb_agent::core::effective::effective;
use lb_agent::core::health::Conditions;
use lb_agent::core::ids::Ids;
use lb_agent::core::overrides::{Change, Overrides};
use lb_agent::core::plan::{Op, carry_out, plan};
use lb_agent::core::settings::Settings;
use lb_agent::core::sweep::{Windows, idle_timeouts, sweep};
use lb_agent::core::tables::Tables;
use lb_agent::core::target::{Ways, keep_leaving, target};
use lb_agent::core::way::{Link, LinkKind, Way};
use lb_common::abi::Pin;
use lb_common::config::{self, Desired};
use lb_common::image::Image;

/// How long each step may take: generous, since tests are hardly optimised and machines are busy. A
/// step that looks at every pair of things takes minutes.
const STEP_MAX: Duration = Duration::from_secs(20);

/// A file with so many pools, each with its part of 10,000 backends, and 10,000 services.
fn file(pools: usize, scheduler: &str, table_slots: u32) -> String {
    let mut text = String::from(
        "node: { name: edge-1, encap_source: { ipv4: 10.255.0.1 } }\n\
         interfaces: [{ name: eth0 }]\n\
         limits: { services: 20000, pools: 10000, backends: 10000, table_slots: 33554432 }\npools:\n",
    );
    for pool in 0..pools {
        let how = format!("scheduler: {scheduler}, table_slots: {table_slots}");
        write!(text, "  - {{ name: pool-{pool}, {how}, backends: [").unwrap();
        for number in (pool..10_000).step_by(pools) {
            let (address, weight) = (address(number), 1 + number % 3);
            write!(text, "{{ name: b-{number}, address: {address}, weight: {weight} }}, ").unwrap();
        }
        text.push_str("] }\n");
    }
    text.push_str("services:\n");
    for number in 0..10_000_usize {
        let [.., high, low] = number.to_be_bytes();
        let vip = IpAddr::from([203, 0, high, low]);
        let pool = number % pools;
        writeln!(
            text,
            "  - {{ name: s-{number}, vip: {vip}, protocol: tcp, ports: [443], pool: pool-{pool} }}"
        )
        .unwrap();
    }
    text
}

fn address(number: usize) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    IpAddr::from([10, 3, high, low])
}

/// Ways to all backends.
fn ways() -> Ways {
    let link = Link {
        index: 2,
        name: "eth0".into(),
        mac: [2; 6],
        mtu_bytes: 1600,
        up: true,
        kind: LinkKind::Plain,
    };
    let way = |number| {
        let gateway = address(number);
        let link = link.clone();
        (gateway, Way::Known { gateway, link, mac: [4; 6], mtu_bytes: 1600 })
    };
    (0..10_000).map(way).collect()
}

/// Does a step, and says and bounds what it took.
#[expect(clippy::disallowed_methods, reason = "the claim is about time")]
fn timed<T>(step: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    let took = start.elapsed();
    println!("{step:<12} {took:?}");
    assert!(took < STEP_MAX, "{step} took {took:?}");
    done
}

/// The maps, and what the agent keeps beside them.
#[derive(Default)]
struct Host {
    tables: Tables,
    maps: Image,
}

impl Host {
    /// Brings the maps to a configuration with overrides; the operations it took.
    fn change_to(&mut self, desired: &Desired, overrides: &Overrides, ways: &Ways) -> Vec<Op> {
        let effective =
            timed("effective", || effective(desired, overrides, &Conditions::default()));
        let ids = timed("ids", || Ids::adopt(&self.maps).assign(desired).unwrap());
        timed("tables", || self.tables.update(desired, &effective, &ids).unwrap());
        let links = BTreeSet::from([2]);
        let mut target = timed("target", || target(desired, &ids, &self.tables, ways, &links));
        timed("leaving", || {
            keep_leaving(&mut target, &self.maps, &BTreeSet::new(), ways, &desired.limits);
        });
        let before = self.maps.clone();
        let resting = BTreeSet::new();
        let ops = timed("plan", || plan(&before, &target, &desired.limits, &resting).unwrap());
        timed("carry out", || ops.iter().for_each(|op| carry_out(&mut self.maps, op)));
        let timeouts = idle_timeouts(desired, &ids);
        let mut windows = Windows::default();
        timed("windows", || windows.open(&before, &self.maps, &timeouts, 0));
        let pins = std::iter::repeat_n(Pin::EMPTY, 1 << 20);
        timed("sweep", || sweep(&self.maps, &mut windows, pins, &timeouts, 0));
        assert_eq!(self.maps.services, target.services);
        assert_eq!(self.maps.backends, target.backends);
        assert!(plan(&self.maps, &target, &desired.limits, &resting).unwrap().is_empty());
        ops
    }
}

fn live(pools: usize, scheduler: &str, table_slots: u32) {
    let text = file(pools, scheduler, table_slots);
    let desired = timed("parse", || config::parse("scale.yaml", &text)).unwrap();
    let ways = ways();
    let mut host = Host::default();

    host.change_to(&desired, &Overrides::default(), &ways);
    assert_eq!(host.maps.services.len(), 20_000);
    assert_eq!(host.maps.backends.len(), 10_000);
    assert_eq!(host.maps.pools.len(), pools);
    Settings::of(&desired);

    // One command on one backend is a change of its pool alone.
    let drained = Overrides::default().with("pool-0", "b-0", Change::Drain(Some(Drain::default())));
    let ops = host.change_to(&desired, &drained, &ways);
    assert!(ops.len() <= 4, "{} operations", ops.len());
}

#[test]
fn ten_thousand_pools_of_one_backend_each() {
    live(10_000, "maglev", 251);
}

#[test]
fn a_hundred_pools_of_a_hundred_backends_that_take_turns() {
    live(100, "weighted-round-robin", 1021);
}

#[test]
fn one_pool_of_ten_thousand_backends() {
    live(1, "weighted-round-robin", 65_521);
}
