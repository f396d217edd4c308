//! What is done with what checks say, as it is written.

use std::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{default, limit};
use crate::config::desired::AtStart;

/// What is done with what the checks of a pool say: how quick it is to leave a backend, and how slow
/// to come back. All of it needs `health`, but for `failback_delay` and `slow_start`, which also hold
/// for drains and weights by command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailoverFile {
    /// Percent of the backends of each tier that checks may take out at once, rounded down, though at
    /// least one: 1..=100. Those that have been down the longest are out; others that fail stay in
    /// use until there is room. Default: 100, all of them.
    #[schemars(range(min = *limit::SHARE.start(), max = *limit::SHARE.end()))]
    pub max_ejected: i64,
    /// Time that a backend stays down, whatever its checks say, when it fails again within
    /// `hold_down_max` of having come up: 0s..=1h. Twice as long each time that this happens again.
    /// 0s never holds. Default: 10s.
    pub hold_down: String,
    /// The longest that a backend is held, and how long it must stay up until earlier failures are
    /// forgotten: from `hold_down` to 24h. Default: 5m, or `hold_down` if that is longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_down_max: Option<String>,
    /// Time that a lower tier must have been ready without a break before it takes the traffic back:
    /// 0s..=24h. Default: 0s, at once.
    pub failback_delay: String,
    /// Time in which a backend that comes into service again (up after it was down, no longer
    /// drained, new in a pool that has others) gets from a tenth to its whole weight: 0s..=1h.
    /// Default: 0s, at once.
    pub slow_start: String,
    /// What an agent that starts believes of backends before their first result. Default: adopt.
    pub at_start: AtStart,
}

impl Default for FailoverFile {
    fn default() -> Self {
        Self {
            max_ejected: 100,
            hold_down: "10s".to_string(),
            hold_down_max: None,
            failback_delay: "0s".to_string(),
            slow_start: "0s".to_string(),
            at_start: AtStart::Adopt,
        }
    }
}

/// How weights follow what servers report, or how fast they answer their checks. Needs `health`, and
/// one of `report_port` and `response_time`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdaptFile {
    /// TCP port of the backends where a server says, in one line and unasked, how much it can take:
    /// `75%` of its weight, `drain`, `maint`, `ready`, `up` or `down`, as in `HAProxy`'s agent-check.
    /// It is read after each check that passes, within the check's time-out. 1..=65535. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = *limit::PORT.start(), max = *limit::PORT.end()))]
    pub report_port: Option<i64>,
    /// Whether a backend whose checks take longer than those of the fastest of its pool gets less, by
    /// the same ratio; times are averaged, and a millisecond is added to each. Default: false.
    #[serde(default)]
    pub response_time: bool,
    /// Percent of its weight that a backend keeps whatever is reported, but for `0%`: 1..=100.
    /// Default: 10.
    #[serde(default = "default::floor")]
    #[schemars(range(min = *limit::SHARE.start(), max = *limit::SHARE.end()))]
    pub floor: i64,
    /// Percent points of its weight by which a backend changes at most at once: 5..=100. Changes below
    /// 5 points are not made. Default: 10.
    #[serde(default = "default::step")]
    #[schemars(range(min = *limit::STEP.start(), max = *limit::STEP.end()))]
    pub step: i64,
    /// Time between two changes of a pool: 1s..=1h. Default: 5s.
    #[serde(default = "default::every")]
    pub every: String,
}
