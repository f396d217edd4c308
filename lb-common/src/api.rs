//! Wire types of the control API: JSON over HTTP on a Unix socket.
//!
//! The agent serves them, `lb-ctl` reads and prints them. Field names carry their units, times
//! are RFC 3339, and every answer is wrapped in a [`List`] or [`Item`] that names its kind and
//! the generation of the configuration it speaks of. Errors are [`Problem`] documents (RFC 9457).

mod configuration;
mod events;
mod health;
#[cfg(feature = "config")]
mod invalid;
mod requests;
mod responses;

pub use configuration::{
    Change, ChangeKind, ConfigDiff, ConfigText, ConfigVersion, Move, StateBackup,
};
pub use events::{Event, EventKind, EventsQuery};
pub use health::{Health, HealthCounts, HealthHistory, HealthResult, HealthStep, HealthTrial};
pub use requests::{ConfigRequest, DetailQuery, DrainRequest, TraceRequest, WeightRequest};
pub use responses::{
    Backend, DrainStatus, Finding, InterfaceStatus, Item, List, Live, NextHop, NextHopState,
    Operator, PinStatus, Problem, ProblemItem, ReasonCount, Service, Severity, Status, Trace,
    TraceStep, Traffic,
};

/// `apiVersion` of every document.
pub const API_VERSION: &str = "lb/v1";
/// Media type of [`Problem`] documents.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";
/// Media type of events that are followed: one JSON document a line.
pub const NDJSON_MEDIA_TYPE: &str = "application/x-ndjson";
/// Where the agent listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/lb-agent/agent.sock";
/// How much of a pool's hash space a change may move unless it is told otherwise, in percent.
pub const MAX_MOVED_PERCENT: u8 = 50;
/// Longest body of a request. The largest configuration has to fit: 32,767 backends, one for each
/// index, on lines of 200 bytes (the longest names and addresses) are 6.3 MiB, and services get
/// the rest.
pub const REQUEST_MAX_BYTES: usize = 16 << 20;
