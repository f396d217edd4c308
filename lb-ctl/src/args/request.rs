//! From raw arguments to a request in which everything is valid.
//!
//! [`parse`] is called once by `main`. Behind it no command has to check an argument again.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use lb_common::api::{EventsQuery, TraceRequest};
use lb_common::config::Weight;

use super::{
    ApplyOptions, BackendCommand, BackendRef, Cli, Color, Command, ConfigCommand, Format,
    HealthCommand, ObjectName, ServiceCommand, StateCommand,
};

/// One run of `lb-ctl`.
#[derive(Debug)]
pub(crate) struct Invocation {
    /// How to do it.
    pub(crate) options: Options,
    /// What to do.
    pub(crate) request: Request,
}

/// The global options.
#[derive(Debug)]
pub(crate) struct Options {
    /// Unix socket of the agent.
    pub(crate) socket: PathBuf,
    /// Form of the output.
    pub(crate) format: Format,
    /// When to colour.
    pub(crate) color: Color,
    /// Longest wait for one answer.
    pub(crate) timeout: Duration,
    /// Data and errors only.
    pub(crate) quiet: bool,
    /// Tell about each request.
    pub(crate) verbose: bool,
}

/// One command.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Request {
    /// `status`
    Status,
    /// `version`
    Version,
    /// `service list`
    ServiceList,
    /// `service show`
    ServiceShow(ObjectName),
    /// `backend list`, of one pool or of all
    BackendList(Option<ObjectName>),
    /// `backend show`
    BackendShow(BackendRef),
    /// `backend weight`; `None` goes back to the configured weight
    BackendWeight(BackendRef, Option<Weight>),
    /// `backend drain`
    BackendDrain(Drain),
    /// `backend undrain`
    BackendUndrain(BackendRef),
    /// `health list`, of one pool or of all
    HealthList(Option<ObjectName>),
    /// `health show`
    HealthShow(ObjectName),
    /// `health check`
    HealthCheck(BackendRef),
    /// `config validate`
    ConfigValidate(Source),
    /// `config show`, of what is running or of what began a generation
    ConfigShow(Option<u64>),
    /// `config history`
    ConfigHistory,
    /// `config rollback`; `None` goes back to the one before the running one
    ConfigRollback(Option<u64>, ApplyOptions),
    /// `config diff`
    ConfigDiff(Source),
    /// `config apply`
    ConfigApply(Source, ApplyOptions),
    /// `state export`
    StateExport,
    /// `state import`, with whether not to ask
    StateImport(Source, bool),
    /// `trace`
    Trace(TraceRequest),
    /// `events`
    Events(EventsQuery),
    /// `doctor`
    Doctor,
    /// `completion`
    Completion(clap_complete::Shell),
}

/// `backend drain`.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Drain {
    /// The backend.
    pub(crate) backend: BackendRef,
    /// When it shall be done, from now.
    pub(crate) deadline: Option<Duration>,
    /// End the flows that are left then.
    pub(crate) force_at_deadline: bool,
    /// Wait for its end.
    pub(crate) wait: bool,
}

/// Where a configuration is read from.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// `-`
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        if path == Path::new("-") { Self::Stdin } else { Self::File(path) }
    }
}

/// Reads the command line.
///
/// # Errors
/// What clap has to say: a mistake, or the text of `--help` and `--version`.
pub(crate) fn parse(words: &[OsString]) -> Result<Invocation, clap::Error> {
    let Cli { globals, command } = Cli::try_parse_from(words)?;
    let request = request(command)?;
    let options = Options {
        socket: globals.socket,
        format: globals.output,
        color: globals.color,
        timeout: globals.timeout,
        quiet: globals.quiet,
        verbose: globals.verbose,
    };
    Ok(Invocation { options, request })
}

fn request(command: Command) -> Result<Request, clap::Error> {
    Ok(match command {
        Command::Status => Request::Status,
        Command::Version => Request::Version,
        Command::Service(ServiceCommand::List) => Request::ServiceList,
        Command::Service(ServiceCommand::Show { name }) => Request::ServiceShow(name),
        Command::Backend(command) => backend(command),
        Command::Health(command) => health(command),
        Command::Config(command) => config(command),
        Command::State(StateCommand::Export) => Request::StateExport,
        Command::State(StateCommand::Import { file, yes }) => {
            Request::StateImport(file.into(), yes)
        }
        Command::Trace { src, dst, proto } => {
            if src.is_ipv4() != dst.is_ipv4() {
                let message = "--src and --dst are of different address families";
                return Err(Cli::command().error(ErrorKind::ArgumentConflict, message));
            }
            let protocol = proto.name().to_owned();
            Request::Trace(TraceRequest { source: src, destination: dst, protocol })
        }
        Command::Events { follow, since } => Request::Events(EventsQuery { since, follow }),
        Command::Doctor => Request::Doctor,
        Command::Completion { shell } => Request::Completion(shell),
    })
}

fn backend(command: BackendCommand) -> Request {
    match command {
        BackendCommand::List { pool } => Request::BackendList(pool),
        BackendCommand::Show { backend } => Request::BackendShow(backend),
        // clap lets through exactly one of a weight and --reset.
        BackendCommand::Weight { backend, weight, reset: _ } => {
            Request::BackendWeight(backend, weight)
        }
        BackendCommand::Drain { backend, deadline, force_at_deadline, wait } => {
            Request::BackendDrain(Drain { backend, deadline, force_at_deadline, wait })
        }
        BackendCommand::Undrain { backend } => Request::BackendUndrain(backend),
    }
}

fn health(command: HealthCommand) -> Request {
    match command {
        HealthCommand::List { pool } => Request::HealthList(pool),
        HealthCommand::Show { pool } => Request::HealthShow(pool),
        HealthCommand::Check { backend, once: _ } => Request::HealthCheck(backend),
    }
}

fn config(command: ConfigCommand) -> Request {
    match command {
        ConfigCommand::Validate { file } => Request::ConfigValidate(file.into()),
        ConfigCommand::Show { generation } => Request::ConfigShow(generation),
        ConfigCommand::History => Request::ConfigHistory,
        ConfigCommand::Rollback { generation, how } => Request::ConfigRollback(generation, how),
        ConfigCommand::Diff { file } => Request::ConfigDiff(file.into()),
        ConfigCommand::Apply { file, how } => Request::ConfigApply(file.into(), how),
    }
}

/// Whether the words ask for JSON, for errors found before they could be parsed.
pub(crate) fn wants_json(words: &[OsString]) -> bool {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let joined = ["-ojson", "-o=json", "--output=json"];
    words.iter().any(|word| joined.contains(word))
        || words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]))
}
