//! client -- router -- balancer, router -- three origins: the network every test starts from.
//!
//! ```text
//!                                    +-- eth0 balancer  10.2.0.2  fd00:2::2   MTU 1600
//!  client eth0 --- client  router ---+-- eth0 origin1   10.3.0.2  fd00:3::2   MTU 1600
//!  10.1.0.2                .1, ::1   +-- eth0 origin2   10.4.0.2  fd00:4::2
//!  fd00:1::2                         +-- eth0 origin3   10.5.0.2  fd00:5::2
//! ```
//! The router sends the VIP prefixes to the balancer; the origins answer the client directly.
//! Origins run nginx (the body of an answer is the origin's name) and the real lb-origin; the
//! balancer runs the real agent. Tests may run in parallel, each with a topology of its own.

mod agent;
pub mod configuration;
mod host;
mod network;
mod origin;
mod outage;
mod pass_program;
mod ping;
mod raw;
mod second_link;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

pub use agent::{Agent, AgentFiles};
pub use host::{BPFFS, Host};
pub use network::{
    BALANCER_V4, BALANCER_V6, CLIENT_V4, CLIENT_V6, ORIGINS_V4, ORIGINS_V6, VIP_V4, VIP_V6,
};
pub use origin::{HEALTH_PATH, LARGE, LARGE_COPIES, ORIGIN_NAMES, Origin};
pub use ping::Pinger;
pub use raw::{Datagram, receive};

use crate::http::{self, Tally};
use crate::process::run;

/// Time one command of ours may take.
pub const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// The whole network. Dropped, it takes all its processes and namespaces with it.
#[derive(Debug)]
pub struct Topology {
    /// The three origin servers.
    pub origins: [Origin; 3],
    /// Where requests come from.
    pub client: Host,
    /// Between all the others.
    pub router: Host,
    /// Where the agent runs.
    pub balancer: Host,
    /// Logs and files of the run.
    dir: TempDir,
}

impl Topology {
    /// Makes the network and starts nginx on each origin. No decapsulation, no agent yet.
    ///
    /// # Errors
    /// When a namespace, a link or a server cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("lb-{name}-"))
            .tempdir()
            .context("making the run's directory")?;
        let object = dir.path().join(pass_program::FILE);
        std::fs::write(&object, pass_program::object_file()?).context("writing the object file")?;
        let [client, router, balancer] = [
            Host::new(network::CLIENT)?,
            Host::new(network::ROUTER)?,
            Host::new(network::BALANCER)?,
        ];
        let [first, second, third] = ORIGIN_NAMES;
        let hosts = [Host::new(first)?, Host::new(second)?, Host::new(third)?];
        network::connect(&client, &router, &balancer, &hosts)?;
        let [first, second, third] = hosts;
        let origins = [
            Origin::start(first, dir.path())?,
            Origin::start(second, dir.path())?,
            Origin::start(third, dir.path())?,
        ];
        let topology = Self { origins, client, router, balancer, dir };
        topology.pass_all(network::BALANCER).context("attaching the pass program")?;
        Ok(topology)
    }

    /// Attaches a program that passes everything to an interface of the router.
    fn pass_all(&self, interface: &str) -> Result<()> {
        let object = self.dir().join(pass_program::FILE);
        let section = pass_program::SECTION;
        let object = object.display();
        self.router
            .ip(&format!("link set dev {interface} xdpdrv object {object} section {section}\n"))
    }

    /// Logs and files of the run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Keeps the run's directory for whoever looks into a failure.
    pub fn keep_files(&mut self) {
        self.dir.disable_cleanup(true);
    }

    /// Attaches lb-origin on every origin.
    ///
    /// # Errors
    /// When one of the commands fails.
    pub fn attach_origins(&self) -> Result<()> {
        self.origins.iter().try_for_each(Origin::attach)
    }

    /// Starts the agent with `configuration` in the default place and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time.
    pub fn start_agent(&self, configuration: &str) -> Result<Agent> {
        let files = self.agent_files("agent");
        files.write_configuration(configuration)?;
        self.start_agent_with(files)
    }

    /// Starts the agent with the files as they are and waits until it answers.
    ///
    /// # Errors
    /// When it ends, or does not answer in time.
    pub fn start_agent_with(&self, files: AgentFiles) -> Result<Agent> {
        Agent::start(&self.balancer, files, self.dir())
    }

    /// Paths for an agent called `name`; each name has its own socket, pins and state.
    pub fn agent_files(&self, name: &str) -> AgentFiles {
        AgentFiles::new(self.dir(), name)
    }

    /// Sends `count` requests from the client to `target`, one connection each.
    ///
    /// # Errors
    /// When the client's namespace cannot be entered. Failed requests are in the tally.
    pub fn requests(&self, target: SocketAddr, count: usize) -> Result<Tally> {
        self.client.enter(|| http::requests(target, count))
    }

    /// Sends `count` requests and fails unless all of them are answered.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn expect_answers(&self, target: SocketAddr, count: usize) -> Result<Tally> {
        let tally = self.requests(target, count)?;
        ensure!(tally.failed() == 0, "requests to {target} failed: {tally}");
        Ok(tally)
    }
}

impl Drop for Topology {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_files();
        }
    }
}

/// Builds a topology with decapsulating origins and runs `test` on it.
///
/// # Errors
/// As `test`; the message then says where the logs are, and they are kept.
pub fn on_topology(name: &str, test: impl FnOnce(&mut Topology) -> Result<()>) -> Result<()> {
    let mut topology = Topology::new(name)?;
    let result = topology.attach_origins().and_then(|()| test(&mut topology));
    result.with_context(|| {
        topology.keep_files();
        format!("{name} failed; what it left to look at: {}", topology.dir().display())
    })
}

/// Address and port 80 of a server.
pub fn port_80(address: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(address.into(), 80)
}

/// Path of one of our binaries: in `LB_BIN_DIR`, else in this workspace's target/release.
///
/// # Errors
/// When it is not there.
pub fn binary(name: &str) -> Result<PathBuf> {
    let dir = std::env::var_os("LB_BIN_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release"),
        PathBuf::from,
    );
    // Absolute, because commands start with a working directory of their own.
    let path = std::path::absolute(dir.join(name)).context("the directory of the binaries")?;
    ensure!(
        path.exists(),
        "{} is missing: run `cargo xtask build`, or set LB_BIN_DIR",
        path.display()
    );
    Ok(path)
}

/// Runs a command that must succeed, and gives back its standard output.
///
/// # Errors
/// When it fails.
pub fn output_of(command: Command) -> Result<String> {
    Ok(run(command, COMMAND_LIMIT)?.success()?.stdout)
}

#[cfg(test)]
mod tests;
