//! One host of a topology: an anonymous network namespace with a mount namespace of its own.
//!
//! Both are held by file descriptors only, so they vanish with the test process, however it
//! ends: no name to sweep, no mount to undo. The mount namespace has the network namespace's own
//! /sys and a private bpffs on /sys/fs/bpf, so programs inside see what they would see on a real
//! host, and hosts cannot see each other's pins. Everything else of the file system is shared.

use std::fs::{self, File};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use crate::process::{run, run_with_input};

/// Time an `ip` or `ethtool` command may take.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// Where every host has its private bpffs.
pub const BPFFS: &str = "/sys/fs/bpf";

/// A host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host(Arc<Namespaces>);

#[derive(Debug)]
struct Namespaces {
    name: String,
    network: File,
    mounts: File,
}

impl Host {
    /// Makes a host without interfaces other than `lo`, which is down.
    ///
    /// # Errors
    /// When namespaces cannot be made, for want of privileges above all.
    pub fn new(name: &str) -> Result<Self> {
        let (network, mounts) = thread::scope(|scope| scope.spawn(make_namespaces).join())
            .map_err(|_panic| anyhow!("the thread that made the namespaces of {name} panicked"))?
            .with_context(|| format!("making the namespaces of {name} (this needs root)"))?;
        Ok(Self(Arc::new(Namespaces { name: name.to_owned(), network, mounts })))
    }

    /// Name, for messages.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// A path by which other processes can open the network namespace.
    pub fn network_path(&self) -> String {
        descriptor_path(&self.0.network)
    }

    /// A command that will run on this host, and be killed if the calling thread ends.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = self.nsenter();
        command.args(["setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    fn nsenter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.network_path()))
            .arg(format!("--mount={}", descriptor_path(&self.0.mounts)))
            .arg("--");
        command
    }

    /// Runs `body` on this host, in a thread of its own, and gives back its value.
    ///
    /// # Errors
    /// When the thread cannot enter the host. A panic of `body` is passed on.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> T + Send) -> Result<T> {
        let thread = || self.enter_this_thread().map(|()| body());
        match thread::scope(|scope| scope.spawn(thread).join()) {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Moves the calling thread to this host, for good.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn enter_this_thread(&self) -> Result<()> {
        let context = || format!("entering {}", self.name());
        // The mount namespace can be changed only by a thread that shares its root and working
        // directory with no other.
        unshare(CloneFlags::CLONE_FS).with_context(context)?;
        setns(&self.0.mounts, CloneFlags::CLONE_NEWNS).with_context(context)?;
        setns(&self.0.network, CloneFlags::CLONE_NEWNET).with_context(context)
    }

    /// Runs a batch of `ip` commands, one a line, without the word `ip`.
    ///
    /// # Errors
    /// When one of them fails; the message has what `ip` said.
    pub fn ip(&self, batch: &str) -> Result<()> {
        let mut command = self.nsenter();
        command.args(["ip", "-batch", "-"]);
        run_with_input(command, batch, COMMAND_LIMIT)?
            .success()
            .with_context(|| format!("on {}:\n{batch}", self.name()))?;
        Ok(())
    }

    /// What `ip -json ARGUMENTS` says.
    ///
    /// # Errors
    /// When it fails or does not answer in JSON.
    pub fn ip_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut command = self.nsenter();
        command.args(["ip", "-json", "-details"]).args(arguments);
        let finished = run(command, COMMAND_LIMIT)?.success()?;
        serde_json::from_str(&finished.stdout).with_context(|| finished.command)
    }

    /// Kernel id of the XDP program on an interface, if there is one.
    ///
    /// # Errors
    /// When the interface does not exist.
    pub fn xdp_program_id(&self, interface: &str) -> Result<Option<u64>> {
        let links = self.ip_json(&["link", "show", "dev", interface])?;
        Ok(links.pointer("/0/xdp/prog/id").and_then(serde_json::Value::as_u64))
    }

    /// Turns off transmit checksum offload. A veth otherwise leaves checksums to a receiver that
    /// an XDP program hides, and the packets are dropped as broken.
    ///
    /// # Errors
    /// When `ethtool` fails.
    pub fn compute_checksums(&self, interfaces: &[&str]) -> Result<()> {
        for interface in interfaces {
            let mut command = self.nsenter();
            command.args(["ethtool", "-K", interface, "tx", "off"]);
            run(command, COMMAND_LIMIT)?.success()?;
        }
        Ok(())
    }

    /// Sets kernel parameters below /proc/sys/net.
    ///
    /// # Errors
    /// When one does not exist.
    pub fn set_parameters(&self, parameters: &[(&str, &str)]) -> Result<()> {
        self.enter(|| {
            parameters.iter().try_for_each(|(name, value)| {
                let path = Path::new("/proc/sys/net").join(name);
                fs::write(&path, value).with_context(|| format!("setting {}", path.display()))
            })
        })?
    }

    /// Names in a directory as this host sees it, sorted; empty if it does not exist.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn list(&self, directory: &Path) -> Result<Vec<String>> {
        self.enter(|| {
            if !directory.exists() {
                return Ok(Vec::new());
            }
            let mut names = Vec::new();
            for entry in fs::read_dir(directory).with_context(|| directory.display().to_string())? {
                names.push(entry.context("a directory entry")?.file_name().display().to_string());
            }
            names.sort();
            Ok(names)
        })?
    }

    /// A TCP listener on this host, usable from any thread.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn tcp_listener(&self, address: (IpAddr, u16)) -> Result<TcpListener> {
        self.enter(|| TcpListener::bind(SocketAddr::from(address)))?
            .with_context(|| format!("listening on {address:?} of {}", self.name()))
    }

    /// A UDP socket on this host, usable from any thread.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn udp_socket(&self, address: (IpAddr, u16)) -> Result<UdpSocket> {
        self.enter(|| UdpSocket::bind(SocketAddr::from(address)))?
            .with_context(|| format!("binding {address:?} of {}", self.name()))
    }
}

/// Runs in a thread of its own, which it leaves in the new namespaces.
fn make_namespaces() -> Result<(File, File)> {
    const NOTHING: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("unshare")?;
    // Private, or the mounts below would show up in everybody's /sys.
    mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING)
        .context("making mounts private")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), NOTHING)
        .context("mounting sysfs")?;
    mount(Some("bpf"), BPFFS, Some("bpf"), MsFlags::empty(), NOTHING).context("mounting bpffs")?;
    let network = File::open("/proc/thread-self/ns/net").context("opening the namespace")?;
    let mounts = File::open("/proc/thread-self/ns/mnt").context("opening the mount namespace")?;
    Ok((network, mounts))
}

fn descriptor_path(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}
