//! The agent under test: its files, its process, and `lb-ctl` talking to it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_common::abi::LAYOUT_VERSION;
use nix::sys::signal::Signal;
use serde_json::Value;

use super::host::{BPFFS, Host};
use super::{COMMAND_LIMIT, binary};
use crate::process::{Finished, Process, run, wait_until};

/// Time an agent gets to load its programs and answer.
const START_LIMIT: Duration = Duration::from_mins(3);

/// Where one agent keeps everything.
#[derive(Clone, Debug)]
pub struct AgentFiles {
    /// Name, also that of the log.
    pub name: String,
    /// The configuration file.
    pub configuration: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// Pins, on the balancer's own bpffs.
    pub pin_dir: PathBuf,
    /// Operator's changes that survive a restart.
    pub state_dir: PathBuf,
    /// The agent's program, if it is not the one that was built.
    pub program: Option<PathBuf>,
    /// Variables for its environment.
    pub environment: Vec<(String, String)>,
    /// More arguments of `lb-agent run`.
    pub arguments: Vec<&'static str>,
}

impl AgentFiles {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            configuration: dir.join(format!("{name}.yaml")),
            socket: dir.join(format!("{name}.sock")),
            pin_dir: Path::new(BPFFS).join(format!("lb-{name}")),
            state_dir: dir.join(format!("{name}-state")),
            program: None,
            environment: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Where the agent pins its links.
    pub fn links(&self) -> PathBuf {
        self.pin_dir.join(format!("v{LAYOUT_VERSION}")).join("links")
    }

    /// Where the agent pins its maps.
    pub fn maps(&self) -> PathBuf {
        self.pin_dir.join(format!("v{LAYOUT_VERSION}")).join("maps")
    }

    /// Writes the configuration file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_configuration(&self, text: &str) -> Result<()> {
        std::fs::write(&self.configuration, text)
            .with_context(|| format!("writing {}", self.configuration.display()))
    }

    /// Adds the arguments of `lb-agent run` to a command that ends in the binary's path.
    pub fn run_arguments<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.arg("run").arg("--config").arg(&self.configuration);
        command.arg("--socket").arg(&self.socket).arg("--pin-dir").arg(&self.pin_dir);
        command.arg("--state-dir").arg(&self.state_dir).arg("--allow-exec-checks");
        command.args(&self.arguments)
    }

    /// Runs `lb-ctl` against this agent's socket, whether or not one is there.
    ///
    /// # Errors
    /// When it cannot be started or does not end. An exit code is no error.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Finished> {
        let mut command = Command::new(binary("lb-ctl")?);
        command.arg("-s").arg(&self.socket).args(arguments);
        run(command, COMMAND_LIMIT)
    }

    /// Runs `lb-ctl -o json`, which must succeed, and gives back the document.
    ///
    /// # Errors
    /// When it fails or does not print JSON.
    pub fn ctl_json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = vec!["-o", "json"];
        all.extend(arguments);
        let finished = self.ctl(&all)?.success()?;
        serde_json::from_str(&finished.stdout)
            .with_context(|| format!("{} printed: {}", finished.command, finished.stdout))
    }
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// Where it keeps everything.
    pub files: AgentFiles,
    /// The agent's process.
    pub process: Process,
    host: Host,
}

impl Agent {
    pub(super) fn start(host: &Host, files: AgentFiles, log_dir: &Path) -> Result<Self> {
        let program = files.program.clone().map_or_else(|| binary("lb-agent"), Ok)?;
        let mut command = host.command(program);
        files.run_arguments(&mut command);
        command.envs(files.environment.iter().cloned());
        let process = Process::spawn(command, &files.name, log_dir)?;
        let mut agent = Self { files, process, host: host.clone() };
        wait_until("the agent to answer", START_LIMIT, || {
            agent.process.expect_running()?;
            // An answer from this very process: a socket may be left over from a dead one.
            let answered = agent.files.ctl(&["-o", "json", "status"])?;
            let status: Value = serde_json::from_str(&answered.stdout).unwrap_or_default();
            let pid = status.pointer("/item/pid").and_then(Value::as_u64);
            Ok((pid == Some(u64::from(agent.process.pid()))).then_some(()))
        })?;
        Ok(agent)
    }

    /// `lb-ctl ARGUMENTS`, which must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn ctl(&self, arguments: &[&str]) -> Result<Finished> {
        self.files.ctl(arguments)?.success()
    }

    /// `lb-ctl -o json status`: the status itself.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn status(&self) -> Result<Value> {
        item(self.files.ctl_json(&["status"])?)
    }

    /// `lb-ctl -o json backend show BACKEND`: the backend itself.
    ///
    /// # Errors
    /// When the agent does not answer or does not know it.
    pub fn backend(&self, backend: &str) -> Result<Value> {
        item(self.files.ctl_json(&["backend", "show", backend])?)
    }

    /// `lb-ctl -o json trace`: the trace itself.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn trace(&self, source: SocketAddr, destination: SocketAddr) -> Result<Value> {
        let (source, destination) = (source.to_string(), destination.to_string());
        let arguments = ["trace", "--src", &source, "--dst", &destination, "--proto", "tcp"];
        item(self.files.ctl_json(&arguments)?)
    }

    /// Generation of the running configuration.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn generation(&self) -> Result<u64> {
        let document = self.files.ctl_json(&["status"])?;
        document.get("generation").and_then(Value::as_u64).context("status has no generation")
    }

    /// Packets that ended for `reason`.
    ///
    /// # Errors
    /// When the agent does not answer or does not know the reason.
    pub fn packets(&self, reason: &str) -> Result<u64> {
        let status = self.status()?;
        let reasons = status.get("reasons").and_then(Value::as_array).context("no reasons")?;
        reasons
            .iter()
            .find(|count| count.get("reason").and_then(Value::as_str) == Some(reason))
            .and_then(|count| count.get("packets")?.as_u64())
            .with_context(|| format!("status has no reason {reason}"))
    }

    /// Tells the agent to read its file again.
    ///
    /// # Errors
    /// When it is not running.
    pub fn reload(&self) -> Result<()> {
        self.process.signal(Signal::SIGHUP)
    }

    /// Ends the agent as a service manager would.
    ///
    /// # Errors
    /// When it does not end with success in time.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::SIGTERM)?;
        let status = self.process.wait(COMMAND_LIMIT)?;
        ensure!(status.success(), "the agent ended with {status} when told to stop");
        Ok(())
    }

    /// Runs `lb-agent detach`, which must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub fn detach(&self) -> Result<Finished> {
        let mut command = self.host.command(binary("lb-agent")?);
        command.arg("detach").arg("--pin-dir").arg(&self.files.pin_dir);
        run(command, COMMAND_LIMIT)?.success()
    }
}

/// The thing inside an item document.
fn item(mut document: Value) -> Result<Value> {
    document.get_mut("item").map(Value::take).context("the answer has no item")
}
