//! What can go wrong between `lb-ctl` and the agent, and the cure for each.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::{Method, StatusCode};
use lb_common::api::{API_VERSION, Problem, REQUEST_MAX_BYTES};
use thiserror::Error;

/// Why a request has no good answer.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// Nothing has the socket's name.
    #[error("cannot reach the agent at {}", .socket.display())]
    Absent {
        /// The socket.
        socket: PathBuf,
    },
    /// The socket is there, but nobody listens.
    #[error("cannot reach the agent at {}", .socket.display())]
    NotListening {
        /// The socket.
        socket: PathBuf,
    },
    /// The caller may not open the socket.
    #[error("may not use the agent's socket {}", .socket.display())]
    Denied {
        /// The socket.
        socket: PathBuf,
    },
    /// Another failure to connect.
    #[error("cannot connect to the agent at {}", .socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke before the answer.
    #[error("the agent closed the connection before it answered")]
    Lost {
        /// Whether the request was for a change.
        change: bool,
        /// What the HTTP library says.
        source: hyper::Error,
    },
    /// The agent would not read the request to its end.
    #[error("the request has {bytes} bytes, and the agent takes {REQUEST_MAX_BYTES} at most")]
    TooLarge {
        /// Length of the request's body.
        bytes: usize,
    },
    /// The answer broke off or is too long.
    #[error("the answer to {path} could not be read to its end")]
    Body {
        /// What was asked.
        path: String,
        /// What the HTTP library says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("no answer from the agent within {}", humantime::format_duration(*.timeout))]
    TimedOut {
        /// The limit.
        timeout: Duration,
        /// Whether the request was for a change.
        change: bool,
    },
    /// The agent says no, and why.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    /// An HTTP error without a problem document.
    #[error("unexpected answer to {method} {path}: {status}")]
    Unexpected {
        /// How it was asked.
        method: Method,
        /// What was asked.
        path: String,
        /// What came back.
        status: StatusCode,
    },
    /// The answer is not the document it should be.
    #[error("cannot read the answer to {path}")]
    Undecodable {
        /// What was asked.
        path: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The agent speaks another version of the API.
    #[error("the agent speaks {found}, this lb-ctl {API_VERSION}")]
    OtherApi {
        /// The agent's version.
        found: String,
    },
    /// A request that cannot be written as JSON.
    #[error("cannot encode the request to {path}")]
    Encode {
        /// What was to be asked.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A request that cannot be written as HTTP.
    #[error("cannot build the request to {path}")]
    Request {
        /// What was to be asked.
        path: String,
        /// Why.
        source: hyper::http::Error,
    },
    /// The system gives no event queue.
    #[error("cannot start the client")]
    Runtime {
        /// What the system says.
        source: io::Error,
    },
}

impl ClientError {
    /// The error for a failed connect.
    pub(crate) fn connect(socket: &Path, source: io::Error) -> Self {
        let socket = socket.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Absent { socket },
            io::ErrorKind::ConnectionRefused => Self::NotListening { socket },
            io::ErrorKind::PermissionDenied => Self::Denied { socket },
            _ => Self::Connect { socket, source },
        }
    }

    /// Why it went wrong, where the title does not say it.
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Absent { .. } => Some("the socket does not exist".to_owned()),
            Self::NotListening { .. } => Some("nothing listens on the socket".to_owned()),
            Self::Denied { .. } => Some("its owner, group and mode keep this user out".to_owned()),
            Self::Connect { source, .. } | Self::Runtime { source } => Some(source.to_string()),
            Self::Lost { source, .. } => Some(source.to_string()),
            Self::Body { source, .. } => Some(source.to_string()),
            Self::Undecodable { source, .. } | Self::Encode { source, .. } => {
                Some(source.to_string())
            }
            Self::Request { source, .. } => Some(source.to_string()),
            Self::TooLarge { .. }
            | Self::TimedOut { .. }
            | Self::Refused(_)
            | Self::Unexpected { .. }
            | Self::OtherApi { .. } => None,
        }
    }

    /// What to do about it.
    pub(crate) fn cure(&self) -> Option<&'static str> {
        const UNKNOWN: &str = "the change may or may not have been made: look before you repeat it";
        match self {
            Self::Absent { .. } => {
                Some("start lb-agent, or name its socket with -s or LB_CTL_SOCKET")
            }
            Self::NotListening { .. } => Some(
                "the agent has stopped, forwarding goes on: start lb-agent and look at its log",
            ),
            Self::Denied { .. } => Some("run as root or as a member of the socket's group"),
            Self::Connect { .. } => Some("check the path given with -s or LB_CTL_SOCKET"),
            Self::Lost { change: true, .. } | Self::TimedOut { change: true, .. } => Some(UNKNOWN),
            Self::Lost { change: false, .. } => Some("look at the log of lb-agent"),
            Self::TimedOut { change: false, .. } => {
                Some("the agent is busy or hangs: look at its log, or give more --timeout")
            }
            Self::TooLarge { .. } => Some("check that the file is a configuration"),
            Self::Unexpected { .. } | Self::Undecodable { .. } | Self::OtherApi { .. } => {
                Some("use the lb-ctl that came with the agent; compare `lb-ctl version`")
            }
            Self::Body { .. }
            | Self::Refused(_)
            | Self::Encode { .. }
            | Self::Request { .. }
            | Self::Runtime { .. } => None,
        }
    }
}
