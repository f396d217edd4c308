//! What clients send.

use std::net::SocketAddr;
use std::string::String;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MAX_MOVED_PERCENT;

/// `PUT /v1/backends/{pool}/{name}/weight`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightRequest {
    /// Relative share of new flows, 0..=1000. Null: back to the configured weight. A request
    /// without the field is refused: an empty document must not undo an operator's weight.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(maximum = 1000, required = true)]
    pub weight: Option<u32>,
}

/// `POST /v1/backends/{pool}/{name}/drain`; no body is one without a deadline.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainRequest {
    /// Seconds from now until the drain shall be done. Without it, the deadline of a drain under way
    /// stays.
    #[serde(default)]
    pub deadline_s: Option<u64>,
    /// End the flows that are left at the deadline.
    #[serde(default)]
    pub force_at_deadline: bool,
}

/// `POST /v1/config/{diff,apply}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigRequest {
    /// The whole configuration file, YAML.
    pub text: String,
    /// Name of the file, for messages.
    pub origin: String,
    /// Refuse with 409 unless the running configuration has this generation.
    #[serde(default)]
    pub expect_generation: Option<u64>,
    /// Refuse to apply with 409 if more than this of a pool's hash space moves, in percent. Default:
    /// 50.
    #[serde(default = "max_moved_percent")]
    #[schema(maximum = 100)]
    pub max_moved_percent: u8,
}

const fn max_moved_percent() -> u8 {
    MAX_MOVED_PERCENT
}

/// `GET /v1/backends?pool=NAME`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetailQuery {
    /// Only this pool's backends.
    #[serde(default)]
    pub pool: Option<String>,
}

/// `POST /v1/trace`: where would this packet go?
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceRequest {
    /// Client address and port.
    #[schema(value_type = String, example = "198.51.100.7:40000")]
    pub source: SocketAddr,
    /// VIP and port.
    #[schema(value_type = String, example = "203.0.113.10:80")]
    pub destination: SocketAddr,
    /// `tcp` or `udp`.
    pub protocol: String,
}
