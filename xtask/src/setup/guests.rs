//! What booting other kernels needs: QEMU, and the kernels themselves.
//!
//! Only `setup` and the layer of tests that boots them call this, so that nobody else waits for
//! it. The kernels are Debian's packages for virtual machines, unpacked into target/kernels/SERIES
//! and never installed. A directory that is there is used as it is, whoever made it: it holds
//! boot/vmlinuz-RELEASE and lib/modules/RELEASE with the lists of depmod.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::Means;
use super::apt::Apt;
use super::requirements::{self, GUESTS};
use crate::clock::Stopwatch;
use crate::process;
use crate::workspace::Workspace;

/// A kernel to boot.
#[derive(Debug)]
struct Kernel {
    /// Its series, which names its directory. The tests know it by the same.
    series: &'static str,
    /// Names of Debian's packages that have it, as a POSIX extended regular expression.
    packages: &'static str,
    /// Where Debian has them.
    suites: &'static str,
}

/// The long-term kernels that tests boot.
const KERNELS: [Kernel; 2] = [
    Kernel {
        series: "6.1",
        packages: r"^linux-image-6\.1\.0-[0-9]+-cloud-amd64-unsigned$",
        suites: "bookworm",
    },
    Kernel {
        series: "6.12",
        packages: r"^linux-image-6\.12\.[0-9]+\+(deb[0-9]+|bpo)-cloud-amd64-unsigned$",
        suites: "bookworm-security, bookworm-backports or trixie",
    },
];

/// Installs programs and fetches kernels that are not there.
///
/// # Errors
/// When something is missing that cannot be had from here; each thing is named.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let watch = Stopwatch::start();
    let programs = requirements::missing(GUESTS);
    let kernels: Vec<&Kernel> =
        KERNELS.iter().filter(|kernel| !kernel.directory(workspace).exists()).collect();
    if programs.is_empty() && kernels.is_empty() {
        return Ok(());
    }
    let means = Means::look();
    let packages: Vec<&str> = programs.iter().map(|requirement| requirement.package).collect();
    if !means.apt || !(means.root || packages.is_empty()) {
        let programs = programs.iter().map(ToString::to_string);
        let kernels = kernels.iter().map(|kernel| kernel.lack(workspace));
        let list: Vec<String> = programs.chain(kernels).collect();
        bail!("tests on other kernels lack what cannot be had from here:\n  {}", list.join("\n  "));
    }
    let mut apt = Apt::new(workspace);
    if !packages.is_empty() {
        println!("programs to boot other kernels ... installing");
        apt.install("programs to boot other kernels", &packages)?;
    }
    for kernel in kernels {
        println!("Linux {} ... fetching", kernel.series);
        kernel.fetch(workspace, &mut apt)?;
    }
    println!("setup: other kernels can be booted ({watch})");
    Ok(())
}

impl Kernel {
    fn directory(&self, workspace: &Workspace) -> PathBuf {
        workspace.kernels().join(self.series)
    }

    fn lack(&self, workspace: &Workspace) -> String {
        format!(
            "Linux {} in {}: unpack a package there whose name matches {}, and run depmod on it",
            self.series,
            self.directory(workspace).display(),
            self.packages
        )
    }

    fn fetch(&self, workspace: &Workspace, apt: &mut Apt) -> Result<()> {
        let label = format!("Linux {}", self.series);
        let package = self.newest_package(&label, apt)?;
        // Renamed when complete: an interrupted run leaves nothing that looks finished.
        let partial = workspace.kernels().join(format!("{}.partial", self.series));
        if partial.exists() {
            fs::remove_dir_all(&partial)
                .with_context(|| format!("cannot remove {}", partial.display()))?;
        }
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        apt.download(&label, &package, &partial)?;
        let file = only_entry(&partial)?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(&file).arg(&partial);
        process::run(&format!("{label}: unpacking {package}"), &mut unpack)?;
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        let modules = only_entry(&partial.join("lib/modules"))?;
        let release = modules.file_name().context("a kernel without a release")?;
        let depmod = crate::workspace::program("depmod").context("there is no depmod")?;
        let mut order = Command::new(depmod);
        order.arg("-b").arg(&partial).arg(release);
        process::run(&format!("{label}: depmod"), &mut order)?;
        let directory = self.directory(workspace);
        fs::rename(&partial, &directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        println!("{label} ... {package} in {}", directory.display());
        Ok(())
    }

    /// The package of this series with the highest version.
    fn newest_package(&self, label: &str, apt: &mut Apt) -> Result<String> {
        apt.renew_lists(label)?;
        let mut search = Command::new("apt-cache");
        search.args(["search", "--names-only", self.packages]);
        let found = process::output(&mut search).unwrap_or_default();
        newest(&found).with_context(|| {
            format!(
                "the package sources of this machine have no package whose name matches {}; \
                 Debian has it in {}",
                self.packages, self.suites
            )
        })
    }
}

/// The highest version among lines that begin with a package's name.
fn newest(found: &str) -> Option<String> {
    found
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .max_by_key(|name| numbers(name))
        .map(str::to_owned)
}

/// All numbers in a name, in their order: within one series they sort as the versions do.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// The one thing in a directory.
fn only_entry(directory: &Path) -> Result<PathBuf> {
    let unreadable = || format!("cannot read {}", directory.display());
    let mut entries = fs::read_dir(directory).with_context(unreadable)?;
    let entry = entries.next().with_context(|| format!("nothing in {}", directory.display()))?;
    ensure!(entries.next().is_none(), "more than one thing in {}", directory.display());
    Ok(entry.with_context(unreadable)?.path())
}

#[cfg(test)]
mod tests;
