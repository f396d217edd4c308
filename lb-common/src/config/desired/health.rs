//! How a pool's backends are checked: what is asked, when, and what counts as an answer.

use core::fmt;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::string::String;
use std::sync::Arc;
use std::time::Duration;
use std::vec::Vec;

use serde::Serialize;

use super::dns::{DnsRcode, DnsRecord};
use super::{Protocol, Service};

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
    /// Percent of a pool that must be up for its checks to be believed.
    pub panic_threshold: u8,
    /// The way the probe travels.
    pub via: HealthVia,
}

impl HealthCheck {
    /// Where probes of `pool` are addressed to that go through the tunnel: the VIP of its first
    /// service, by name, that speaks the check's protocol and says which port to ask.
    pub fn vip(&self, pool: &str, services: &BTreeMap<String, Service>) -> Option<SocketAddr> {
        let protocol = self.kind.tunnelled_protocol()?;
        let mut fitting = services.values().filter(|it| it.pool == pool && it.protocol == protocol);
        fitting.find_map(|service| {
            let own = service.ports.first().copied().filter(|port| *port != 0);
            Some(SocketAddr::new(service.vip, self.port.or(own)?))
        })
    }
}

/// What a health check asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum HealthKind {
    /// A TCP connection opens.
    Tcp,
    /// An HTTP request has the answer that is expected, with TLS or without.
    Http(HttpCheck),
    /// A DNS question over UDP has the answer that is expected.
    Dns(DnsCheck),
    /// An ICMP echo request is answered.
    Icmp,
    /// A command exits with 0.
    Exec(ExecCheck),
    /// A gRPC server says that a service of it is serving.
    Grpc(GrpcCheck),
}

impl HealthKind {
    /// What such a probe speaks to a VIP; none if it cannot go through the tunnel: an echo to a VIP
    /// is answered by the balancer, and the connections of a command are not the agent's.
    pub const fn tunnelled_protocol(&self) -> Option<Protocol> {
        match self {
            Self::Tcp | Self::Http(_) | Self::Grpc(_) => Some(Protocol::Tcp),
            Self::Dns(_) => Some(Protocol::Udp),
            Self::Icmp | Self::Exec(_) => None,
        }
    }
}

/// An HTTP request, and what its answer must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HttpCheck {
    /// Absolute path.
    pub path: String,
    /// How it is asked for.
    pub method: HttpMethod,
    /// Value of the Host header; address and port if absent.
    pub host: Option<String>,
    /// Statuses that pass.
    pub expect_status: Statuses,
    /// What the first 64 KiB of the body must have somewhere.
    pub expect_body: Option<String>,
    /// How it is encrypted; not at all if absent.
    pub tls: Option<TlsCheck>,
}

/// What TLS a check speaks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TlsCheck {
    /// Name that is asked for and that the certificate must have; the backend's address if absent.
    pub server_name: Option<String>,
    /// Whose certificates are accepted.
    pub trust: Trust,
}

/// Whose certificates are accepted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Those of whoever the host trusts.
    System,
    /// Those that one of these has issued.
    File {
        /// The file that they are in.
        path: String,
        /// What it had when the configuration was taken, each in DER.
        #[serde(skip)]
        certificates: Arc<Vec<Vec<u8>>>,
    },
    /// Anybody's: they are not verified.
    Anybody,
}

/// A DNS question, and what its answer must be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DnsCheck {
    /// The name that is asked for.
    pub query: String,
    /// The records that are asked for.
    pub record: DnsRecord,
    /// Response code that passes.
    pub expect_rcode: DnsRcode,
}

/// A command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExecCheck {
    /// Absolute path of the program, and its arguments.
    pub command: Vec<String>,
    /// What its environment has, besides who is asked about.
    pub environment: BTreeMap<String, String>,
    /// Who runs it; the agent's own user if absent.
    pub user: Option<ExecUser>,
}

/// A question of the protocol `grpc.health.v1`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GrpcCheck {
    /// The service; empty for the server as a whole.
    pub service: String,
    /// How it is encrypted; not at all if absent.
    pub tls: Option<TlsCheck>,
}

/// A user of the host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ExecUser {
    /// Name.
    pub name: String,
    /// Number, as it was when the configuration was taken.
    #[serde(skip)]
    pub uid: u32,
    /// Number of the user's own group.
    #[serde(skip)]
    pub gid: u32,
}

/// Method of an HTTP request.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum HttpMethod {
    /// With a body in the answer.
    Get,
    /// Without one.
    Head,
}

/// HTTP statuses from one to another, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct StatusRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl fmt::Display for StatusRange {
    /// `204` or `200-299`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self { first, last } if first == last => write!(f, "{first}"),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

/// HTTP statuses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Statuses(pub Vec<StatusRange>);

impl Statuses {
    /// Whether `status` is among them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|range| (range.first..=range.last).contains(&status))
    }
}

impl fmt::Display for Statuses {
    /// `200, 300-302`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
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
