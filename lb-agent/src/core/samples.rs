//! Configurations for the tests of `core` and `io`: written out, or random.
//!
//! Both are YAML texts read by the real parser, so no test runs on what the agent would refuse.
//! [`Agent`] goes the way of the agent's loop from one configuration to the next, without maps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::{BackendIndex, SLOTS_PER_PAGE, Slot};
use lb_common::config::{self, Desired, Limits};
use lb_common::datapath::slot_place;
use lb_common::image::Image;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::effective::effective;
use super::ids::{Exhausted, Ids};
use super::overrides::Overrides;
use super::plan::{Op, carry_out, plan, resting_after};
use super::tables::Tables;
use super::target::{Target, Ways, keep_leaving, target};
use super::way::{Link, Way};

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

/// A way that packets can take; `mac` and the interface stand for what can change.
pub(crate) fn known_way(gateway: IpAddr, mac: u8) -> Way {
    let link = Link {
        index: 7,
        name: "eth0".to_owned(),
        mac: [2, 0, 0, 0, 0, 1],
        mtu_bytes: 1600,
        up: true,
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
    /// Whether the transitions of earlier changes have come to their end.
    pub(crate) settled: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct SamplePool {
    pub(crate) name: String,
    slots: u32,
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
        let Limits { services, pools, backends, table_slots, pins } = limits;
        let mut text = format!(
            "node: {{ name: edge-1, encap_source: {{ ipv4: 10.2.0.2, ipv6: 'fd00:2::2' }} }}\n\
             interfaces: [{{ name: eth0 }}]\n\
             limits: {{ services: {services}, pools: {pools}, backends: {backends}, \
             table_slots: {table_slots}, pins: {pins} }}\npools: ["
        );
        for SamplePool { name, slots, backends } in &self.pools {
            let idle = if name == RESTLESS { "0s" } else { "5m" };
            write!(text, "\n  {{ name: {name}, table_slots: {slots}, ").unwrap();
            write!(text, "flow_idle_timeout: {idle}, backends: [").unwrap();
            for SampleBackend { name, address, weight, tier } in backends {
                write!(
                    text,
                    "{{ name: {name}, address: '{address}', weight: {weight}, tier: {tier} }}, "
                )
                .unwrap();
            }
            text.push_str("] },");
        }
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
        let pages = self.pools.iter().map(|pool| pool.slots.div_ceil(SLOTS_PER_PAGE));
        pages.clone().sum::<u32>() + pages.max().unwrap_or(0)
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

/// A configuration of up to 3 pools, 4 backends in each, and 3 services of up to 2 ports.
pub(crate) fn sample() -> impl Strategy<Value = Sample> {
    let pools = btree_map(0..4u8, pool(), 0..=3);
    let services = btree_map(0..5u8, (any::<u8>(), any::<bool>(), ports(), any::<bool>()), 0..=3);
    let mac = proptest::option::weighted(0.8, 0..3u8);
    (pools, services, mac, proptest::bool::weighted(0.3)).prop_map(
        |(pools, services, mac, settled)| {
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
            Sample { pools, services, mac, settled }
        },
    )
}

/// Of one, two and three pages; the first two differ in the number of slots alone.
const TABLE_SLOTS: [u32; 4] = [251, 1021, 1031, 2053];

type UnnamedPool = (Option<u32>, BTreeMap<u8, (u8, u16, u8)>);

fn pool() -> impl Strategy<Value = UnnamedPool> {
    // Mostly its own, so that a pool that stays can keep its flows.
    let slots = proptest::option::weighted(0.1, proptest::sample::select(&TABLE_SLOTS));
    let weight = prop_oneof![1 => Just(0u16), 4 => 1..=1000u16];
    (slots, btree_map(0..6u8, (0..3u8, weight, 0..3u8), 0..=4))
}

fn name_pool((number, (slots, backends)): (u8, UnnamedPool)) -> SamplePool {
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
    SamplePool { name: format!("p{number}"), slots: slots.unwrap_or(own), backends }
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
    (6..=12u32, 3..=8u32, 12..=36u32, 12..=24u32).prop_map(|(services, pools, backends, pages)| {
        Limits { services, pools, backends, table_slots: pages * SLOTS_PER_PAGE, pins: 8 }
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

/// What the agent's loop keeps from one change to the next, the maps being an image.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agent {
    pub(crate) ids: Ids,
    tables: Tables,
    pub(crate) observed: Image,
    resting: BTreeSet<u32>,
}

/// A change, planned but not carried out.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What the ends of transitions have written before it.
    pub(crate) settling: Vec<Op>,
    pub(crate) observed: Image,
    /// What the configuration alone wants.
    wanted: Target,
    ways: Ways,
    /// The same with the backends that flows still belong to.
    pub(crate) target: Target,
    /// Backends that flows are pinned to.
    pinned: BTreeSet<BackendIndex>,
    pub(crate) ops: Vec<Op>,
    pub(crate) limits: Limits,
    pub(crate) resting: BTreeSet<u32>,
}

impl Step {
    /// The target for an agent that finds these contents.
    pub(crate) fn target_from(&self, observed: &Image) -> Target {
        let mut target = self.wanted.clone();
        keep_leaving(&mut target, observed, &self.pinned, &self.ways);
        target
    }
}

impl Agent {
    /// Changes to a configuration, or refuses it as a whole.
    pub(crate) fn change_to(
        &mut self,
        sample: &Sample,
        limits: &Limits,
    ) -> Result<Step, Exhausted> {
        let before = self.clone();
        let settling = if sample.settled { self.settle() } else { Vec::new() };
        let step = self.change(&sample.desired(limits), &sample.ways());
        if step.is_err() {
            *self = before;
        }
        Ok(Step { settling, ..step? })
    }

    /// The same for any configuration. A plan must always be found.
    pub(crate) fn change(&mut self, desired: &Desired, ways: &Ways) -> Result<Step, Exhausted> {
        let ids = Ids::adopt(&self.observed).assign(desired)?;
        let mut tables = self.tables.clone();
        tables.update(desired, &effective(desired, &Overrides::default()), &ids).unwrap();
        let mut step = Step {
            settling: Vec::new(),
            observed: self.observed.clone(),
            wanted: target(desired, &ids, &tables, ways),
            ways: ways.clone(),
            target: Target::default(),
            pinned: self.restless(),
            ops: Vec::new(),
            limits: desired.limits,
            resting: self.resting.clone(),
        };
        step.target = step.target_from(&self.observed);
        step.ops = plan(&self.observed, &step.target, &step.limits, &self.resting).unwrap();
        for op in &step.ops {
            carry_out(&mut self.observed, op);
        }
        self.resting = resting_after(&self.resting, &step.observed, &self.observed, &step.ops);
        (self.ids, self.tables) = (ids, tables);
        Ok(step)
    }

    /// As long as anything is in transition, flows may be pinned to any backend.
    fn restless(&self) -> BTreeSet<BackendIndex> {
        let tables = self.observed.pools.values().map(|pool| pool.table);
        let mut slots = tables.flat_map(|table| self.observed.table(table));
        let restless = slots.any(Slot::consult);
        self.observed.backends.keys().copied().filter(|_| restless).collect()
    }

    /// Ends all transitions, as a sweep does when their time has come.
    pub(crate) fn settle(&mut self) -> Vec<Op> {
        let mut ops = Vec::new();
        for entry in self.observed.pools.values() {
            let restless = (0..).zip(self.observed.table(entry.table));
            for (number, slot) in restless.filter(|(_, slot)| slot.consult()) {
                let (page, offset) = slot_place(entry.table, number);
                ops.push(Op::PutSlot { page, offset, slot: Slot::clean(slot.current()) });
            }
        }
        for op in &ops {
            carry_out(&mut self.observed, op);
        }
        ops
    }

    /// The changes that a history makes; those that find no free index are left out.
    pub(crate) fn steps(limits: &Limits, samples: &[Sample]) -> Vec<Step> {
        let mut agent = Self::default();
        samples.iter().filter_map(|sample| agent.change_to(sample, limits).ok()).collect()
    }
}
