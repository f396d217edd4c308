//! What is done with what the checks of a pool say, and how weights follow its servers.

use std::time::Duration;

use serde::Serialize;

/// How quick a pool is to leave a backend, and how slow to come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Failover {
    /// Percent of the backends of each tier that checks may take out at once, though at least one.
    pub max_ejected: u8,
    /// Time that a backend stays down when it has failed again; doubled each time.
    pub hold_down: Duration,
    /// The longest that this gets; a backend that stays up so long has never failed.
    pub hold_down_max: Duration,
    /// Time that a lower tier must be ready before it takes the traffic back.
    pub failback_delay: Duration,
    /// Time in which a backend that comes into service gets to its whole weight.
    pub slow_start: Duration,
    /// What is believed of backends that no check of this agent has asked.
    pub at_start: AtStart,
}

/// What an agent that starts believes of backends before their first result.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum AtStart {
    /// Those that an earlier agent left in use are up; of others nothing is known, and they wait.
    Adopt,
    /// Nothing is known of anybody: all wait for their first result, and take nothing before it.
    Wait,
}

/// How weights follow what servers report, or how fast they answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Adapt {
    /// Where servers report their load, if they do.
    pub report_port: Option<u16>,
    /// Whether those that answer checks more slowly than the fastest get less.
    pub response_time: bool,
    /// Percent of its weight that a backend keeps in any case.
    pub floor: u8,
    /// Percent points of its weight by which a backend's share changes at most in one step.
    pub step: u8,
    /// Time between two steps.
    pub every: Duration,
}
