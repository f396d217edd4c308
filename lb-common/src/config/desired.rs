//! What the operator asked for, after every check has passed.
//!
//! Plain values: two configurations are the same when they compare equal, and a `Desired` can be
//! printed, stored and compared as JSON.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

use serde::Serialize;

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
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Services by name.
    pub services: BTreeMap<String, Service>,
}

/// This balancer: its name and the source addresses of its outer headers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Node {
    /// Name in logs and metrics.
    pub name: String,
    /// Outer source towards IPv4 backends.
    pub encap_source_ipv4: Option<Ipv4Addr>,
    /// Outer source towards IPv6 backends.
    pub encap_source_ipv6: Option<Ipv6Addr>,
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
    /// Health check, if any.
    pub health: Option<HealthCheck>,
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
}

/// How packets travel to a backend.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Encapsulation {
    /// IP in IP, the outer family being the backend's.
    Ipip,
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

/// How a pool's backends are to be checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: HealthKind,
    /// Port asked; the service's own if absent.
    pub port: Option<u16>,
    /// Time between checks of one backend.
    pub interval: Duration,
    /// Time a check may take as a whole; shorter than the interval.
    pub timeout: Duration,
    /// Consecutive successes that bring a backend up.
    pub rise: u32,
    /// Consecutive failures that take a backend down.
    pub fall: u32,
    /// The way the probe travels.
    pub via: HealthVia,
}

/// What a health check asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum HealthKind {
    /// A TCP connection opens.
    Tcp,
    /// An HTTP GET of the path answers 2xx.
    Http {
        /// Absolute path.
        path: String,
    },
}

/// The way a probe travels to its backend.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum HealthVia {
    /// To the backend's own address.
    Direct,
    /// To the VIP, wrapped as client traffic is.
    Tunnel,
}
