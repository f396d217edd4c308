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

use super::desired::{Encapsulation, Mode, Protocol, Scheduler};

pub mod default;
mod failover;
mod health;
pub mod limit;
mod status;

pub use failover::{AdaptFile, FailoverFile};
pub use health::{HealthFile, HealthType};
pub use status::{StatusFile, StatusesFile};

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
    /// Where metrics are told.
    #[serde(default)]
    pub metrics: MetricsFile,
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
    /// Sources of the outer headers, one for each IP version that backends have.
    #[serde(default)]
    pub encap_source: EncapSourceFile,
    /// UDP port that GUE packets are sent to: 1..=65535. Default: 6080.
    #[serde(default = "default::gue_port")]
    #[schemars(range(min = *limit::PORT.start(), max = *limit::PORT.end()))]
    pub gue_port: i64,
    /// How often the balancer answers for a VIP.
    #[serde(default)]
    pub icmp: IcmpFile,
}

/// How often the balancer answers for a VIP, on each CPU; the kernel of no host sees the question.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IcmpFile {
    /// Errors a second: too big for the way to a backend, or no hop left. 0 sends none, and such
    /// packets are dropped in silence: 0..=1000000. Default: 1000.
    #[schemars(range(min = *limit::ICMP_PER_SECOND.start(), max = *limit::ICMP_PER_SECOND.end()))]
    pub errors_per_second: i64,
    /// Echo replies a second; 0 answers none: 0..=1000000. Default: 1000.
    #[schemars(range(min = *limit::ICMP_PER_SECOND.start(), max = *limit::ICMP_PER_SECOND.end()))]
    pub echoes_per_second: i64,
}

impl Default for IcmpFile {
    fn default() -> Self {
        Self {
            errors_per_second: default::ICMP_PER_SECOND,
            echoes_per_second: default::ICMP_PER_SECOND,
        }
    }
}

/// Sources of the outer headers: an address each, or a prefix such as `10.64.0.0/16` whose host bits
/// the flow's hash fills, so that origins and the routers on the way spread what one balancer sends.
/// The bits behind the prefix must be zero. The addresses need not be the host's own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncapSourceFile {
    /// Outer source towards IPv4 backends, with a prefix of 8 bits or more. Default: none, so that there can be no such backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9.]+(/[0-9]+)?$"))]
    pub ipv4: Option<String>,
    /// Outer source towards IPv6 backends, with a prefix of 16 bits or more. Default: none, so that there can be no such backend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9A-Fa-f:.]+(/[0-9]+)?$"))]
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

/// Where metrics are told to Prometheus. `lb-ctl`'s socket has them in any case.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsFile {
    /// Address and port of `GET /metrics`, such as `127.0.0.1:9417` or `[::1]:9417`. Whoever reaches
    /// it sees names and counters of everything. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9A-Fa-f.:\[\]]+:[0-9]{1,5}$"))]
    pub listen: Option<String>,
}

/// Sizes of the maps.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsFile {
    /// Entries of the service map, one for each VIP, protocol and port, and one more for each VIP:
    /// 1..=1048576. Default: 16384.
    #[schemars(range(min = *limit::SERVICES.start(), max = *limit::SERVICES.end()))]
    pub services: i64,
    /// Pools: 1..=65536. Default: 1024.
    #[schemars(range(min = *limit::POOLS.start(), max = *limit::POOLS.end()))]
    pub pools: i64,
    /// Backends over all pools: 1..=32766. Default: 16384.
    #[schemars(range(min = *limit::BACKENDS.start(), max = *limit::BACKENDS.end()))]
    pub backends: i64,
    /// Slots of all tables together, 4 bytes each: 1..=268435456, rounded up to a multiple of
    /// 1024. All pools need room in it, and the largest one twice, for its next table. A pool with
    /// scheduler round-robin needs its backends' number more, rounded up to a multiple of 1024, and
    /// one with weighted-round-robin as much again as its table. Default: 8388608 (32 MiB).
    #[schemars(range(min = *limit::ALL_TABLE_SLOTS.start(), max = *limit::ALL_TABLE_SLOTS.end()))]
    pub table_slots: i64,
    /// Flows that can be pinned at once, 8 bytes each: those of slots in transition, and all flows
    /// of pools whose scheduler places each: 8..=134217728, rounded up to a multiple of 8.
    /// Default: 1048576 (8 MiB).
    #[schemars(range(min = *limit::PINS.start(), max = *limit::PINS.end()))]
    pub pins: i64,
    /// Datagrams in fragments that can be under way at once, 8 bytes each: 8..=134217728, rounded
    /// up to a multiple of 8. Default: 16384 (128 KiB).
    #[schemars(range(min = *limit::FRAGMENTS.start(), max = *limit::FRAGMENTS.end()))]
    pub fragments: i64,
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            services: 16_384,
            pools: 1024,
            backends: 16_384,
            table_slots: 8_388_608,
            pins: 1_048_576,
            fragments: 16_384,
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
    /// Who takes a new flow. Default: maglev.
    #[serde(default = "default::scheduler")]
    pub scheduler: Scheduler,
    /// How packets travel to the backends; the outer IP version is that of a backend's address.
    /// Default: ipip.
    #[serde(default = "default::encapsulation")]
    pub encapsulation: Encapsulation,
    /// Slots of the pool's table, a prime: 251..=16777213. 100 for each backend or more keep the
    /// shares exact and changes small. Default: 65521.
    #[serde(default = "default::table_slots")]
    #[schemars(range(min = *limit::TABLE_SLOTS.start(), max = *limit::TABLE_SLOTS.end()))]
    pub table_slots: i64,
    /// How long a flow may be silent and still be kept on its backend when backends come, go or
    /// change weight: 0s..=2h. 0s keeps none: flows follow the table at once. With a scheduler that
    /// places each flow it is how long a silent flow is remembered, and cannot be 0s. Default: 5m.
    #[serde(default = "default::flow_idle_timeout")]
    pub flow_idle_timeout: String,
    /// The same for UDP flows, at most `flow_idle_timeout`. Default: 30s, or `flow_idle_timeout` if
    /// that is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp_idle_timeout: Option<String>,
    /// QUIC-LB configurations (draft-ietf-quic-load-balancers) by which the pool's backends write
    /// themselves into the connection ids they issue, unencrypted. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "list")]
    pub quic: Vec<QuicFile>,
    /// Health check. Default: none, every backend counts as up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthFile>,
    /// What is done with what the checks say.
    #[serde(default)]
    pub failover: FailoverFile,
    /// How weights follow the servers. Default: they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapt: Option<AdaptFile>,
    /// Backends; none is allowed, and drops the traffic of the pool's services.
    #[serde(deserialize_with = "list")]
    pub backends: Vec<BackendFile>,
}

/// One QUIC-LB configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuicFile {
    /// What the first three bits of a connection id say, unique in the pool: 0..=6.
    #[schemars(range(min = *limit::QUIC_CONFIG_ID.start(), max = *limit::QUIC_CONFIG_ID.end()))]
    pub config_id: i64,
    /// Bytes of the server id, which begins with the second byte of a connection id: 1..=15.
    #[schemars(range(
        min = *limit::QUIC_SERVER_ID_BYTES.start(),
        max = *limit::QUIC_SERVER_ID_BYTES.end()
    ))]
    pub server_id_bytes: i64,
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
    /// What the backend calls itself in QUIC connection ids, unique in the pool: two hexadecimal
    /// digits for each byte, as many bytes as a configuration in the pool's `quic` says. It holds
    /// for every one that says so. Default: none, its QUIC connections are known by addresses and
    /// ports alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9A-Fa-f]{2}){1,15}$"))]
    pub quic_server_id: Option<String>,
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
