//! Configurations for the tests of `core` and `io`: written out, or random.
//!
//! Both are YAML texts read by the real parser, so no test runs on what the agent would refuse.
//! [`Agent`] goes the way of the agent's loop from one configuration to the next, without maps.

mod agent;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::SLOTS_PER_PAGE;
use lb_common::config::{self, Desired, Encapsulation, Limits, Scheduler};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::target::Ways;
use super::way::{Link, LinkKind, Way};

pub(crate) use agent::{Agent, Step};

/// Reads a configuration that must be valid.
pub(crate) fn parse(text: &str) -> Desired {
    config::parse("sample.yaml", text)
        .unwrap_or_else(|error| panic!("{error}: {:?}\n{text}", error.problems))
}

/// A configuration with these pools and services, both as YAML lists.
pub(crate) fn desired(pools: &str, services: &str) -> Desired {
    parse(&format!(
        "node: {{ name: edge-1, encap_source: {{ ipv4: 10.2.0.2, ipv6: 'fd00:2::2' }} }}\n\
         interfaces: [{{ name: eth0 }}]\npools: {pools}\nservices: {services}\n"
    ))
}

/// The interface of every way: one that there is in every network namespace, since the kernel's map
/// takes no others.
pub(crate) const LINK: u32 = 1;

/// A way that packets can take; `mac` and the interface stand for what can change.
pub(crate) fn known_way(gateway: IpAddr, mac: u8) -> Way {
    let link = Link {
        index: LINK,
        name: "eth0".to_owned(),
        mac: [2, 0, 0, 0, 0, 1],
        mtu_bytes: 1600,
        up: true,
        kind: LinkKind::Plain,
    };
    Way::Known { gateway, link, mac: [2, 0, 0, 0, 1, mac], mtu_bytes: 1500 }
}

/// The pool of [`sample`] whose flows follow its table at once.
const RESTLESS: &str = "p3";

/// A random configuration. Lists are in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) pools: Vec<SamplePool>,
    pub(crate) services: Vec<SampleService>,
    /// Next hop of every backend; `None`: unknown.
    pub(crate) mac: Option<u8>,
    /// Whether the program is attached to the interface.
    pub(crate) attached: bool,
    /// Whether the transitions of earlier changes have come to their end.
    pub(crate) settled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SamplePool {
    pub(crate) name: String,
    slots: u32,
    scheduler: Scheduler,
    encapsulation: Encapsulation,
    /// Whether connection ids name its backends.
    quic: bool,
    pub(crate) backends: Vec<SampleBackend>,
}

#[derive(Clone, Debug)]
pub(crate) struct SampleBackend {
    pub(crate) name: String,
    address: IpAddr,
    weight: u16,
    tier: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct SampleService {
    name: String,
    vip: IpAddr,
    protocol: &'static str,
    ports: Vec<u16>,
    pool: String,
}

impl Sample {
    /// The configuration, with maps of these sizes.
    pub(crate) fn desired(&self, limits: &Limits) -> Desired {
        parse(&self.text(limits))
    }

    fn text(&self, limits: &Limits) -> String {
        let Limits { services, pools, backends, table_slots, pins, fragments } = limits;
        let mut text = format!(
            "node: {{ name: edge-1, encap_source: {{ ipv4: 10.9.0.2, ipv6: 'fd00:9::2' }} }}\n\
             interfaces: [{{ name: eth0 }}]\n\
             limits: {{ services: {services}, pools: {pools}, backends: {backends}, \
             table_slots: {table_slots}, pins: {pins}, \
             fragments: {fragments} }}\npools: ["
        );
        self.pools.iter().for_each(|pool| pool.write(&mut text));
        text.push_str("]\nservices: [");
        for SampleService { name, vip, protocol, ports, pool } in &self.services {
            write!(
                text,
                "\n  {{ name: {name}, vip: '{vip}', protocol: {protocol}, ports: {ports:?}, \
                 pool: {pool} }},"
            )
            .unwrap();
        }
        text.push_str("]\n");
        text
    }

    /// The pages that its tables must have room in: those of all pools, the largest twice.
    fn pages(&self) -> u32 {
        let pages = self.pools.iter().map(|pool| {
            let table = pool.slots.div_ceil(SLOTS_PER_PAGE);
            table
                + match pool.scheduler {
                    Scheduler::RoundRobin => u32::from(!pool.backends.is_empty()),
                    Scheduler::WeightedRoundRobin => table,
                    _ => 0,
                }
        });
        pages.clone().sum::<u32>() + pages.max().unwrap_or(0)
    }

    /// The interfaces that the program is attached to.
    pub(crate) fn links(&self) -> BTreeSet<u32> {
        self.attached.then_some(LINK).into_iter().collect()
    }

    /// A way for every backend's address, unless next hops are unknown.
    pub(crate) fn ways(&self) -> Ways {
        let backends = self.pools.iter().flat_map(|pool| &pool.backends);
        let way = |backend: &SampleBackend| {
            Some((backend.address, known_way(backend.address, self.mac?)))
        };
        backends.filter_map(way).collect()
    }
}

impl SamplePool {
    fn write(&self, text: &mut String) {
        let Self { name, slots, scheduler, encapsulation, quic, backends } = self;
        let (scheduler, encapsulation) = (scheduler.name(), encapsulation.name());
        let idle = if name == RESTLESS { "0s" } else { "5m" };
        write!(text, "\n  {{ name: {name}, table_slots: {slots}, scheduler: {scheduler}, ")
            .unwrap();
        write!(text, "flow_idle_timeout: {idle}, encapsulation: {encapsulation}, ").unwrap();
        if *quic {
            text.push_str("quic: [{ config_id: 5, server_id_bytes: 1 }], ");
        }
        text.push_str("backends: [");
        for SampleBackend { name, address, weight, tier } in backends {
            write!(text, "{{ name: {name}, address: '{address}', weight: {weight}").unwrap();
            if *quic {
                let id = name.replace('b', "a");
                write!(text, ", quic_server_id: '{id}'").unwrap();
            }
            write!(text, ", tier: {tier} }}, ").unwrap();
        }
        text.push_str("] },");
    }
}

/// A configuration of up to 3 pools, 4 backends in each, and 3 services of up to 2 ports.
pub(crate) fn sample() -> impl Strategy<Value = Sample> {
    let pools = btree_map(0..4u8, pool(), 0..=3);
    let services = btree_map(0..5u8, (any::<u8>(), any::<bool>(), ports(), any::<bool>()), 0..=3);
    let mac = proptest::option::weighted(0.8, 0..3u8);
    let attached = proptest::bool::weighted(0.8);
    (pools, services, mac, attached, proptest::bool::weighted(0.3)).prop_map(
        |(pools, services, mac, attached, settled)| {
            let pools: Vec<_> = pools.into_iter().map(name_pool).collect();
            let service = |(number, (choice, udp, ports, v6)): (u8, (u8, bool, Vec<u16>, bool))| {
                let pool = pools.get(usize::from(choice) % pools.len().max(1))?;
                Some(SampleService {
                    name: format!("s{number}"),
                    vip: vip(number, v6),
                    protocol: if udp { "udp" } else { "tcp" },
                    ports,
                    pool: pool.name.clone(),
                })
            };
            let services = services.into_iter().filter_map(service).collect();
            Sample { pools, services, mac, attached, settled }
        },
    )
}

/// Of one, two and three pages; the first two differ in the number of slots alone.
const TABLE_SLOTS: [u32; 4] = [251, 1021, 1031, 2053];

type How = (Option<Scheduler>, Encapsulation, bool);
type UnnamedPool = (Option<u32>, How, BTreeMap<u8, (u8, u16, u8)>);

fn pool() -> impl Strategy<Value = UnnamedPool> {
    // Mostly its own, so that a pool that stays can keep its flows.
    let slots = proptest::option::weighted(0.1, proptest::sample::select(&TABLE_SLOTS));
    let weight = prop_oneof![1 => Just(0u16), 4 => 1..=1000u16];
    let scheduler = proptest::sample::select(&Scheduler::ALL[..]);
    let how = (
        proptest::option::weighted(0.3, scheduler),
        proptest::sample::select(&Encapsulation::ALL[..]),
        proptest::bool::weighted(0.3),
    );
    (slots, how, btree_map(0..6u8, (0..3u8, weight, 0..3u8), 0..=4))
}

fn name_pool((number, (slots, how, backends)): (u8, UnnamedPool)) -> SamplePool {
    let backend = |(backend, (variant, weight, tier)): (u8, (u8, u16, u8))| SampleBackend {
        name: format!("b{backend}"),
        address: match variant {
            0 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, number.into(), backend.into())),
            _ => IpAddr::V4(Ipv4Addr::new(10, variant, number, backend)),
        },
        weight,
        tier,
    };
    let backends = backends.into_iter().map(backend).collect();
    let own = TABLE_SLOTS[usize::from(number) % TABLE_SLOTS.len()];
    let (scheduler, encapsulation, quic) = how;
    // Mostly its own, too.
    let scheduler = scheduler.unwrap_or(Scheduler::ALL[usize::from(number) % Scheduler::ALL.len()]);
    let name = format!("p{number}");
    let scheduler = if name == RESTLESS { Scheduler::Maglev } else { scheduler };
    let slots = slots.unwrap_or(own);
    SamplePool { name, slots, scheduler, encapsulation, quic, backends }
}

fn ports() -> impl Strategy<Value = Vec<u16>> {
    let listed = btree_set(1..4u16, 1..=2).prop_map(|ports| ports.into_iter().collect());
    prop_oneof![1 => Just(vec![0]), 4 => listed]
}

fn vip(number: u8, v6: bool) -> IpAddr {
    if v6 {
        IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()))
    } else {
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))
    }
}

/// Sizes that hold any [`sample`], from scarcely to comfortably.
pub(crate) fn limits() -> impl Strategy<Value = Limits> {
    (9..=15u32, 3..=8u32, 12..=36u32, 24..=32u32).prop_map(|(services, pools, backends, pages)| {
        let table_slots = pages * SLOTS_PER_PAGE;
        Limits { services, pools, backends, table_slots, pins: 8, fragments: 8 }
    })
}

/// One configuration after another, under the same limits; often with as few pages as are valid.
pub(crate) fn history() -> impl Strategy<Value = (Limits, Vec<Sample>)> {
    (limits(), vec(sample(), 1..=5), any::<bool>()).prop_map(|(mut limits, samples, tight)| {
        if tight {
            let pages = samples.iter().map(Sample::pages).max().unwrap_or(0);
            limits.table_slots = pages.max(1) * SLOTS_PER_PAGE;
        }
        (limits, samples)
    })
}
