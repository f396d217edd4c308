//! One origin server: nginx for the answers, lb-origin for the decapsulation.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::host::Host;
use super::network::{BALANCER_V4, BALANCER_V6, VIP_V4, VIP_V6};
use super::{binary, output_of};
use crate::process::{Process, wait_until};

/// Names of the origins, which are also what they answer.
pub const ORIGIN_NAMES: [&str; 3] = ["origin1", "origin2", "origin3"];

/// The place on the origins with a body that takes many packets: the origin's name,
/// [`LARGE_COPIES`] times.
pub const LARGE: &str = "/large";
/// Copies of an origin's name in the body of [`LARGE`].
pub const LARGE_COPIES: usize = 32 * 1024;

/// The place on the origins that is there until [`Origin::fail_checks`].
pub const HEALTH_PATH: &str = "/healthz";

/// nginx's configuration.
const CONFIGURATION: &str = "nginx.conf";
/// The file behind [`HEALTH_PATH`].
const HEALTHY: &str = "healthz";
/// While this file exists, answers are slow.
const SLOW: &str = "slow";
/// Time nginx gets to listen.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Where lb-origin is pinned, on the origin's own bpffs.
const PIN_DIR: &str = "/sys/fs/bpf/lb-origin";

/// An origin server.
#[derive(Debug)]
pub struct Origin {
    /// The host it is.
    pub host: Host,
    /// The server on it.
    pub nginx: Process,
    /// Where nginx has its files.
    prefix: PathBuf,
    /// Where logs go.
    log_dir: PathBuf,
}

impl Origin {
    /// Puts the VIPs on `lo` and starts nginx with its files in `dir`.
    pub(super) fn start(host: Host, dir: &Path) -> Result<Self> {
        host.ip(&format!("addr add {VIP_V4}/32 dev lo\naddr add {VIP_V6}/128 dev lo nodad\n"))?;
        let prefix = dir.join(host.name());
        std::fs::create_dir(&prefix).context("making nginx's directory")?;
        let large = prefix.join(LARGE.trim_start_matches('/'));
        std::fs::write(&large, host.name().repeat(LARGE_COPIES)).context("writing a large file")?;
        let text = nginx_configuration(host.name(), &prefix.join(SLOW));
        std::fs::write(prefix.join(CONFIGURATION), text).context("writing nginx.conf")?;
        std::fs::write(prefix.join(HEALTHY), host.name()).context("writing what checks ask for")?;
        let nginx = spawn_nginx(&host, &prefix, dir)?;
        let mut origin = Self { host, nginx, prefix, log_dir: dir.to_owned() };
        origin.wait_until_listening()?;
        Ok(origin)
    }

    /// Starts nginx again after it was killed, and waits until it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.nginx = spawn_nginx(&self.host, &self.prefix, &self.log_dir)?;
        self.wait_until_listening()
    }

    /// From now on answers come at one byte a second.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn make_slow(&self) -> Result<()> {
        std::fs::write(self.prefix.join(SLOW), "").context("making an origin slow")
    }

    /// From now on [`HEALTH_PATH`] is not found. Everything else is as before.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn fail_checks(&self) -> Result<()> {
        std::fs::remove_file(self.prefix.join(HEALTHY)).context("removing what checks ask for")
    }

    fn wait_until_listening(&mut self) -> Result<()> {
        wait_until("nginx to listen", START_LIMIT, || {
            self.nginx.expect_running()?;
            let target = super::port_80(VIP_V6);
            let answered = self.host.enter(|| crate::http::requests(target, 1))?.failed() == 0;
            Ok(answered.then_some(()))
        })
    }

    /// Name, which is also the body of its answers.
    pub fn name(&self) -> &str {
        self.host.name()
    }

    /// Attaches lb-origin: decapsulation of what the balancer sends to the VIPs.
    ///
    /// # Errors
    /// When the command fails.
    pub fn attach(&self) -> Result<()> {
        self.attach_from(&[BALANCER_V4.into(), BALANCER_V6.into()])
    }

    /// Like [`Origin::attach`], for balancers at `sources`.
    ///
    /// # Errors
    /// When the command fails.
    pub fn attach_from(&self, sources: &[IpAddr]) -> Result<()> {
        let mut command = self.agent_command("attach")?;
        command.args(["--interface", "eth0"]);
        for source in sources {
            command.args(["--source", &source.to_string()]);
        }
        command.args(["--vip", &VIP_V4.to_string(), "--vip", &VIP_V6.to_string()]);
        output_of(command).with_context(|| format!("attaching lb-origin on {}", self.name()))?;
        Ok(())
    }

    /// Detaches lb-origin.
    ///
    /// # Errors
    /// When the command fails.
    pub fn detach(&self) -> Result<()> {
        output_of(self.agent_command("detach")?)
            .with_context(|| format!("detaching lb-origin on {}", self.name()))?;
        Ok(())
    }

    /// Packets that lb-origin counted for `reason`.
    ///
    /// # Errors
    /// When the command fails or does not list the reason.
    pub fn packets(&self, reason: &str) -> Result<u64> {
        let table = output_of(self.agent_command("status")?)?;
        table
            .lines()
            .map(str::split_whitespace)
            .find_map(|mut words| (words.next() == Some(reason)).then(|| words.next()))
            .flatten()
            .and_then(|packets| packets.parse().ok())
            .with_context(|| format!("no packets for {reason} in:\n{table}"))
    }

    /// Where lb-origin is pinned, as the origin sees it.
    pub fn pin_dir(&self) -> PathBuf {
        PathBuf::from(PIN_DIR)
    }

    fn agent_command(&self, verb: &str) -> Result<Command> {
        let mut command = self.host.command(binary("lb-agent")?);
        command.args(["origin", verb, "--pin-dir", PIN_DIR]);
        Ok(command)
    }
}

fn spawn_nginx(host: &Host, prefix: &Path, log_dir: &Path) -> Result<Process> {
    let mut command = host.command("nginx");
    command.arg("-p").arg(prefix).arg("-c").arg(prefix.join(CONFIGURATION));
    command.args(["-e", "stderr"]);
    Process::spawn(command, &format!("nginx-{}", host.name()), log_dir)
}

/// One process, no files outside its prefix, a new connection for each request, except in the one
/// place where connections stay open. Answers are slow while the file `slow` exists.
fn nginx_configuration(name: &str, slow: &Path) -> String {
    let stay = crate::flows::connections::PATH;
    let slow = slow.display();
    format!(
        "daemon off;\n\
         master_process off;\n\
         pid nginx.pid;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         \x20 access_log off;\n\
         \x20 keepalive_timeout 0;\n\
         \x20 client_max_body_size 0;\n\
         \x20 client_body_temp_path body;\n\
         \x20 proxy_temp_path proxy;\n\
         \x20 fastcgi_temp_path fastcgi;\n\
         \x20 uwsgi_temp_path uwsgi;\n\
         \x20 scgi_temp_path scgi;\n\
         \x20 server {{\n\
         \x20   listen 80 backlog=4096;\n\
         \x20   listen [::]:80 backlog=4096;\n\
         \x20   set $rate 0;\n\
         \x20   if (-f {slow}) {{ set $rate 1; }}\n\
         \x20   limit_rate $rate;\n\
         \x20   location {HEALTH_PATH} {{ root .; }}\n\
         \x20   location / {{ return 200 \"{name}\"; }}\n\
         \x20   location {LARGE} {{ root .; }}\n\
         \x20   location {stay} {{\n\
         \x20     keepalive_timeout 1h;\n\
         \x20     keepalive_requests 1000000000;\n\
         \x20     return 200 \"{name}\";\n\
         \x20   }}\n\
         \x20 }}\n\
         }}\n"
    )
}
