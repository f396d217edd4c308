//! What the agent answers about configurations: the running one, those of before, another.

use std::string::String;
use std::vec::Vec;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/config`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigText {
    /// Path of the file.
    pub file: String,
    /// The text that is running, YAML.
    pub text: String,
}

/// `GET /v1/config/history`: a configuration that was put in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigVersion {
    /// Generation that it began. Weights and drains by command count too, so there are gaps.
    pub generation: u64,
    /// When, RFC 3339.
    pub applied_at: String,
    /// `start`, `reload`, `apply` or `import`.
    pub source: String,
    /// How many objects it changed.
    pub changes: usize,
    /// Whether it is the one that is running.
    pub running: bool,
}

/// `GET` and `POST /v1/state`: everything that one agent knows and another has to be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StateBackup {
    /// Name of the node that it was taken from.
    pub node: String,
    /// When, RFC 3339.
    pub taken_at: String,
    /// The running configuration, YAML.
    pub configuration: String,
    /// Weights and drains by command, as the state file has them.
    #[schema(value_type = Object)]
    pub overrides: serde_json::Value,
}

/// `POST /v1/config/diff` and `/apply`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ConfigDiff {
    /// Changes as one reads them, not as they are carried out: what comes or changes, by kind
    /// (node, cluster, limits, interfaces, pools, backends, services), then what goes. Empty when
    /// nothing differs.
    pub changes: Vec<Change>,
    /// What moves in pools that stay.
    #[serde(default)]
    pub moves: Vec<Move>,
    /// True when they were carried out (apply), false when only computed (diff).
    pub applied: bool,
}

/// The part of a pool's hash space that moves, or a service that goes to another pool.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Move {
    /// The pool; of a service, the one that it leaves.
    pub pool: String,
    /// The service that goes to another pool as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Share of it whose new flows another backend takes, or none any more, 0..=1.
    pub share: f64,
    /// Whether flows of before stay on their backends. Not if `table_slots` or the hash of the
    /// scheduler changes, if the pool's idle time-out is 0, or if a service goes to another pool.
    pub keeps_flows: bool,
    /// Flows of the pool that are pinned now. At rest none are, and nobody counts the others.
    pub flows_pinned: u64,
}

/// One difference between the running configuration and another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// What happens to the object.
    pub kind: ChangeKind,
    /// `service web`, `backend web/web-1`, `pool web`, `interface eth0`, `node`.
    pub object: String,
    /// What changes, in words: `weight 100 -> 50`. Empty when the whole object comes or goes.
    pub detail: String,
}

/// What happens to an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It comes.
    Add,
    /// It goes.
    Remove,
    /// It stays, changed.
    Modify,
}
