//! The agent's command line: `run`, `detach`, `origin`, `openapi`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to its user")]

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use lb_agent::app::{self, AgentError, RunOptions};
use lb_agent::io::api_server;
use lb_agent::io::capabilities;
use lb_agent::io::origin::{self, OriginConfig};
use lb_agent::io::pins::Pins;
use lb_agent::io::tunnel;
use lb_common::config::Prefix;
use lb_common::wire::gue;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// Where pins go unless told otherwise.
const PIN_DIR: &str = "/sys/fs/bpf/lb-agent";
/// The same on an origin.
const ORIGIN_PIN_DIR: &str = "/sys/fs/bpf/lb-origin";

/// Agent of the XDP load balancer.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 5 invalid configuration, \
    6 conflict (another agent, other pins), 7 permission.\nThe operator's tool is lb-ctl."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Load the balancer onto its interfaces and keep it up to date
    #[command(after_help = "Example: lb-agent run --config /etc/lb-agent/edge.yaml\n\
        SIGHUP reads the configuration again. Stopping the agent, even by kill -9, leaves \
        forwarding as it is, unless --no-keep is given; `lb-agent detach` ends it.")]
    Run(RunArgs),
    /// Take the balancer off every interface and remove its maps: forwarding ends
    Detach {
        /// Directory of the pins
        #[arg(long, value_name = "DIR", default_value = PIN_DIR)]
        pin_dir: PathBuf,
    },
    /// Decapsulation on an origin whose kernel has no tunnel device for it
    #[command(subcommand)]
    Origin(OriginCommand),
    #[expect(clippy::doc_markdown, reason = "printed as help")]
    /// Print the OpenAPI document of the control API
    Openapi,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// Configuration file, YAML
    #[arg(long, value_name = "FILE", default_value = "/etc/lb-agent/edge.yaml")]
    config: PathBuf,
    /// Unix socket of the control API
    #[arg(long, value_name = "FILE", default_value = lb_common::api::DEFAULT_SOCKET)]
    socket: PathBuf,
    /// Directory of the pins, on a BPF file system
    #[arg(long, value_name = "DIR", default_value = PIN_DIR)]
    pin_dir: PathBuf,
    /// Directory of what must survive a restart: operators' weights and drains
    #[arg(long, value_name = "DIR", default_value = "/var/lib/lb-agent")]
    state_dir: PathBuf,
    #[command(flatten)]
    at_stop: AtStop,
    /// Form of the log on stderr
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Take configurations with checks of type exec: whoever may use the control socket can then run
    /// commands as this user
    #[arg(long)]
    allow_exec_checks: bool,
    /// Log each packet that the data plane drops; slow, for a laboratory
    #[arg(long)]
    log_drops: bool,
}

/// What becomes of forwarding when the agent is told to stop.
#[derive(Debug, Args)]
struct AtStop {
    /// On SIGTERM and SIGINT leave forwarding as it is: this is so anyway
    #[arg(long, overrides_with = "no_keep")]
    keep: bool,
    /// On SIGTERM and SIGINT end forwarding, as `lb-agent detach` does; kill -9 still leaves it
    #[arg(long, overrides_with = "keep")]
    no_keep: bool,
}

impl AtStop {
    /// Of both, clap leaves the one that came last.
    const fn keeps(&self) -> bool {
        self.keep || !self.no_keep
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum OriginCommand {
    /// Load the decapsulation program and attach it; it works on without a process
    #[command(after_help = "Example: lb-agent origin attach --interface eth0 \
        --source 10.64.0.0/16 --vip 203.0.113.10 --vip 2001:db8::10\n\
        Run it again to change the sets: the old program is replaced as a whole.")]
    Attach {
        /// Interface that faces the balancers
        #[arg(long)]
        interface: String,
        /// Address or prefix of a balancer, the outer source of its packets; may be repeated
        #[arg(long, required = true, value_name = "PREFIX")]
        source: Vec<Prefix>,
        /// VIP served here; may be repeated
        #[arg(long, required = true, value_name = "ADDRESS")]
        vip: Vec<IpAddr>,
        /// UDP port that GUE packets come to, as the balancers' configuration says; 0 for none
        #[arg(long, value_name = "PORT", default_value_t = gue::PORT)]
        gue_port: u16,
        /// Run in the network stack instead of the driver: slower, but on any interface
        #[arg(long)]
        generic: bool,
        /// Directory of the pins, on a BPF file system
        #[arg(long, value_name = "DIR", default_value = ORIGIN_PIN_DIR)]
        pin_dir: PathBuf,
    },
    /// Take it off and remove its pins
    Detach {
        /// Directory of the pins
        #[arg(long, value_name = "DIR", default_value = ORIGIN_PIN_DIR)]
        pin_dir: PathBuf,
    },
    /// Show what it has counted
    Status {
        /// Directory of the pins
        #[arg(long, value_name = "DIR", default_value = ORIGIN_PIN_DIR)]
        pin_dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match execute(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

fn execute(command: Command) -> Result<(), AgentError> {
    match command {
        Command::Run(args) => run(args),
        Command::Detach { pin_dir } => {
            capabilities::check()?;
            if !detach(&pin_dir)? {
                println!("nothing is pinned in {}", pin_dir.display());
            }
            Ok(())
        }
        Command::Origin(command) => origin_command(command),
        Command::Openapi => {
            let document = serde_json::to_string_pretty(&api_server::openapi()).unwrap_or_default();
            // Whoever has closed the pipe has read enough.
            let _ = writeln!(std::io::stdout(), "{document}");
            Ok(())
        }
    }
}

/// Takes the balancer off and removes its pins; false if there are none.
fn detach(pin_dir: &Path) -> Result<bool, AgentError> {
    // Not under an agent that runs.
    let pins = Pins::open_for_removal(pin_dir)?;
    tunnel::detach_others(&BTreeSet::new())?;
    pins.map_or(Ok(false), |pins| Ok(pins.remove_all().map(|()| true)?))
}

fn log_to_stderr(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().init(),
    }
}

fn run(args: RunArgs) -> Result<(), AgentError> {
    log_to_stderr(args.log_format);
    let pin_dir = args.pin_dir.clone();
    let options = RunOptions {
        config: args.config,
        socket: args.socket,
        pin_dir: args.pin_dir,
        state_dir: args.state_dir,
        exec_checks: args.allow_exec_checks,
        datapath_log_level: if args.log_drops { aya_log::Level::Debug as u8 } else { 0 },
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(app::run(options))?;
    let end = if args.at_stop.keeps() {
        "forwarding goes on, `lb-agent detach` ends it"
    } else {
        detach(&pin_dir)?;
        "and forwarding has ended"
    };
    info!("stopped; {end}");
    Ok(())
}

fn origin_command(command: OriginCommand) -> Result<(), AgentError> {
    capabilities::check()?;
    match command {
        OriginCommand::Attach { interface, source, vip, gue_port, generic, pin_dir } => {
            let config = OriginConfig { interface, sources: source, vips: vip, gue_port, generic };
            origin::attach(&config, &pin_dir)?;
        }
        OriginCommand::Detach { pin_dir } => origin::detach(&pin_dir)?,
        OriginCommand::Status { pin_dir } => {
            println!("{:<18} {:>14} {:>16}", "REASON", "PACKETS", "BYTES");
            for (reason, count) in origin::counters(&pin_dir)? {
                println!("{:<18} {:>14} {:>16}", reason.name(), count.packets, count.bytes);
            }
        }
    }
    Ok(())
}

/// The error with its causes, then what to do.
fn report(error: &AgentError) {
    eprintln!("error: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        eprintln!("  cause: {error}");
        cause = error.source();
    }
    if !error.cure().is_empty() {
        eprintln!("  cure: {}", error.cure());
    }
}
