//! The first process of a guest: mounts, modules, checks, reports, power off.

use std::convert::Infallible;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use super::initramfs::MODULES_DIR;
use super::packets::PACKETS;
use super::programs::PROGRAMS;
use super::report::{Report, Reporter};
use super::scenario::SCENARIOS;
use crate::process::now;
use crate::topology::Topology;

/// The serial port of the reports; the console is the first one.
const PORT: &str = "/dev/ttyS1";

/// Kind and place of what is mounted.
const MOUNTS: [(&str, &str); 4] =
    [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("bpf", "/sys/fs/bpf")];

/// Does everything a guest is there for, and powers the machine off.
///
/// # Errors
/// When this is not the first process of a machine. Everything else is said on the console, and
/// ends in power off as well.
pub fn run() -> Result<Infallible> {
    ensure!(
        std::process::id() == 1,
        "this is the first process of a virtual machine, to be started by its kernel only"
    );
    if let Err(error) = check_everything() {
        say(&format!("the guest gives up: {error:#}"));
    }
    reboot(RebootMode::RB_POWER_OFF).context("powering off")
}

fn check_everything() -> Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place).with_context(|| format!("making {place}"))?;
        mount(Some(kind), place, Some(kind), MsFlags::empty(), None::<&str>)
            .with_context(|| format!("mounting {place}"))?;
    }
    let mut reporter = Reporter::open(Path::new(PORT))?;
    load_modules()?;
    let mut send = |report: Report| {
        say(&format!("{report:?}"));
        reporter.send(&report)
    };
    for program in PROGRAMS {
        let check = program.name.to_owned();
        send(match program.load() {
            Ok(verified) => Report::Verified {
                check,
                instructions: verified.instructions,
                bytes: verified.bytes,
            },
            Err(error) => Report::Failed { check, error: format!("{error:#}") },
        })?;
    }
    for packets in PACKETS {
        send(timed(packets.name.to_owned(), || packets.run()))?;
    }
    let topology = Topology::new("guest");
    for scenario in SCENARIOS {
        let run = || match &topology {
            Ok(topology) => scenario.run(topology),
            Err(error) => Err(anyhow!("there is no topology: {error:#}")),
        };
        send(timed(scenario.to_string(), run))?;
    }
    send(Report::Finished)
}

/// Runs a check that has no figures but the time it took.
fn timed(check: String, run: impl FnOnce() -> Result<String>) -> Report {
    let start = now();
    let outcome = run();
    let milliseconds = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(remark) => Report::Passed { check, remark, milliseconds },
        Err(error) => Report::Failed { check, error: format!("{error:#}") },
    }
}

/// Loads the modules of the initramfs in the order of their names.
fn load_modules() -> Result<()> {
    let entries = fs::read_dir(MODULES_DIR).context("listing modules")?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<PathBuf>>>()
        .context("listing modules")?;
    files.sort();
    for path in files {
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        finit_module(&file, c"", ModuleInitFlags::empty())
            .with_context(|| format!("loading {}", path.display()))?;
    }
    Ok(())
}

/// A line on the console.
#[expect(clippy::print_stdout, reason = "the console of a guest is its log")]
fn say(line: &str) {
    println!("lb-guest: {line}");
}
