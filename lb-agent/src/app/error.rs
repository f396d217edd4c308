//! Why the agent cannot start or cannot do what it was asked, with exit code and cure.

use lb_common::config::ConfigError;
use thiserror::Error;

use crate::core::ids::Exhausted;
use crate::core::plan::Unplanned;
use crate::core::tables::TableError;
use crate::io::api_server::ApiError;
use crate::io::bpf::BpfError;
use crate::io::capabilities::NotPermitted;
use crate::io::files::FileError;
use crate::io::maps::MapsError;
use crate::io::metrics::ListenError;
use crate::io::netlink::NetlinkError;
use crate::io::origin::OriginError;
use crate::io::pins::PinError;
use crate::io::state_file::StateError;
use crate::io::tunnel::TunnelError;

/// An error of the agent as a whole.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configuration names an interface that is not there.
    #[error("{config}: interfaces: there is no interface {name}")]
    NoInterface {
        /// The configuration file.
        config: String,
        /// The interface.
        name: String,
    },
    /// What cannot change while the maps live has changed.
    #[error("{field} cannot change while the agent runs")]
    Fixed {
        /// The field.
        field: &'static str,
    },
    /// More of a pool's hash space would move than may.
    #[error(
        "{percent} % of the hash space of pool {pool} would move{to_another}, and at most {max_percent} % may",
        to_another = to_another(.service.as_deref())
    )]
    MovesTooMuch {
        /// The pool, or the one of several in which most would.
        pool: String,
        /// The service that goes to another pool with it.
        service: Option<String>,
        /// How much.
        percent: u8,
        /// How much may.
        max_percent: u8,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The stored state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The program in the kernel.
    #[error(transparent)]
    Bpf(#[from] BpfError),
    /// The program for health checks through the tunnel.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The maps.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// The decapsulation program.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Routes and neighbours.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The control API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The address for metrics.
    #[error(transparent)]
    Metrics(#[from] ListenError),
    /// Capabilities.
    #[error(transparent)]
    NotPermitted(#[from] NotPermitted),
    /// Indices.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Room for tables.
    #[error(transparent)]
    Unplanned(#[from] Unplanned),
    /// A table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Signals or the runtime.
    #[error("the runtime failed")]
    Runtime(#[from] std::io::Error),
}

impl AgentError {
    /// Exit code, the same as lb-ctl's for the same kind of error.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::NoInterface { .. }
            | Self::Exhausted(_)
            | Self::Unplanned(_)
            | Self::Table(_) => 5,
            Self::Pins(error) | Self::Bpf(BpfError::Pins(error)) => pins_exit_code(error),
            Self::Fixed { .. }
            | Self::MovesTooMuch { .. }
            | Self::State(StateError::Locked { .. })
            | Self::Api(ApiError::InUse { .. })
            | Self::Origin(OriginError::Occupied { .. })
            | Self::Bpf(BpfError::Occupied { .. }) => 6,
            Self::NotPermitted(_) => 7,
            Self::File(_)
            | Self::State(_)
            | Self::Bpf(_)
            | Self::Tunnel(_)
            | Self::Maps(_)
            | Self::Origin(_)
            | Self::Netlink(_)
            | Self::Api(_)
            | Self::Metrics(_)
            | Self::Runtime(_) => 1,
        }
    }

    /// The same of a file that a client has sent: its own name, not that of the agent's.
    #[must_use]
    pub(super) fn of_file(self, origin: &str) -> Self {
        match self {
            Self::NoInterface { name, .. } => Self::NoInterface { config: origin.to_owned(), name },
            other => other,
        }
    }

    /// What the operator can do; empty if the message says it all.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Config(_) => {
                "correct the file; `lb-ctl config validate FILE` checks it without touching anything"
            }
            Self::NoInterface { .. } => "see the names with `ip link`, and correct the file",
            Self::Fixed { .. } => {
                "write it to the agent's own file and restart the agent; for limits, after `lb-agent detach`"
            }
            Self::MovesTooMuch { .. } => {
                "see `lb-ctl config diff FILE`; if that is what you want, `lb-ctl config apply FILE --max-moved 100`"
            }
            Self::File(_) => "check the path and its permissions",
            Self::State(StateError::Locked { .. }) => {
                "stop the other agent, or give this one its own --pin-dir, --socket and --state-dir"
            }
            Self::State(_) => {
                "check --state-dir; a damaged state.json can be moved away, and the overrides it held set again"
            }
            Self::Bpf(error) => error.cure(),
            Self::Tunnel(error) => error.cure(),
            Self::Pins(error) => error.cure(),
            Self::Origin(error) => error.cure(),
            Self::Api(ApiError::InUse { .. }) => {
                "stop the other agent, or give this one its own --socket"
            }
            Self::Api(ApiError::Listen { .. }) => {
                "check --socket and the permissions of its directory"
            }
            Self::Metrics(_) => {
                "see who listens there with `ss -ltnp`, or take another metrics.listen"
            }
            Self::NotPermitted(_) => NotPermitted::CURE,
            Self::Exhausted(_) | Self::Unplanned(_) => {
                "raise the limit named; it takes effect after `lb-agent detach` and a start"
            }
            Self::Table(_) => "give the pool more table_slots",
            Self::Maps(_) | Self::Netlink(_) | Self::Runtime(_) => "",
        }
    }
}

/// Somebody else's pins are a conflict; a directory that cannot be used is a failure.
const fn pins_exit_code(error: &PinError) -> u8 {
    match error {
        PinError::Locked { .. }
        | PinError::NotOurs { .. }
        | PinError::OtherLayout { .. }
        | PinError::Mismatch { .. } => 6,
        PinError::NotBpffs { .. }
        | PinError::Missing { .. }
        | PinError::Inspect { .. }
        | PinError::Io { .. } => 1,
    }
}

fn to_another(service: Option<&str>) -> String {
    service.map_or_else(String::new, |service| format!(", since service {service} leaves it"))
}
