//! The health check of a pool as it is written.
//!
//! All types of checks share one mapping: a field that does not belong to the type is refused by
//! `validate`, which can say so more clearly than a type error could.

use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{StatusesFile, default, limit};
use crate::config::desired::{DnsRcode, DnsRecord, HealthVia, HttpMethod};

/// How a pool's backends are checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthFile {
    /// What is asked.
    #[serde(rename = "type")]
    pub kind: HealthType,
    /// Absolute path that is fetched; for http and https only, and needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[!-~]*$"))]
    pub path: Option<String>,
    /// How it is fetched; for http and https only. Default: GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
    /// Value of the Host header, 1 to 255 printable ASCII characters; for http and https only.
    /// Default: address and port that are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[!-~]{1,255}$"))]
    pub host: Option<String>,
    /// Statuses that pass, 100..=599: one, a range such as `200-299`, or a list of both; for http
    /// and https only. Default: 200-299.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_status: Option<StatusesFile>,
    /// Text that the first 64 KiB of the body must have somewhere, byte for byte, 1 to 1024 bytes;
    /// for http and https only, and not with HEAD. Default: none, any body passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = *limit::TEXT_BYTES.start(), max = *limit::TEXT_BYTES.end()))]
    pub expect_body: Option<String>,
    /// Name that the server is asked for (SNI) and that its certificate must have; for https, and
    /// for grpc with `tls`.
    /// Default: none is asked for, and the certificate must have the address that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,253}$"))]
    pub server_name: Option<String>,
    /// Absolute path of a PEM file on the balancer, with the certificates of whoever may have issued
    /// the server's; for https, and for grpc with `tls`. It is read when the configuration is taken, not again after.
    /// Default: the host's own roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/[^\x00]*$"))]
    pub ca: Option<String>,
    /// Whether the server's certificate is verified; for https, and for grpc with `tls`. Default:
    /// true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    /// Name that is asked for, such as `www.example`; a single dot is the root. For dns only, and
    /// needed there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([A-Za-z0-9._-]{1,253}|\.)$"))]
    pub query: Option<String>,
    /// Type of the records that are asked for; for dns only. Default: A.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<DnsRecord>,
    /// Response code that passes; for dns only. Default: NOERROR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_rcode: Option<DnsRcode>,
    /// Service that must be SERVING by the protocol `grpc.health.v1`, up to 1024 bytes; for grpc
    /// only. Default: empty, the server as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = *limit::SERVICE_BYTES.end()))]
    pub service: Option<String>,
    /// Whether TLS is spoken; for grpc only. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Absolute path of a program, and its arguments, 1 to 64 words; for exec only, and needed there.
    /// It runs in `/`, with no environment but `environment`, `LB_POOL`, `LB_BACKEND`, `LB_ADDRESS`
    /// and, if there is a port, `LB_PORT`. Exit status 0 passes; what it prints first is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = *limit::COMMAND_WORDS.start(), max = *limit::COMMAND_WORDS.end()))]
    pub command: Option<Vec<String>>,
    /// Environment of the command, by name: letters, digits and underscores, none that begins with
    /// `LB_`; for exec only. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    /// User that runs the command, with its own group alone; for exec only. Default: the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = *limit::USER_BYTES.start(), max = *limit::USER_BYTES.end()))]
    pub user: Option<String>,
    /// Port asked, 1..=65535; not for icmp. Default: 53 for dns; for others, the lowest of the first of the pool's
    /// TCP services, by name; via tunnel, the lowest of the service whose VIP is asked.
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
    /// Percent of the pool's backends that must be up, 0..=100. With fewer it is rather the check
    /// that fails, and all backends are used as if they were up. Default: 1, that is, only if none
    /// is up; 0 never.
    #[serde(default = "default::panic_threshold")]
    #[schemars(range(min = *limit::PERCENT.start(), max = *limit::PERCENT.end()))]
    pub panic_threshold: i64,
    /// The way the probe travels. `direct` asks the backend's own address. `tunnel` asks the VIP of the
    /// pool's first service, by name, that speaks the check's protocol (UDP for dns, else TCP), and
    /// wraps the packets for the one backend as those of clients: decapsulation, VIP and service are
    /// proven at once. Not for icmp and exec. Default: direct.
    #[serde(default = "default::via")]
    pub via: HealthVia,
}

/// What a health check asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HealthType {
    /// A TCP connection opens.
    Tcp,
    /// An HTTP request for `path` is answered as expected.
    Http,
    /// The same with TLS.
    Https,
    /// A DNS question for `query` over UDP is answered as expected.
    Dns,
    /// An ICMP echo request is answered; the balancer needs `CAP_NET_RAW`, or to be in
    /// `net.ipv4.ping_group_range`.
    Icmp,
    /// `command` exits with status 0.
    Exec,
    /// A gRPC server answers by the protocol `grpc.health.v1` that `service` is SERVING.
    Grpc,
}

impl HealthType {
    /// Name as the configuration writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Http => "http",
            Self::Https => "https",
            Self::Dns => "dns",
            Self::Icmp => "icmp",
            Self::Exec => "exec",
            Self::Grpc => "grpc",
        }
    }
}
