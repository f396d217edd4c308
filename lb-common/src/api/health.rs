//! What the agent answers about health checks.

use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Backends that are checked, by what their checks say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct HealthCounts {
    /// They answer.
    pub up: usize,
    /// They do not.
    pub down: usize,
    /// No result yet.
    pub unknown: usize,
}

/// `GET /v1/health`: one backend and its check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Pool.
    pub pool: String,
    /// Name inside the pool.
    pub name: String,
    /// What is asked, and where.
    pub check: String,
    /// `up`, `down` or `unknown`.
    pub condition: String,
    /// Whether traffic follows the condition; not if so few of the pool are up that its checks are
    /// not believed, or if as many of the pool are out as may be.
    pub believed: bool,
    /// Since when that is known, RFC 3339.
    pub since: String,
    /// Results in a row that speak against the condition.
    pub against: u32,
    /// As many change it.
    pub needed: u32,
    /// The last result.
    pub last: Option<HealthResult>,
    /// Why the last probe asked nobody, if it did not: then it says nothing about the backend.
    pub not_asked: Option<String>,
    /// When the server's certificate ends, RFC 3339, if one was seen.
    pub certificate_ends: Option<String>,
    /// Whole days until then; negative once it has ended.
    pub certificate_days_left: Option<i64>,
    /// Time until the next probe, ms; none while one is under way.
    pub next_ms: Option<u64>,
    /// Time that it stays down whatever its checks say, ms, because it has failed again soon after it
    /// had come up.
    #[serde(default)]
    pub held_ms: Option<u64>,
    /// Percent of its weight that it says it can take; none if it is not asked.
    #[serde(default)]
    pub reported_percent: Option<u8>,
    /// Whether it says that it wants no new flows.
    #[serde(default)]
    pub reported_drain: bool,
    /// How long its answers take, averaged, microseconds.
    #[serde(default)]
    pub average_us: Option<u64>,
}

/// What one probe came to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthResult {
    /// Whether the backend did what was asked.
    pub passed: bool,
    /// What happened.
    pub detail: String,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// When, RFC 3339.
    pub at: String,
}

/// `GET /v1/health/{pool}`: one backend, its check, and its last results.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthHistory {
    /// The check as it stands.
    #[serde(flatten)]
    pub health: Health,
    /// The last results, the newest first, five at most.
    pub results: Vec<HealthResult>,
}

/// `POST /v1/health/{pool}/{name}/check`: one probe that was asked for by hand. It has changed
/// nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthTrial {
    /// Pool.
    pub pool: String,
    /// Name inside the pool.
    pub name: String,
    /// What was asked, and where.
    pub check: String,
    /// Time that it could have taken, ms.
    pub timeout_ms: u64,
    /// Whether the backend did what was asked; none if nobody was asked; `detail` says why.
    pub passed: Option<bool>,
    /// What happened.
    pub detail: String,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// Each step, in their order; the last one is the one that failed, if any did.
    pub steps: Vec<HealthStep>,
}

/// One step of a probe.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthStep {
    /// What was tried: `tunnel`, `connect`, `tls`, `request`, `answer`, `body`, `start`, `wrapped`.
    pub step: String,
    /// What came of it.
    pub detail: String,
    /// How long it took, microseconds.
    pub took_us: u64,
}
