//! Which compiler builds the BPF programs, and how it is called.
//!
//! `core` for `bpfel-unknown-none` is built from source, with unstable flags. Two kinds of compiler
//! can do that: a rustup nightly with rust-src, and Debian's rustc with rust-web-src. Either must
//! have an LLVM that bpf-linker can read the bitcode of; a floating nightly soon has a newer one, so
//! a nightly that is fetched is one of a fixed date. The first complete compiler is taken; if there
//! is none, the first that can be installed. `LB_BPF_TOOLCHAIN` = `nightly` or `debian` narrows
//! the choice.
//!
//! `weigh` decides from plain values and is tested as such; `survey` looks at the machine.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace;

/// The LLVM that bpf-linker is built with. It reads bitcode of this and older versions.
pub(crate) const LINKER_LLVM: u32 = 22;
/// The nightly to fetch: rustc 1.97, LLVM 22.1.
pub(crate) const PINNED_NIGHTLY: &str = "nightly-2026-04-15";
/// The workspace's rust-version, 1.N.
const OLDEST_MINOR: u32 = 95;

/// A compiler that could build the BPF programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A rustup toolchain by name.
    Rustup(&'static str),
    /// Packages rustc-web, cargo-web, rust-web-src and rust-web-clippy.
    Debian,
}

/// In the order of preference.
const CANDIDATES: [Source; 3] =
    [Source::Rustup("nightly"), Source::Rustup(PINNED_NIGHTLY), Source::Debian];

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rustup(name) => write!(out, "rustup {name}"),
            Self::Debian => out.write_str("Debian rustc-web"),
        }
    }
}

impl Source {
    /// `cargo` of this toolchain, free of what an outer cargo and its user set for the host.
    pub(crate) fn cargo(self) -> Command {
        self.command("cargo", "/usr/bin/cargo", &[])
    }

    /// `cargo clippy` of this toolchain.
    pub(crate) fn clippy(self) -> Command {
        // Not `/usr/bin/cargo clippy`: that would find rustup's clippy first.
        let mut command = self.command("cargo", "/usr/bin/cargo-clippy", &["clippy"]);
        if self == Self::Debian {
            command.env("CARGO", "/usr/bin/cargo");
        }
        command
    }

    fn rustc(self) -> Command {
        self.command("rustc", "/usr/bin/rustc", &[])
    }

    fn command(self, proxy: &str, debian: &str, arguments: &[&str]) -> Command {
        let mut command = match self {
            Self::Rustup(name) => {
                let mut command = Command::new("rustup");
                command.args(["run", name, proxy]);
                command
            }
            Self::Debian => Command::new(debian),
        };
        command.args(arguments);
        for (name, _) in env::vars_os() {
            if name.to_str().is_some_and(is_host_build_variable) {
                command.env_remove(name);
            }
        }
        if self == Self::Debian {
            command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        }
        command
    }

    /// What this compiler is, or `None` when it is not installed.
    fn probe(self, rustup_toolchains: &str) -> Option<Facts> {
        let installed = match self {
            Self::Rustup(name) => has_toolchain(rustup_toolchains, name),
            Self::Debian => PathBuf::from("/usr/bin/rustc").is_file(),
        };
        if !installed {
            return None;
        }
        let version = process::output(self.rustc().arg("-vV"))?;
        let sysroot = process::output(self.rustc().args(["--print", "sysroot"]))?;
        let sysroot = PathBuf::from(sysroot.trim());
        Some(Facts {
            minor: version_number(&version, "release: 1.")?,
            llvm: version_number(&version, "LLVM version: ")?,
            has_cargo: sysroot.join("bin/cargo").is_file(),
            has_source: sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file(),
            has_clippy: sysroot.join("bin/cargo-clippy").is_file(),
        })
    }
}

/// What matters about an installed compiler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts {
    /// N of rustc 1.N.
    minor: u32,
    llvm: u32,
    has_cargo: bool,
    has_source: bool,
    has_clippy: bool,
}

impl Facts {
    /// Why this compiler will never do, if so.
    fn refusal(self) -> Option<String> {
        if self.llvm > LINKER_LLVM {
            Some(format!(
                "its LLVM is {}, and bpf-linker reads bitcode up to LLVM {LINKER_LLVM}",
                self.llvm
            ))
        } else if self.minor < OLDEST_MINOR {
            Some(format!("it is Rust 1.{}, older than 1.{OLDEST_MINOR}", self.minor))
        } else {
            None
        }
    }
}

/// How a compiler can be put in place, in the order to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Which compiler.
    pub(crate) source: Source,
    /// It is there, perhaps without all its parts.
    pub(crate) installed: bool,
    /// Nothing is missing.
    pub(crate) complete: bool,
}

/// The outcome of looking round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Usable or installable compilers, best first.
    pub(crate) candidates: Vec<Candidate>,
    /// Why others were passed over, a sentence each.
    pub(crate) remarks: Vec<String>,
}

/// Looks at the machine and ranks the compilers.
///
/// # Errors
/// When `LB_BPF_TOOLCHAIN` has a value that means nothing.
pub(crate) fn survey() -> Result<Choice> {
    let wanted = wanted(env::var("LB_BPF_TOOLCHAIN").ok().as_deref())?;
    let has_rustup = workspace::program("rustup").is_some();
    let has_apt = workspace::program("apt-get").is_some();
    let toolchains = if has_rustup {
        process::output(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default()
    } else {
        String::new()
    };
    let probed = wanted.into_iter().map(|source| (source, source.probe(&toolchains)));
    Ok(weigh(probed, has_rustup, has_apt))
}

fn wanted(variable: Option<&str>) -> Result<Vec<Source>> {
    let all = CANDIDATES.into_iter();
    match variable {
        None | Some("") => Ok(all.collect()),
        Some("nightly") => Ok(all.filter(|source| *source != Source::Debian).collect()),
        Some("debian") => Ok(vec![Source::Debian]),
        Some(other) => bail!("LB_BPF_TOOLCHAIN is `{other}`: say `nightly` or `debian`"),
    }
}

/// Ranks compilers: those that can compile now, then those that can be installed.
fn weigh(
    probed: impl IntoIterator<Item = (Source, Option<Facts>)>,
    has_rustup: bool,
    has_apt: bool,
) -> Choice {
    let mut now = Vec::new();
    let mut later = Vec::new();
    let mut remarks = Vec::new();
    for (source, facts) in probed {
        let installable = match source {
            Source::Rustup(name) => has_rustup && (facts.is_some() || name == PINNED_NIGHTLY),
            Source::Debian => has_apt,
        };
        let Some(facts) = facts else {
            if installable {
                later.push(Candidate { source, installed: false, complete: false });
            }
            continue;
        };
        if let Some(reason) = facts.refusal() {
            remarks.push(format!("{source} is passed over: {reason}"));
            continue;
        }
        let compiles = facts.has_cargo && facts.has_source;
        let complete = compiles && facts.has_clippy;
        let candidate = Candidate { source, installed: true, complete };
        if compiles {
            now.push(candidate);
            // What comes after a working compiler needs no look, and a look costs time.
            break;
        } else if installable {
            later.push(candidate);
        }
    }
    now.append(&mut later);
    Choice { candidates: now, remarks }
}

/// True if `rustup toolchain list` has this name, with or without the host triple.
fn has_toolchain(list: &str, name: &str) -> bool {
    list.lines().filter_map(|line| line.split_whitespace().next()).any(|installed| {
        let triple = installed.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        // "nightly-2026-04-15-x86_64-..." is not the "nightly" that floats.
        installed == name || triple.is_some_and(|rest| !rest.starts_with(|c: char| c.is_numeric()))
    })
}

/// The number that follows `key` in the output of `rustc -vV`.
fn version_number(version: &str, key: &str) -> Option<u32> {
    let rest = version.lines().find_map(|line| line.strip_prefix(key))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Settings for the host's compiler, which would bend or break a build by another one. Where
/// downloads come from and go to stays.
fn is_host_build_variable(name: &str) -> bool {
    const KEPT: [&str; 7] = [
        "CARGO_HOME",
        "CARGO_HTTP_",
        "CARGO_NET_",
        "CARGO_REGISTR",
        "CARGO_TERM_",
        "RUSTUP_",
        "RUST_BACKTRACE",
    ];
    if name == "RUSTUP_TOOLCHAIN" || name == "LD_LIBRARY_PATH" {
        return true;
    }
    let build_variable = name.starts_with("CARGO") || name.starts_with("RUST");
    build_variable && !KEPT.iter().any(|kept| name.starts_with(kept))
}

#[cfg(test)]
mod tests;
