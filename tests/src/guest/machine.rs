//! A virtual machine: QEMU with no disk, no network and two serial ports.
//!
//! Everything is emulated, so that it runs wherever QEMU does; that is some ten times slower than
//! the machine itself, hence the deadline.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use super::initramfs::{self, PROGRAMS_DIR};
use super::kernel::Kernel;
use super::report::{self, Report};
use crate::process::{Process, wait_until};

/// Time a guest gets from power on to power off. Two of them on two idle cores take a minute.
const DEADLINE: Duration = Duration::from_mins(20);
/// Emulated hardware. One processor each: with two, two guests on two cores took a fifth longer.
const HARDWARE: [&str; 8] =
    ["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024"];
/// What the kernel is told. Expedited RCU saves a tenth of the time, which goes into namespaces.
const KERNEL_PARAMETERS: &str = "console=ttyS0 panic=-1 quiet rcupdate.rcu_expedited=1";

/// A machine that has not been started.
#[derive(Debug)]
pub struct Machine {
    kernel: Kernel,
    dir: PathBuf,
}

impl Machine {
    /// Packs a machine for `kernel`; its files are in the kernel's run directory.
    ///
    /// # Errors
    /// When something is missing that belongs into it.
    pub fn new(kernel: Kernel) -> Result<Self> {
        let dir = kernel.run_directory();
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        }
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let machine = Self { kernel, dir };
        initramfs::write(&machine.kernel, &machine.initramfs())?;
        Ok(machine)
    }

    /// Boots it, waits until it is off, and gives back its reports.
    ///
    /// # Errors
    /// When it is not off at the deadline or did not get through; the message has its console.
    pub fn run(&self) -> Result<Vec<Report>> {
        let reports = self.reports().map_err(|error| {
            let console = fs::read(self.console()).unwrap_or_default();
            let console = String::from_utf8_lossy(&console);
            anyhow!("Linux {}: {error:#}; its console:\n{console}", self.kernel.release)
        })?;
        // Nobody needs these 50 MB again.
        fs::remove_file(self.initramfs()).context("removing the initramfs")?;
        Ok(reports)
    }

    fn reports(&self) -> Result<Vec<Report>> {
        let mut qemu = Process::spawn(self.command(), "qemu", &self.dir)?;
        let status = wait_until("power off", DEADLINE, || qemu.ended())?;
        ensure!(status.success(), "QEMU ended with {status}:\n{}", qemu.output());
        let lines = fs::read(self.lines()).context("reading the reports")?;
        let reports = report::parse(&String::from_utf8_lossy(&lines))?;
        ensure!(reports.last() == Some(&Report::Finished), "it did not get through");
        Ok(reports)
    }

    /// QEMU, which dies with the calling thread.
    fn command(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", "qemu-system-x86_64"]);
        command.args(HARDWARE).args(["-nodefaults", "-display", "none", "-no-reboot"]);
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.initramfs());
        for port in [self.console(), self.lines()] {
            command.arg("-serial").arg(format!("file:{}", port.display()));
        }
        // What the kernel does not know itself is in the environment of the first process.
        let programs = format!("LB_BIN_DIR={PROGRAMS_DIR} PATH={PROGRAMS_DIR}");
        command.arg("-append").arg(format!("{KERNEL_PARAMETERS} {programs}"));
        command
    }

    fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs")
    }

    /// What the kernel and the first process say.
    fn console(&self) -> PathBuf {
        self.file("console.log")
    }

    /// What is reported.
    fn lines(&self) -> PathBuf {
        self.file("reports.jsonl")
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(&self.dir).join(name)
    }
}
