//! The command line as clap reads it.
//!
//! These are the raw arguments: their words, help and examples. [`request`] turns them into an
//! [`Invocation`], in which everything is valid; nothing else looks at the raw form. A value that
//! can be judged alone is judged by its parser here (weights, names, addresses); what depends on
//! two values is judged there.

mod health;
mod name;
mod request;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lb_common::api::{DEFAULT_SOCKET, MAX_MOVED_PERCENT};
use lb_common::config::{Protocol, Weight};

use crate::exit;

use health::HealthCommand;
pub(crate) use name::{BackendRef, ObjectName};
pub(crate) use request::{Drain, Options, Request, Source, parse, wants_json};

/// Environment variable that names the socket.
pub(crate) const SOCKET_VARIABLE: &str = "LB_CTL_SOCKET";

/// Operate the load balancer of this host: services, backends, weights, drains, configuration.
#[derive(Parser, Debug)]
#[command(
    name = "lb-ctl",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = exit::help_text()
)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Global options")]
struct Globals {
    /// Unix socket of the agent.
    #[arg(short, long, global = true, env = SOCKET_VARIABLE, default_value = DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Form of the output. json and yaml print the agent's document as it is.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Colour: auto means on a terminal, unless `NO_COLOR` is set.
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    color: Color,
    /// How long to wait for the agent: 500ms, 10s, 1m.
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = timeout)]
    timeout: Duration,
    /// Print data and errors only: no confirmations, no notes.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Tell on stderr what is asked of the agent and how long it took.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

/// Form of what is printed on stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    Table,
    /// More columns.
    Wide,
    /// The document, JSON.
    Json,
    /// The document, YAML.
    Yaml,
    /// One `kind/name` a line.
    Name,
}

impl Format {
    /// Whether people are to read it.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// When to colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Even into a file.
    Always,
    /// Not at all.
    Never,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the agent, its interfaces and where packets end.
    #[command(after_help = "Examples:\n  \
            lb-ctl status\n  \
            lb-ctl status -o wide    # every reason, with its meaning")]
    Status,
    /// Show the versions of lb-ctl and of the agent.
    #[command(after_help = "Example:\n  lb-ctl version -o json")]
    Version,
    /// Look at services.
    #[command(subcommand, after_help = "Example:\n  lb-ctl service list")]
    Service(ServiceCommand),
    /// Look at backends, weigh them, drain them.
    #[command(subcommand, after_help = "Example:\n  lb-ctl backend drain web/web-1")]
    Backend(BackendCommand),
    /// See what health checks find.
    #[command(subcommand, after_help = "Example:\n  lb-ctl health list")]
    Health(HealthCommand),
    /// Check, compare, apply and show the configuration.
    #[command(subcommand, after_help = "Example:\n  lb-ctl config apply edge.yaml")]
    Config(ConfigCommand),
    /// Save what this balancer knows, and bring it to another, or back.
    #[command(subcommand, after_help = "Example:\n  lb-ctl state export > edge-1.json")]
    State(StateCommand),
    /// Ask the program in the kernel where a packet would go, and why.
    #[command(after_help = "Examples:\n  \
            lb-ctl trace --src 198.51.100.7:40000 --dst 203.0.113.10:80 --proto tcp\n  \
            lb-ctl trace --src '[2001:db8::7]:40000' --dst '[2001:db8::10]:80'")]
    Trace {
        /// Client, such as 198.51.100.7:40000; IPv6 in brackets.
        #[arg(long, value_name = "IP:PORT", value_parser = endpoint)]
        src: SocketAddr,
        /// VIP and port, such as 203.0.113.10:80; IPv6 in brackets.
        #[arg(long, value_name = "IP:PORT", value_parser = endpoint)]
        dst: SocketAddr,
        /// Transport protocol: tcp or udp.
        #[arg(long, default_value = "tcp", value_parser = protocol)]
        proto: Protocol,
    },
    /// List what has happened, with reasons; or follow it.
    ///
    /// The agent keeps the last 1,024 events of its run. Following goes on over restarts of the
    /// agent, until Ctrl-C; with -o json it prints one document a line.
    #[command(after_help = "Examples:\n  \
            lb-ctl events\n  \
            lb-ctl events --follow\n  \
            lb-ctl events --since 1795257373004 -o json")]
    Events {
        /// Go on with what happens from now on.
        #[arg(short, long)]
        follow: bool,
        /// Only events after the one of this number.
        #[arg(long, value_name = "SEQUENCE")]
        since: Option<u64>,
    },
    /// Look for what is wrong with this host and say how to cure it.
    #[command(after_help = "Example:\n  lb-ctl doctor || echo 'needs attention'")]
    Doctor,
    /// Print the completion script of a shell.
    #[command(after_help = "Example:\n  lb-ctl completion bash > /etc/bash_completion.d/lb-ctl")]
    Completion {
        /// Shell to complete in.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Subcommand, Debug)]
enum ServiceCommand {
    /// List all services.
    #[command(after_help = "Example:\n  lb-ctl service list -o wide")]
    List,
    /// Show one service.
    #[command(after_help = "Example:\n  lb-ctl service show web")]
    Show {
        /// Name of the service.
        name: ObjectName,
    },
}

#[derive(Subcommand, Debug)]
enum BackendCommand {
    /// List the backends of one pool, or of all.
    #[command(after_help = "Examples:\n  lb-ctl backend list\n  lb-ctl backend list web -o name")]
    List {
        /// Name of the pool.
        pool: Option<ObjectName>,
    },
    /// Show one backend.
    #[command(after_help = "Example:\n  lb-ctl backend show web/web-1")]
    Show {
        /// Pool and name of the backend.
        #[arg(value_name = "POOL/NAME")]
        backend: BackendRef,
    },
    /// Set a backend's share of new flows; existing flows stay.
    ///
    /// The weight outlives configuration changes and restarts of the agent until --reset.
    #[command(after_help = "Examples:\n  \
            lb-ctl backend weight web/web-1 50\n  \
            lb-ctl backend weight web/web-1 --reset    # as configured again")]
    Weight {
        /// Pool and name of the backend.
        #[arg(value_name = "POOL/NAME")]
        backend: BackendRef,
        /// Relative share of new flows, 0..=1000; 0 takes none.
        #[arg(
            required_unless_present = "reset",
            conflicts_with = "reset",
            value_parser = weight,
            allow_negative_numbers = true
        )]
        weight: Option<Weight>,
        /// Go back to the configured weight.
        #[arg(long)]
        reset: bool,
    },
    /// Send no new flows to a backend; existing flows stay until they end.
    ///
    /// The drain outlives restarts of the agent, and lasts until undrain. It is done when no flow is
    /// left; before the pool's idle time-out has passed, silent flows may be. Given again for a drain
    /// under way, it changes the deadline, or just waits.
    #[command(after_help = "Examples:\n  \
            lb-ctl backend drain web/web-1\n  \
            lb-ctl backend drain web/web-1 --deadline 10m --wait    # exits 8 if flows are left then\n  \
            lb-ctl backend drain web/web-1 --deadline 10m --force-at-deadline --wait")]
    Drain {
        /// Pool and name of the backend.
        #[arg(value_name = "POOL/NAME")]
        backend: BackendRef,
        /// When it shall be done, from now: 30s, 10m, 2h.
        #[arg(long, value_name = "TIME", value_parser = timeout)]
        deadline: Option<Duration>,
        /// End the flows that are left at the deadline.
        #[arg(long, requires = "deadline")]
        force_at_deadline: bool,
        /// Wait until it is done, and show how far it is. To stop waiting does not stop the drain.
        #[arg(long)]
        wait: bool,
    },
    /// Send new flows to a drained backend again.
    #[command(after_help = "Example:\n  lb-ctl backend undrain web/web-1")]
    Undrain {
        /// Pool and name of the backend.
        #[arg(value_name = "POOL/NAME")]
        backend: BackendRef,
    },
}

#[derive(Subcommand, Debug)]
enum StateCommand {
    /// Print configuration, weights and drains as one JSON document.
    #[command(after_help = "Example:\n  lb-ctl state export > edge-1.json")]
    Export,
    /// Put a document of `export` in force, all of it or nothing. It replaces configuration, weights
    /// and drains.
    #[command(after_help = "Examples:\n  \
            lb-ctl state import edge-1.json\n  \
            ssh edge-1 lb-ctl state export | lb-ctl state import - --yes")]
    Import {
        /// File that `export` wrote; - is stdin.
        file: PathBuf,
        /// Do not ask.
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Check a file without an agent.
    #[command(after_help = "Examples:\n  \
            lb-ctl config validate edge.yaml\n  \
            generate | lb-ctl config validate -")]
    Validate {
        /// Configuration file; - is stdin.
        file: PathBuf,
    },
    /// Print the running configuration, or one of before.
    #[command(after_help = "Examples:\n  \
            lb-ctl config show > edge.yaml\n  \
            lb-ctl config show --generation 7")]
    Show {
        /// The one that began this generation, as `config history` lists them.
        #[arg(long, value_name = "N")]
        generation: Option<u64>,
    },
    /// List the configurations that were in force, the newest first.
    #[command(after_help = "Example:\n  lb-ctl config history")]
    History,
    /// Go back to a configuration that was in force; weights and drains by command stay.
    ///
    /// It is applied as a file would be: the plan is printed first, and it begins a new generation.
    #[command(after_help = "Examples:\n  \
            lb-ctl config rollback        # the one before the running one\n  \
            lb-ctl config rollback 7 --dry-run")]
    Rollback {
        /// Generation that it began, as `config history` lists them.
        generation: Option<u64>,
        #[command(flatten)]
        how: ApplyOptions,
    },
    /// Show what `apply` would change. Exits 10 when there is something.
    #[command(after_help = "Example:\n  lb-ctl config diff edge.yaml")]
    Diff {
        /// Configuration file; - is stdin.
        file: PathBuf,
    },
    /// Make a file the running configuration, all of it or nothing.
    ///
    /// The plan is printed first. On a terminal it asks before it changes anything; elsewhere a
    /// plan that removes something needs --yes.
    #[command(after_help = "Examples:\n  \
            lb-ctl config apply edge.yaml\n  \
            lb-ctl config apply edge.yaml --expect-generation 7 --yes\n  \
            lb-ctl config apply edge.yaml --max-moved 100    # half of a pool's servers are replaced")]
    Apply {
        /// Configuration file; - is stdin.
        file: PathBuf,
        #[command(flatten)]
        how: ApplyOptions,
    },
}

/// How a configuration is applied.
#[derive(Args, Clone, PartialEq, Eq, Debug)]
pub(crate) struct ApplyOptions {
    /// Print the plan and stop.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Refuse unless the running configuration has this generation.
    #[arg(long, value_name = "N")]
    pub(crate) expect_generation: Option<u64>,
    /// Refuse if more than this of a pool's hash space moves to other backends, 0..=100.
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = MAX_MOVED_PERCENT,
        value_parser = clap::value_parser!(u8).range(..=100)
    )]
    pub(crate) max_moved: u8,
}

fn timeout(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("must be longer than zero".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; write 500ms, 10s or 1m")),
    }
}

fn weight(text: &str) -> Result<Weight, String> {
    let parsed = text.parse().ok().and_then(Weight::new);
    parsed.ok_or_else(|| format!("{text} is not a whole number in 0..={}", Weight::MAX))
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let known = [Protocol::Tcp, Protocol::Udp];
    let found = known.into_iter().find(|protocol| protocol.name() == text);
    found.ok_or_else(|| "it is tcp or udp".to_owned())
}

fn endpoint(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_error| {
        "write address and port: 198.51.100.7:40000 or [2001:db8::7]:40000".to_owned()
    })
}

#[cfg(test)]
mod tests;
