//! What the operator asked for, after every check has passed.
//!
//! Plain values: two configurations are the same when they compare equal, and a `Desired` can be
//! printed, stored and compared as JSON.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

use serde::Serialize;

mod dns;
mod failover;
mod health;

pub use dns::{DnsRcode, DnsRecord};
pub use failover::{Adapt, AtStart, Failover};
pub use health::{
    DnsCheck, ExecCheck, ExecUser, GrpcCheck, HealthCheck, HealthKind, HealthVia, HttpCheck,
    HttpMethod, StatusRange, Statuses, TlsCheck, Trust,
};

use super::prefix::Prefix;
use super::quic::ServerId;
use crate::abi;

/// A whole configuration. Names are the keys of the maps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Desired {
    /// This balancer.
    pub node: Node,
    /// Interfaces the program is attached to; at least one.
    pub interfaces: Vec<Interface>,
    /// Seed of the flow hash and of the tables; the same on every balancer of a cluster.
    #[serde(skip)]
    pub hash_seed: [u64; 2],
    /// Sizes of the maps.
    pub limits: Limits,
    /// Where metrics are told, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
}

/// This balancer: its name, and what it writes into packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Node {
    /// Name in logs and metrics.
    pub name: String,
    /// Outer sources towards IPv4 backends.
    pub encap_source_ipv4: Option<Prefix>,
    /// Outer sources towards IPv6 backends.
    pub encap_source_ipv6: Option<Prefix>,
    /// UDP port that GUE packets are sent to.
    pub gue_port: u16,
    /// How often it answers for a VIP.
    pub icmp: Icmp,
}

/// How often a balancer answers for a VIP, on each CPU; 0 for never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Icmp {
    /// ICMP errors a second.
    pub errors_per_second: u32,
    /// Echo replies a second.
    pub echoes_per_second: u32,
}

/// One interface and how to attach to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Interface {
    /// Name in the kernel.
    pub name: String,
    /// Where the program runs.
    pub mode: Mode,
}

/// Where an XDP program runs.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// In the driver if it can, else generic, with a warning.
    Auto,
    /// In the driver, or not at all.
    Native,
    /// In the network stack: slow, but on any interface.
    Generic,
}

/// Sizes of the maps, fixed while pins live: changing one needs `lb-agent detach` first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Limits {
    /// Entries of the service map: one per VIP, protocol and port.
    pub services: u32,
    /// Largest number of pools.
    pub pools: u32,
    /// Largest number of backends over all pools.
    pub backends: u32,
    /// Slots of all tables together. A change needs room for the new table beside the old one.
    pub table_slots: u32,
    /// Flows that can be pinned at once.
    pub pins: u32,
    /// Datagrams in fragments that can be under way at once.
    pub fragments: u32,
}

/// A named set of backends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Pool {
    /// How flows are spread.
    pub scheduler: Scheduler,
    /// How packets are wrapped.
    pub encapsulation: Encapsulation,
    /// Slots of the pool's table, a prime.
    pub table_slots: u32,
    /// How long a silent flow is kept on its backend over changes; zero keeps none.
    pub flow_idle_timeout: Duration,
    /// The same for UDP flows.
    pub udp_idle_timeout: Duration,
    /// Bytes of the server id in a QUIC connection id, by QUIC-LB configuration.
    pub quic: BTreeMap<u8, u8>,
    /// Health check, if any.
    pub health: Option<HealthCheck>,
    /// What is done with what the checks say.
    pub failover: Failover,
    /// How weights follow the servers, if they do.
    pub adapt: Option<Adapt>,
    /// Backends by name.
    pub backends: BTreeMap<String, Backend>,
}

/// How flows are spread over a pool.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scheduler {
    /// Weighted consistent hashing of the 5-tuple.
    Maglev,
    /// The same of the client's address: all flows of a client go to one backend.
    SourceHash,
    /// Each backend in turn, whatever its weight; every flow is pinned.
    RoundRobin,
    /// Each backend in turn, as often as its weight says; every flow is pinned.
    WeightedRoundRobin,
    /// Of two backends by chance and weight, the one with fewer connections for its weight; every
    /// flow is pinned.
    LeastConnections,
    /// A backend by chance and weight; every flow is pinned.
    Random,
}

impl Scheduler {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::Maglev,
        Self::SourceHash,
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::LeastConnections,
        Self::Random,
    ];

    /// Name as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
            Self::SourceHash => "source-hash",
            Self::RoundRobin => "round-robin",
            Self::WeightedRoundRobin => "weighted-round-robin",
            Self::LeastConnections => "least-connections",
            Self::Random => "random",
        }
    }

    /// What the program is told.
    pub const fn in_maps(self) -> abi::Scheduler {
        match self {
            Self::Maglev => abi::Scheduler::Maglev,
            Self::SourceHash => abi::Scheduler::SourceHash,
            Self::RoundRobin | Self::WeightedRoundRobin => abi::Scheduler::Rotation,
            Self::LeastConnections => abi::Scheduler::LeastConnections,
            Self::Random => abi::Scheduler::Random,
        }
    }
}

/// How packets travel to a backend.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Encapsulation {
    /// IP in IP.
    Ipip,
    /// Generic UDP encapsulation: origins' NICs spread it, and any router lets it pass.
    Gue,
    /// Generic routing encapsulation.
    Gre,
    /// None: frames go to the backend's link-layer address, so it must be on the link.
    L2,
}

impl Encapsulation {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Ipip, Self::Gue, Self::Gre, Self::L2];

    /// Name as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::Gre => "gre",
            Self::L2 => "l2",
        }
    }

    /// What the program is told of a backend with this address.
    pub const fn in_maps(self, backend: IpAddr) -> abi::Encapsulation {
        match (self, backend) {
            (Self::Ipip, IpAddr::V4(_)) => abi::Encapsulation::IpipV4,
            (Self::Ipip, IpAddr::V6(_)) => abi::Encapsulation::IpipV6,
            (Self::Gue, IpAddr::V4(_)) => abi::Encapsulation::GueV4,
            (Self::Gue, IpAddr::V6(_)) => abi::Encapsulation::GueV6,
            (Self::Gre, IpAddr::V4(_)) => abi::Encapsulation::GreV4,
            (Self::Gre, IpAddr::V6(_)) => abi::Encapsulation::GreV6,
            (Self::L2, IpAddr::V4(_) | IpAddr::V6(_)) => abi::Encapsulation::L2,
        }
    }
}

/// One origin server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Backend {
    /// Where packets are sent.
    pub address: IpAddr,
    /// Share of new flows.
    pub weight: Weight,
    /// Failover order: the lowest tier that can take traffic gets it all.
    pub tier: u8,
    /// What it calls itself in QUIC connection ids.
    pub quic_server_id: Option<ServerId>,
}

/// Relative share of new flows, 0..=1000; 0 takes none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Weight(u16);

impl Weight {
    /// No new flows.
    pub const ZERO: Self = Self(0);
    /// The largest weight.
    pub const MAX: u16 = 1000;

    /// Weight `value`, if it is in range.
    pub fn new(value: u64) -> Option<Self> {
        u16::try_from(value).ok().filter(|value| *value <= Self::MAX).map(Self)
    }

    /// The number itself.
    pub const fn value(self) -> u16 {
        self.0
    }
}

/// A VIP with its ports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Service {
    /// The address clients connect to.
    pub vip: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Ports, sorted, without duplicates; `[0]` alone means any port.
    pub ports: Vec<u16>,
    /// Name of the pool that serves it.
    pub pool: String,
}

impl Service {
    /// Whether checks of `pool` ask its port unless they have their own: it speaks TCP, and names one.
    pub fn is_checked_for(&self, pool: &str) -> bool {
        self.pool == pool && self.protocol == Protocol::Tcp && self.ports != [0]
    }
}

/// Transport protocol of a service.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }

    /// Name as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}
