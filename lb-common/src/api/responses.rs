//! What the agent answers.

use std::net::IpAddr;
use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::HealthCounts;

/// Many things of one kind.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct List<T> {
    /// Always `lb/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `ServiceList`, `BackendList`, `FindingList`, `EventList`.
    pub kind: String,
    /// Generation of the running configuration; each accepted change adds one.
    pub generation: u64,
    /// The things.
    pub items: Vec<T>,
}

/// One thing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Item<T> {
    /// Always `lb/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `Status`, `Live`, `Service`, `Backend`, `Trace`, `Config`, `ConfigDiff`.
    pub kind: String,
    /// Generation of the running configuration; each accepted change adds one.
    pub generation: u64,
    /// The thing.
    pub item: T,
}

/// `GET /v1/status`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Name of the node.
    pub node: String,
    /// Version of the agent.
    pub agent_version: String,
    /// Process id of the agent.
    pub pid: u32,
    /// When the agent started, RFC 3339.
    pub started_at: String,
    /// Path of the configuration file.
    pub config_file: String,
    /// Layout version of the maps.
    pub layout_version: u32,
    /// Where the pins are.
    pub pin_dir: String,
    /// When the agent's loop came round last, RFC 3339.
    #[serde(default)]
    pub last_loop_at: String,
    /// The longest that it came late in the last minute or two, ms: what a command may have to wait.
    #[serde(default)]
    pub loop_lag_ms: u64,
    /// Whether the maps of an earlier agent were adopted at the start.
    pub adopted: bool,
    /// What checks say of the backends that are checked.
    pub health: HealthCounts,
    /// Interfaces the program is attached to.
    pub interfaces: Vec<InterfaceStatus>,
    /// Number of services.
    pub services: usize,
    /// Number of pools.
    pub pools: usize,
    /// Number of backends.
    pub backends: usize,
    /// Bytes of all maps, as computed from their sizes.
    pub map_memory_bytes: u64,
    /// Flows pinned to backends.
    pub pins: PinStatus,
    /// One counter per way out of the program, all interfaces together.
    pub reasons: Vec<ReasonCount>,
    /// What needs the operator's attention, one sentence each; empty when all is well.
    pub warnings: Vec<String>,
}

/// `GET /v1/live`: answered without the agent's loop, so also while that hangs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Live {
    /// When the loop came round last, RFC 3339; about once a second.
    pub last_loop_at: String,
    /// How long ago that was, ms.
    pub last_loop_age_ms: u64,
    /// The longest that it came late in the last minute or two, ms.
    pub loop_lag_ms: u64,
}

/// The flow table: while a slot is in transition, its flows are pinned to their backends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct PinStatus {
    /// Pins there is room for.
    pub capacity: u64,
    /// Pins of live flows.
    pub used: u64,
    /// Pins that had to make room for others since the maps were made.
    pub evicted: u64,
    /// Flows that found no room since the maps were made.
    pub full: u64,
    /// Slots whose flows are pinned because their backend has changed.
    pub slots_in_transition: u64,
}

/// One attached interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct InterfaceStatus {
    /// Name in the kernel.
    pub name: String,
    /// Kernel index.
    pub ifindex: u32,
    /// `native` or `generic`.
    pub mode: String,
    /// Kernel id of the attached program.
    pub program_id: u32,
}

/// One reason counter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReasonCount {
    /// Name of the reason, as in docs/metrics.md.
    pub reason: String,
    /// `pass`, `tx` or `drop`.
    pub verdict: String,
    /// What it means, one sentence.
    pub help: String,
    /// Packets that ended so.
    pub packets: u64,
    /// Their bytes as received.
    pub bytes: u64,
}

/// Packets and bytes since the counters were made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes of the frames as received.
    pub bytes: u64,
}

/// One service.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Name.
    pub name: String,
    /// The address clients connect to.
    #[schema(value_type = String)]
    pub vip: IpAddr,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Ports; 0 means any.
    pub ports: Vec<u16>,
    /// Pool that serves it.
    pub pool: String,
    /// Backends of the pool that take new flows.
    pub backends_active: usize,
    /// Backends of the pool.
    pub backends_total: usize,
    /// What it has forwarded.
    pub traffic: Traffic,
}

/// One backend of one pool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Backend {
    /// Pool.
    pub pool: String,
    /// Name inside the pool.
    pub name: String,
    /// Where packets are sent.
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Failover order.
    pub tier: u8,
    /// `active`, `standby` (its tier is not in use), `draining` (by command, or by its own report),
    /// `drained` (its flows were ended at the deadline), `disabled` (weight 0), `waiting` (for the first result of its checks), `down`,
    /// or `leaving` (removed from the file, flows left).
    pub state: String,
    /// What its checks say: `up`, `down`, `unknown` (no result yet) or `unchecked`.
    pub health: String,
    /// Weight in the configuration.
    pub weight_configured: u32,
    /// Weight in force: what the operator set, else the configured one, less what slow start and
    /// `adapt` take of it; 0 while draining.
    pub weight_effective: u32,
    /// What the operator changed by command.
    pub operator: Operator,
    /// How far its drain is, if there is one.
    #[serde(default)]
    pub drain: Option<DrainStatus>,
    /// Share of the pool's table, 0..=1.
    pub share: f64,
    /// Flows pinned to it while their slots are in transition; what a drain waits for.
    pub flows: u64,
    /// The way there.
    pub next_hop: NextHop,
    /// What was sent to it.
    pub traffic: Traffic,
}

/// Changes made by command, kept apart from the file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Operator {
    /// Weight set by `backend weight`.
    pub weight: Option<u32>,
    /// Set by `backend drain`.
    pub drain: bool,
}

/// A drain under way, or done.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct DrainStatus {
    /// `draining` (flows are left), `overdue` (flows are left, and the deadline has passed), `forced`
    /// (the flows that were left at the deadline have been ended) or `done` (nothing leads to the
    /// backend any more).
    pub state: String,
    /// When it was asked for, RFC 3339; null if an agent of before did not note it.
    pub since: Option<String>,
    /// When it shall be done, RFC 3339.
    pub deadline: Option<String>,
    /// Whether the flows that are left then are ended.
    pub force_at_deadline: bool,
    /// Flows that are left, as far as they have shown themselves since the drain began; null until
    /// they have been counted, a second or two after it began or the agent started.
    pub flows_left: Option<u64>,
    /// Flows that ended per second since there were most.
    pub flows_ended_per_s: f64,
    /// When it is done if flows go on ending as they did, RFC 3339; null if nobody can tell.
    pub estimated_end: Option<String>,
}

/// How a backend is reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NextHop {
    /// Whether packets can be sent.
    pub state: NextHopState,
    /// Gateway, or the backend itself.
    #[schema(value_type = Option<String>)]
    pub gateway: Option<IpAddr>,
    /// Egress interface.
    pub interface: Option<String>,
    /// Link-layer address, `aa:bb:cc:dd:ee:ff`.
    pub mac: Option<String>,
    /// Largest IP packet on the way, outer header included.
    pub mtu_bytes: Option<u32>,
    /// Why it is not resolved.
    pub problem: Option<String>,
}

/// Whether a next hop can be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextHopState {
    /// Route and link-layer address are known.
    Resolved,
    /// No route, no neighbour, or an interface the program is not attached to.
    Unresolved,
}

/// `POST /v1/trace`: what the loaded program does with a packet, and why.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trace {
    /// `pass`, `tx` or `drop`, as returned by the program in the kernel.
    pub verdict: String,
    /// Name of the reason, as in docs/metrics.md.
    pub reason: String,
    /// What the reason means.
    pub help: String,
    /// Service the packet matched.
    pub service: Option<String>,
    /// Backend it goes to, `pool/name`.
    pub backend: Option<String>,
    /// Outer destination read from the program's output frame.
    #[schema(value_type = Option<String>)]
    pub outer_destination: Option<IpAddr>,
    /// Each decision with its facts, in order.
    pub steps: Vec<TraceStep>,
    /// Whether the same pipeline, run by the agent over the maps it reads back, agrees with the
    /// program in the kernel. False is a defect: please report it.
    pub model_agrees: bool,
}

/// One decision on the way through the program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TraceStep {
    /// `service`, `pool`, `hash`, `slot`, `next_hop`, `verdict`.
    pub step: String,
    /// What was found, in words.
    pub detail: String,
}

/// One line of `GET /v1/doctor`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked at: `kernel`, `capabilities`, `xdp_mode`, `mtu`, `neighbours`, `pins`, ...
    pub check: String,
    /// How bad it is.
    pub severity: Severity,
    /// What was found.
    pub message: String,
    /// What to do; empty when nothing is wrong.
    pub cure: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, but not as it should.
    Warning,
    /// It does not work.
    Error,
}

/// An error, RFC 9457.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable name: `not_found`, `invalid_request`, `invalid_config`, `conflict`, `busy`, `internal`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, one line.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// More: the cause, what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The names that were near an unknown one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub did_you_mean: Vec<String>,
    /// Every error of a configuration, with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemItem>,
}

/// One error of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemItem {
    /// File.
    pub file: String,
    /// Line, from 1.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
    /// Field, `pools[0].backends[2].weight`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}
