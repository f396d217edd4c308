//! Debian packages, without questions, without recommended extras, and without services.
//!
//! Invariant: packages such as nginx come with a service; while apt-get runs here, none is started.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// The hook that Debian asks before it starts a service; 101 means "no".
const POLICY_PATH: &str = "/usr/sbin/policy-rc.d";
const POLICY: &str =
    "#!/bin/sh\n# Made by `cargo xtask setup`: packages are wanted, services are not.\nexit 101\n";

/// apt-get, with its package lists renewed once at most.
#[derive(Debug)]
pub(super) struct Apt {
    files: PathBuf,
    lists_are_fresh: bool,
}

impl Apt {
    /// Logs and downloads go below the target directory.
    pub(super) fn new(workspace: &Workspace) -> Self {
        Self { files: workspace.setup_files(), lists_are_fresh: false }
    }

    /// Installs packages.
    ///
    /// # Errors
    /// When apt-get fails.
    pub(super) fn install(&mut self, label: &str, packages: &[&str]) -> Result<()> {
        self.renew_lists(label)?;
        let archives = self.archives()?;
        let _services_stay_off = Policy::set(Path::new(POLICY_PATH))?;
        let mut install = apt_get(&archives);
        install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
        let label = format!("{label}: {}", packages.join(" "));
        process::run_logged(&label, &self.files.join("apt-install.log"), &mut install)?;
        fs::remove_dir_all(&archives)
            .with_context(|| format!("cannot remove {}", archives.display()))
    }

    /// Fetches a package's file into `directory` without installing it.
    ///
    /// # Errors
    /// When apt-get fails.
    pub(super) fn download(&mut self, label: &str, package: &str, directory: &Path) -> Result<()> {
        let mut download = apt_get(&self.archives()?);
        download.args(["download", package]).current_dir(directory);
        let label = format!("{label}: {package}");
        process::run_logged(&label, &self.files.join("apt-download.log"), &mut download)
    }

    /// Brings the package lists up to date, unless that was done already.
    ///
    /// # Errors
    /// When the place for downloads cannot be made.
    pub(super) fn renew_lists(&mut self, label: &str) -> Result<()> {
        if self.lists_are_fresh {
            return Ok(());
        }
        let mut update = apt_get(&self.archives()?);
        update.arg("update");
        // Old lists are often good enough; if not, the next step fails and says so.
        let renewed = process::run_logged(label, &self.files.join("apt-update.log"), &mut update);
        if let Err(error) = renewed {
            println!("note: package lists were not renewed: {error:#}");
        }
        self.lists_are_fresh = true;
        Ok(())
    }

    /// Downloads have their own place: apt's clean-up may empty the usual one while another apt
    /// runs.
    fn archives(&self) -> Result<PathBuf> {
        let archives = self.files.join("apt");
        fs::create_dir_all(archives.join("partial"))
            .with_context(|| format!("cannot make {}", archives.display()))?;
        Ok(archives)
    }
}

fn apt_get(archives: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("-o")
        .arg(format!("Dir::Cache::archives={}", archives.display()))
        .args(["-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_MODE", "l");
    command
}

/// Forbids packages to start services, until dropped. A policy of the machine's owner stays.
#[derive(Debug)]
struct Policy {
    ours: Option<PathBuf>,
}

impl Policy {
    fn set(path: &Path) -> Result<Self> {
        match fs::read_to_string(path) {
            // Ours from a run that was killed is taken over, and removed this time.
            Ok(text) if text == POLICY => {}
            Ok(_) => return Ok(Self { ours: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
        fs::write(path, POLICY).with_context(|| format!("cannot write {}", path.display()))?;
        let policy = Self { ours: Some(path.to_owned()) };
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make {} executable", path.display()))?;
        Ok(policy)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.ours
            && let Err(error) = fs::remove_file(path)
        {
            eprintln!("warning: remove {} by hand: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests;
