//! The configuration file as it is written: the shape of the YAML and of its JSON Schema.
//!
//! Types here hold what a file may say; whether it makes sense is `validate`'s business. Numbers
//! are wider than their ranges and addresses are text, so that a value out of range is reported
//! with its path and range, not refused as a type. The ranges and defaults named in the comments
//! are the ones in [`limit`] and [`default`](mod@default); the schema is made from both.
//!
//! Callers: `read`, the schema command, and whoever writes a configuration.

use std::string::{String, ToString};
use std::vec::Vec;

use schemars::JsonSchema;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use super::desired::{Encapsulation, HealthVia, Mode, Protocol, Scheduler};

/// Ranges that the schema and the validation share.
pub mod limit {
    use core::ops::RangeInclusive;

    use crate::abi::BackendIndex;

    /// Weight of a backend.
    pub const WEIGHT: RangeInclusive<u32> = 0..=super::super::desired::Weight::MAX as u32;
    /// Tier of a backend.
    pub const TIER: RangeInclusive<u32> = 0..=255;
    /// A port that must be one port.
    pub const PORT: RangeInclusive<u32> = 1..=65_535;
    /// A port of a service, 0 being any.
    pub const SERVICE_PORT: RangeInclusive<u32> = 0..=65_535;
    /// Slots of a pool's table.
    pub const TABLE_SLOTS: RangeInclusive<u32> = 251..=16_777_213;
    /// Successes or failures in a row that turn a backend's health.
    pub const STREAK: RangeInclusive<u32> = 1..=100;
    /// Interval and timeout of a health check, milliseconds.
    pub const CHECK_TIME_MS: RangeInclusive<u64> = 10..=3_600_000;
    /// Characters of a hash seed.
    pub const HASH_SEED_CHARS: RangeInclusive<usize> = 16..=1024;
    /// Entries of the service map.
    pub const SERVICES: RangeInclusive<u32> = 1..=1_048_576;
    /// Pools.
    pub const POOLS: RangeInclusive<u32> = 1..=65_536;
    /// Backends: every index a slot can hold, but one that is kept free.
    pub const BACKENDS: RangeInclusive<u32> = 1..=BackendIndex::MAX as u32 - 1;
    /// Pins: up to 1 GiB.
    pub const PINS: RangeInclusive<u32> = 8..=134_217_728;
    /// Idle time-outs of flows, milliseconds; pins keep time modulo 9.8 hours.
    pub const FLOW_IDLE_MS: RangeInclusive<u64> = 0..=7_200_000;
    /// Slots of all tables: up to 1 GiB.
    pub const ALL_TABLE_SLOTS: RangeInclusive<u32> = 1..=268_435_456;
}

/// What holds when the file does not say.
pub mod default {
    use std::string::{String, ToString};

    use super::super::desired::{Encapsulation, HealthVia, Mode, Scheduler};

    /// Slots of a pool's table: 655 for each of 100 backends, 64 pages of memory.
    pub const TABLE_SLOTS: i64 = 65_521;
    /// Weight of a backend.
    pub const WEIGHT: i64 = 100;
    /// Idle time-out of UDP flows.
    pub const UDP_IDLE: core::time::Duration = core::time::Duration::from_secs(30);
    /// The seed's text if the file has none. Public: a cluster that clients must not be able to
    /// aim collisions at sets its own.
    pub const HASH_SEED: &str = "the seed of clusters that set none";

    pub(super) const fn mode() -> Mode {
        Mode::Auto
    }
    pub(super) const fn scheduler() -> Scheduler {
        Scheduler::Maglev
    }
    pub(super) const fn encapsulation() -> Encapsulation {
        Encapsulation::Ipip
    }
    pub(super) const fn table_slots() -> i64 {
        TABLE_SLOTS
    }
    pub(super) fn flow_idle_timeout() -> String {
        "5m".to_string()
    }
    pub(super) const fn weight() -> i64 {
        WEIGHT
    }
    pub(super) const fn via() -> HealthVia {
        HealthVia::Direct
    }
    pub(super) fn interval() -> String {
        "1s".to_string()
    }
    pub(super) fn timeout() -> String {
        "500ms".to_string()
    }
    pub(super) const fn rise() -> i64 {
        2
    }
    pub(super) const fn fall() -> i64 {
        3
    }
}

/// Configuration of one load balancer.
///
/// A file is a whole configuration: what it does not mention does not exist. `pools` and
/// `services` must be there, if only as empty lists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// This balancer.
    pub node: NodeFile,
    /// Interfaces that client traffic arrives on; at least one.
    #[serde(deserialize_with = "list")]
    #[schemars(length(min = 1))]
    pub interfaces: Vec<InterfaceFile>,
    /// What all balancers of a cluster must agree on.
    #[serde(default)]
    pub cluster: ClusterFile,
    /// Sizes of the maps. Changing one needs `lb-agent detach` first.
    #[serde(default)]
    pub limits: LimitsFile,
    /// Pools of backends.
    #[serde(deserialize_with = "list")]
    pub pools: Vec<PoolFile>,
    /// Services.
    #[serde(deserialize_with = "list")]
    pub services: Vec<ServiceFile>,
}

/// This balancer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeFile {
    /// Name in logs and metrics: 1 to 63 letters, digits, dots, dashes and underscores.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,63}$"))]
    pub name: String,
    /// Source addresses of the outer headers, one for each IP version that backends have.
    #[serde(default)]
    pub encap_source: EncapSourceFile,
}

/// Source addresses of the outer headers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncapSourceFile {
    /// Outer source towards IPv4 backends. Default: none, so that there can be no such backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "ipv4"))]
    pub ipv4: Option<String>,
    /// Outer source towards IPv6 backends. Default: none, so that there can be no such backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "ipv6"))]
    pub ipv6: Option<String>,
}

/// One interface and how to attach to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InterfaceFile {
    /// Name in the kernel, 1 to 15 characters.
    #[schemars(regex(pattern = r"^[^\s/:]{1,15}$"))]
    pub name: String,
    /// Where the program runs. Default: auto.
    #[serde(default = "default::mode")]
    pub mode: Mode,
}

/// What all balancers of a cluster must agree on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterFile {
    /// Any text of 16 to 1024 characters, the same on every balancer, best kept secret: it seeds
    /// the hash that spreads flows. Changing it moves nearly every flow. Default: a fixed,
    /// public one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = *limit::HASH_SEED_CHARS.start(), max = *limit::HASH_SEED_CHARS.end()))]
    pub hash_seed: Option<String>,
}

/// Sizes of the maps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Entries of the service map, one for each VIP, protocol and port: 1..=1048576.
    /// Default: 16384.
    #[schemars(range(min = *limit::SERVICES.start(), max = *limit::SERVICES.end()))]
    pub services: i64,
    /// Pools: 1..=65536. Default: 1024.
    #[schemars(range(min = *limit::POOLS.start(), max = *limit::POOLS.end()))]
    pub pools: i64,
    /// Backends over all pools: 1..=32766. Default: 16384.
    #[schemars(range(min = *limit::BACKENDS.start(), max = *limit::BACKENDS.end()))]
    pub backends: i64,
    /// Slots of all tables together, 4 bytes each: 1..=268435456, rounded up to a multiple of
    /// 1024. All pools need room in it, and the largest one twice, for its next table.
    /// Default: 8388608 (32 MiB).
    #[schemars(range(min = *limit::ALL_TABLE_SLOTS.start(), max = *limit::ALL_TABLE_SLOTS.end()))]
    pub table_slots: i64,
    /// Flows that can be pinned at once while slots are in transition, 8 bytes each:
    /// 8..=134217728, rounded up to a multiple of 8. Default: 1048576 (8 MiB).
    #[schemars(range(min = *limit::PINS.start(), max = *limit::PINS.end()))]
    pub pins: i64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            services: 16_384,
            pools: 1024,
            backends: 16_384,
            table_slots: 8_388_608,
            pins: 1_048_576,
        }
    }
}

/// A named set of backends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolFile {
    /// Name, unique among pools: 1 to 63 letters, digits, dots, dashes and underscores.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,63}$"))]
    pub name: String,
    /// How flows are spread. Default: maglev.
    #[serde(default = "default::scheduler")]
    pub scheduler: Scheduler,
    /// How packets travel to the backends. Default: ipip.
    #[serde(default = "default::encapsulation")]
    pub encapsulation: Encapsulation,
    /// Slots of the pool's table, a prime: 251..=16777213. 100 for each backend or more keep the
    /// shares exact and changes small. Default: 65521.
    #[serde(default = "default::table_slots")]
    #[schemars(range(min = *limit::TABLE_SLOTS.start(), max = *limit::TABLE_SLOTS.end()))]
    pub table_slots: i64,
    /// How long a flow may be silent and still be kept on its backend when backends come, go or
    /// change weight: 0s..=2h. 0s keeps none: flows follow the table at once. Default: 5m.
    #[serde(default = "default::flow_idle_timeout")]
    pub flow_idle_timeout: String,
    /// The same for UDP flows, at most `flow_idle_timeout`. Default: 30s, or `flow_idle_timeout` if
    /// that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_idle_timeout: Option<String>,
    /// Health check. Default: none, every backend counts as up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthFile>,
    /// Backends; none is allowed, and drops the traffic of the pool's services.
    #[serde(deserialize_with = "list")]
    pub backends: Vec<BackendFile>,
}

/// How a pool's backends are checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthFile {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: HealthType,
    /// Absolute path that is fetched; for http only, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"))]
    pub path: Option<String>,
    /// Port asked, 1..=65535. Default: the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *limit::PORT.start(), max = *limit::PORT.end()))]
    pub port: Option<i64>,
    /// Time between checks of one backend: 10ms to 1h, in whole ms, s, m or h. Default: 1s.
    #[serde(default = "default::interval")]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h)$"))]
    pub interval: String,
    /// Time a check may take as a whole: from 10ms, shorter than the interval. Default: 500ms.
    #[serde(default = "default::timeout")]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h)$"))]
    pub timeout: String,
    /// Successes in a row that bring a backend up: 1..=100. Default: 2.
    #[serde(default = "default::rise")]
    #[schemars(range(min = *limit::STREAK.start(), max = *limit::STREAK.end()))]
    pub rise: i64,
    /// Failures in a row that take a backend down: 1..=100. Default: 3.
    #[serde(default = "default::fall")]
    #[schemars(range(min = *limit::STREAK.start(), max = *limit::STREAK.end()))]
    pub fall: i64,
    /// The way the probe travels. Default: direct.
    #[serde(default = "default::via")]
    pub via: HealthVia,
}

/// What a health check asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthType {
    /// A TCP connection opens.
    Tcp,
    /// An HTTP GET of `path` answers 2xx.
    Http,
}

/// One origin server.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackendFile {
    /// Name, unique in the pool: 1 to 63 letters, digits, dots, dashes and underscores. It
    /// decides, with the pool's, which flows the backend gets.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,63}$"))]
    pub name: String,
    /// IPv4 or IPv6 address that packets are sent to, unique in the pool.
    #[schemars(extend("anyOf" = [{"format": "ipv4"}, {"format": "ipv6"}]))]
    pub address: String,
    /// Relative share of new flows, 0..=1000; 0 takes none. Default: 100.
    #[serde(default = "default::weight")]
    #[schemars(range(min = *limit::WEIGHT.start(), max = *limit::WEIGHT.end()))]
    pub weight: i64,
    /// Failover order, 0..=255: the lowest tier that can take traffic gets it all. Default: 0.
    #[serde(default)]
    #[schemars(range(min = *limit::TIER.start(), max = *limit::TIER.end()))]
    pub tier: i64,
}

/// A VIP with its ports, served by a pool.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceFile {
    /// Name, unique among services: 1 to 63 letters, digits, dots, dashes and underscores.
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,63}$"))]
    pub name: String,
    /// IPv4 or IPv6 address that clients connect to.
    #[schemars(extend("anyOf" = [{"format": "ipv4"}, {"format": "ipv6"}]))]
    pub vip: String,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Ports, 1..=65535 each, at least one; or 0 alone for any port.
    #[serde(deserialize_with = "list")]
    #[schemars(length(min = 1))]
    #[schemars(inner(range(
        min = *limit::SERVICE_PORT.start(),
        max = *limit::SERVICE_PORT.end()
    )))]
    pub ports: Vec<i64>,
    /// Name of the pool that serves it.
    pub pool: String,
}

/// A list that is written as one. YAML's null would pass for an empty list, so that a list whose
/// items have all been commented out would take everything away.
fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(deserializer)?
        .ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &"a sequence"))
}

/// The JSON Schema of the file, indented, with a newline at the end.
pub fn json_schema() -> String {
    std::format!("{:#}\n", schemars::schema_for!(ConfigFile).as_value())
}
