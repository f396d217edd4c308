//! The table of what is measured: a target, the traffic it gets, and what it is compared with.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};
use lb_common::abi::{Family, Scheduler};
use lb_common::bench::{
    self, ALL_FLOWS, WORDS_V4, WORDS_V6, client_of, flow_of, program, vip_bits_of,
};
use lb_common::wire::ethernet::{TYPE_IPV4, TYPE_IPV6};
use lb_common::wire::protocol::TCP;

use super::maps::{self, Moving, PORT, Setup, Wrap};
use crate::packet::{self, ACK, Ipv4Fields, SYN};

/// Return value of a target, `enum xdp_action`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The kernel goes on with it.
    Pass = 2,
    /// Back out of the interface.
    Tx = 3,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Candidate {
    /// A program of lb-bench that needs no maps.
    Program(&'static str),
    /// The balancer over maps like these.
    Balancer(Setup),
    /// The baseline that keeps every flow; the one for new flows has a table of its own, which
    /// they fill.
    Baseline {
        /// Whether it is for packets that are a new flow each.
        new_flows: bool,
    },
    /// A program of lb-baseline that does a part of what the balancer does, and passes.
    Part(&'static str),
}

/// Which packets are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// IP version.
    pub family: Family,
    /// Number of flows less one.
    pub flow_mask: u64,
    /// Bits of a flow's number that choose its VIP.
    pub vip_mask: u64,
    /// TCP flags of every packet.
    pub tcp_flags: u8,
    /// TCP destination port.
    pub port: u16,
    /// How every packet must end.
    pub verdict: Action,
}

/// One row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// Its name.
    pub name: String,
    /// Who gets the packets.
    pub candidate: Candidate,
    /// The packets.
    pub traffic: Traffic,
    /// Packets to take through once, before the first measurement.
    pub prelude_packets: u64,
    /// The row that is its floor.
    pub floor: Option<&'static str>,
    /// The row of the baseline under the same traffic.
    pub baseline: Option<String>,
}

/// Numbers of flows that IPv4 is measured with.
pub const FLOWS: [u64; 5] = [1, 1_024, 16_384, 131_072, 524_288];
/// Numbers of flows that IPv6 is measured with.
const FLOWS_V6: [u64; 3] = [1, 16_384, 524_288];
/// Flows where the number is not what matters.
const MANY_FLOWS: u64 = 131_072;
/// Flows where flows are spread over 64 services as well.
const VIP_MASK: u64 = 63;

/// Encapsulations beside IP in IP.
const WRAPS: [(&str, Wrap); 3] = [("gue", Wrap::Gue), ("gre", Wrap::Gre), ("l2", Wrap::L2)];
/// Schedulers beside Maglev.
const SCHEDULERS: [(&str, Scheduler); 4] = [
    ("source-hash", Scheduler::SourceHash),
    ("round-robin", Scheduler::Rotation),
    ("random", Scheduler::Random),
    ("least-connections", Scheduler::LeastConnections),
];

/// Parts of the balancer by themselves.
const PARTS: [(&str, &str); 5] = [
    ("part/service-lookup", bench::baseline::SERVICE),
    ("part/slot-and-backend", bench::baseline::BACKEND),
    ("part/counters", bench::baseline::COUNTERS),
    ("part/move-front", bench::baseline::FRONT),
    ("part/clock", bench::baseline::CLOCK),
];

/// Row of the floor for IPv4.
pub const NULL_V4: &str = "null/ipv4";
/// Row of the floor for IPv6.
pub const NULL_V6: &str = "null/ipv6";

/// Established connections of IPv4, all to one VIP; `flows` is a power of two.
pub const fn established(flows: u64) -> Traffic {
    Traffic {
        family: Family::V4,
        flow_mask: flows - 1,
        vip_mask: 0,
        tcp_flags: ACK,
        port: PORT,
        verdict: Action::Tx,
    }
}

/// Every packet opens a connection.
const fn opening() -> Traffic {
    Traffic { flow_mask: ALL_FLOWS, tcp_flags: SYN, ..established(1) }
}

/// Everything that is measured with the driver.
pub fn catalogue() -> Vec<Workload> {
    let mut rows = vec![
        floor(NULL_V4, program::NULL_V4, established(MANY_FLOWS)),
        floor(NULL_V6, program::NULL_V6, over_ipv6(established(MANY_FLOWS))),
    ];
    rows.extend(FLOWS.map(|flows| {
        let name = format!("ipv4-tcp/ipip/flows={flows}");
        let compared = Some(format!("lru/ipv4-tcp/flows={flows}"));
        balancer(name, Setup::CLEAN, established(flows)).compared(compared)
    }));
    rows.push(
        balancer("ipv4-tcp/ipip/syn", Setup::CLEAN, opening())
            .compared(Some("lru/ipv4-tcp/syn".to_owned())),
    );
    let many = established(MANY_FLOWS);
    let many_lru = Some(format!("lru/ipv4-tcp/flows={MANY_FLOWS}"));
    let vips = Traffic { vip_mask: VIP_MASK, ..many };
    let tenth = Setup { moving: Moving::Tenth, ..Setup::CLEAN };
    let all = Setup { moving: Moving::All, ..Setup::CLEAN };
    let full = Setup { pins_full: true, ..all };
    rows.extend([
        balancer("ipv4-tcp/ipip/services=64", Setup::CLEAN, vips),
        balancer("ipv4-tcp/ipip/transition=10%", tenth, many).compared(many_lru.clone()),
        balancer("ipv4-tcp/ipip/transition=100%/flows=1", all, established(1))
            .compared(Some("lru/ipv4-tcp/flows=1".to_owned())),
        balancer("ipv4-tcp/ipip/transition=100%", all, many).compared(many_lru.clone()),
        balancer("ipv4-tcp/ipip/transition=100%/syn", all, opening())
            .compared(Some("lru/ipv4-tcp/syn".to_owned())),
        balancer("ipv4-tcp/ipip/full-pins", full, many).compared(many_lru),
        balancer(
            "ipv4-tcp/not-ours",
            Setup::CLEAN,
            Traffic { port: 81, verdict: Action::Pass, ..many },
        ),
    ]);
    rows.extend(ways(many));
    rows.extend(FLOWS_V6.map(|flows| {
        let name = format!("ipv6-tcp/ipip/flows={flows}");
        balancer(name, Setup::CLEAN, over_ipv6(established(flows)))
    }));
    rows.extend(FLOWS.map(|flows| {
        let name = format!("lru/ipv4-tcp/flows={flows}");
        baseline(name, Candidate::Baseline { new_flows: false }, established(flows), 0)
    }));
    // Its table has to be full before it shows what a new flow costs.
    let full = u64::from(super::kernel::LRU_FLOWS_PER_CPU) * 2;
    rows.push(baseline(
        "lru/ipv4-tcp/syn",
        Candidate::Baseline { new_flows: true },
        opening(),
        full,
    ));
    rows.extend(PARTS.map(|(name, program)| part(name, program)));
    rows
}

/// Encapsulations and schedulers beside the ordinary ones, a row or two for each.
fn ways(many: Traffic) -> Vec<Workload> {
    let wraps = WRAPS.into_iter().flat_map(|(name, wrap)| {
        let setup = Setup { wrap, ..Setup::CLEAN };
        [
            balancer(format!("ipv4-tcp/{name}/flows=1"), setup, established(1)),
            balancer(format!("ipv6-tcp/{name}/flows=1"), setup, over_ipv6(established(1))),
        ]
    });
    let schedulers = SCHEDULERS.into_iter().flat_map(move |(name, scheduler)| {
        let setup = Setup { scheduler, ..Setup::CLEAN };
        [
            balancer(format!("ipv4-tcp/ipip/{name}"), setup, many),
            balancer(format!("ipv4-tcp/ipip/{name}/syn"), setup, opening()),
        ]
    });
    wraps.chain(schedulers).collect()
}

/// The rows whose names have `part` in them, and those they are compared with.
pub fn select(catalogue: Vec<Workload>, part: &str) -> Vec<Workload> {
    let chosen = |row: &Workload| row.name.contains(part);
    let compared: Vec<String> = catalogue
        .iter()
        .filter(|row| chosen(row))
        .flat_map(|row| row.floor.map(str::to_owned).into_iter().chain(row.baseline.clone()))
        .collect();
    catalogue.into_iter().filter(|row| chosen(row) || compared.contains(&row.name)).collect()
}

fn over_ipv6(traffic: Traffic) -> Traffic {
    Traffic { family: Family::V6, ..traffic }
}

fn floor(name: &str, program: &'static str, traffic: Traffic) -> Workload {
    Workload {
        name: name.to_owned(),
        candidate: Candidate::Program(program),
        traffic,
        prelude_packets: 0,
        floor: None,
        baseline: None,
    }
}

fn balancer(name: impl Into<String>, setup: Setup, traffic: Traffic) -> Workload {
    Workload {
        name: name.into(),
        candidate: Candidate::Balancer(setup),
        traffic,
        prelude_packets: 0,
        floor: Some(match traffic.family {
            Family::V4 => NULL_V4,
            Family::V6 => NULL_V6,
        }),
        baseline: None,
    }
}

fn part(name: &str, program: &'static str) -> Workload {
    Workload {
        name: name.to_owned(),
        candidate: Candidate::Part(program),
        traffic: Traffic { verdict: Action::Pass, ..established(1) },
        prelude_packets: 0,
        floor: None,
        baseline: None,
    }
}

fn baseline(
    name: impl Into<String>,
    candidate: Candidate,
    traffic: Traffic,
    prelude_packets: u64,
) -> Workload {
    Workload {
        name: name.into(),
        candidate,
        traffic,
        prelude_packets,
        floor: Some(NULL_V4),
        baseline: None,
    }
}

impl Workload {
    fn compared(self, baseline: Option<String>) -> Self {
        Self { baseline, ..self }
    }
}

/// The frame that the driver starts from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// As it is given to the test-run.
    pub bytes: Vec<u8>,
    /// Its words, as the driver writes them.
    pub template: [u64; WORDS_V6],
}

impl Traffic {
    /// The frame that the driver starts from, from client number 0.
    ///
    /// # Errors
    /// It is longer than the driver's template.
    pub fn frame(&self) -> Result<Frame> {
        let bytes = self.frame_of(0);
        let mut template = [0; WORDS_V6];
        let (words, rest) = bytes.as_chunks::<8>();
        ensure!(rest.is_empty() && words.len() <= WORDS_V6, "a frame of {} bytes", bytes.len());
        for (to, from) in template.iter_mut().zip(words) {
            *to = u64::from_ne_bytes(*from);
        }
        Ok(Frame { bytes, template })
    }

    /// Packet number `number` as the driver makes it, but with the right IPv4 checksum, which the
    /// driver leaves as it was: no candidate looks at it.
    pub fn packet(&self, number: u64) -> Vec<u8> {
        self.frame_of(flow_of(number, self.flow_mask))
    }

    fn frame_of(&self, flow: u64) -> Vec<u8> {
        let (host, port) = client_of(flow);
        let vip = vip_bits_of(flow, self.vip_mask);
        let tcp = |payload_bytes| {
            packet::tcp_with_flags(port, self.port, self.tcp_flags, &vec![0; payload_bytes])
        };
        match self.family {
            Family::V4 => {
                let client = Ipv4Addr::from_bits(10 << 24 | host);
                let tcp = tcp(WORDS_V4 * 8 - HEADERS_V4);
                let fields = Ipv4Fields::default();
                let packet = packet::ipv4(client, maps::vip_v4(vip), TCP, &fields, &tcp);
                packet::ethernet(&[], TYPE_IPV4, &packet)
            }
            Family::V6 => {
                let client = Ipv6Addr::from_bits(CLIENTS_V6 | u128::from(host));
                let tcp = tcp(WORDS_V6 * 8 - HEADERS_V6);
                let packet = packet::ipv6(client, maps::vip_v6(vip), TCP, 0, 0, &tcp);
                packet::ethernet(&[], TYPE_IPV6, &packet)
            }
        }
    }
}

/// Ethernet, IPv4 and TCP.
const HEADERS_V4: usize = 14 + 20 + 20;
/// Ethernet, IPv6 and TCP.
const HEADERS_V6: usize = 14 + 40 + 20;
/// `fd00:1::/104`, in which the last three bytes are the client's.
const CLIENTS_V6: u128 = 0xfd00_0001 << 96;

#[cfg(test)]
mod tests;
