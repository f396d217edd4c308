//! Where things are: the root of the repository, the target directory, programs on PATH.
//!
//! Called by every command; paths are absolute, so that a child process may run anywhere.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The repository that this program belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Finds the root from where cargo says this package is, so a moved tree works too.
    pub(crate) fn find() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().context("the xtask package has no parent directory")?;
        let root = root.canonicalize().with_context(|| format!("no {}", root.display()))?;
        Ok(Self { root })
    }

    /// The directory with the workspace's Cargo.toml.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the host side is built.
    pub(crate) fn target(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |dir| self.root.join(dir))
    }

    /// The optimised programs of the host side; demo and tests find them by `LB_BIN_DIR`.
    pub(crate) fn binaries(&self) -> PathBuf {
        self.target().join("release")
    }

    /// Where cargo builds the BPF programs, apart from the host side: other compiler, other flags.
    pub(crate) fn bpf_build(&self) -> PathBuf {
        self.root.join("target/bpf-build")
    }

    /// Where the finished BPF programs are; lb-agent's build script takes them from here.
    pub(crate) fn bpf_programs(&self) -> PathBuf {
        self.root.join("target/bpf")
    }

    /// Kernels that tests boot, each in a directory named by its series.
    pub(crate) fn kernels(&self) -> PathBuf {
        self.root.join("target/kernels")
    }

    /// Logs and downloads of `setup`.
    pub(crate) fn setup_files(&self) -> PathBuf {
        self.root.join("target/setup")
    }
}

/// The cargo that started us, so that a `+toolchain` choice carries over to the child.
pub(crate) fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The first program of that name on PATH, or in the directories of system programs, which an
/// ordinary user's PATH leaves out.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name.as_ref()))
        .find(|candidate| candidate.is_file())
}

/// True when this process may install packages and make network namespaces.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
