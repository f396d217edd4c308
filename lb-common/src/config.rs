//! The configuration file: from YAML text to a [`Desired`] state in which everything is valid.
//!
//! [`parse`] reads the text in three steps: YAML to a tree (which refuses duplicate keys and
//! unreasonable nesting), the tree to [`file::ConfigFile`] (which refuses unknown fields and wrong types), and that to
//! [`Desired`] (which refuses whatever makes no sense). The last step reports every error it
//! finds, each with its place. `lb-ctl config validate` and the agent call the same function.

mod desired;
mod error;
pub mod file;
mod host;
mod memory;
mod name;
mod position;
mod prefix;
mod quic;
mod read;
mod validate;

pub use desired::{
    Adapt, AtStart, Backend, Desired, DnsCheck, DnsRcode, DnsRecord, Encapsulation, ExecCheck,
    ExecUser, Failover, GrpcCheck, HealthCheck, HealthKind, HealthVia, HttpCheck, HttpMethod, Icmp,
    Interface, Limits, Mode, Node, Pool, Protocol, Scheduler, Service, StatusRange, Statuses,
    TlsCheck, Trust, Weight,
};
pub use error::{ConfigError, Problem};
pub use host::{Anywhere, Host};
pub use memory::{EGRESS_MAX, MapMemory};
pub use name::{NAME_MAX_BYTES, is_name};
pub use prefix::{Prefix, PrefixError};
pub use quic::ServerId;
pub use validate::{parse, parse_on};

#[cfg(test)]
mod tests;
