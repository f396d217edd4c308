//! What a guest has for a disk: our binaries, the programs a topology runs, their libraries, and
//! the kernel's modules.
//!
//! Everything is this machine's own, so a guest differs from it by the kernel only. Programs are in
//! /bin, libraries where the loader finds them here, modules unpacked and numbered in the order to
//! load them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cpio::Archive;
use super::kernel::Kernel;
use crate::topology::{binary, output_of};

/// Where the modules are in a guest.
pub(super) const MODULES_DIR: &str = "/modules";
/// The first process of a guest.
const INIT: &str = "/init";
/// Where all programs are in a guest.
pub(super) const PROGRAMS_DIR: &str = "/bin";

/// Programs of this machine that a topology runs.
const PROGRAMS: [&str; 5] = ["ip", "ethtool", "nsenter", "setpriv", "nginx"];
/// Our binaries that a topology runs.
const OURS: [&str; 2] = ["lb-agent", "lb-ctl"];
/// Where system programs are that an ordinary user's PATH leaves out.
const SYSTEM_DIRS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
/// Mount points and scratch space.
const DIRECTORIES: [&str; 5] = ["/proc", "/sys", "/dev", "/tmp", "/var/log/nginx"];
/// Who nginx wants to find: the user and the group it would run workers as.
const PASSWD: &str = "root:x:0:0:::\nnobody:x:65534:65534:::\n";
/// The same as groups.
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";

/// Writes the initramfs for `kernel` to `path`.
///
/// # Errors
/// When a program or module is missing, or the file cannot be written.
pub fn write(kernel: &Kernel, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
    let mut archive = Archive::new(BufWriter::new(file));
    for directory in DIRECTORIES {
        archive.directory(directory)?;
    }
    archive.file("/etc/passwd", PASSWD.as_bytes())?;
    archive.file("/etc/group", GROUP.as_bytes())?;
    let mut programs = vec![(INIT.to_owned(), binary("lb-guest")?)];
    for name in OURS {
        programs.push((format!("{PROGRAMS_DIR}/{name}"), binary(name)?));
    }
    for name in PROGRAMS {
        programs.push((format!("{PROGRAMS_DIR}/{name}"), program(name)?));
    }
    for (place, source) in &programs {
        add(&mut archive, place, source)?;
        for library in libraries(source)? {
            if !archive.contains(&library) {
                add(&mut archive, &library, Path::new(&library))?;
            }
        }
    }
    for (number, module) in kernel.modules()?.iter().enumerate() {
        let name = module.file_stem().and_then(OsStr::to_str).context("name of a module")?;
        let place = format!("{MODULES_DIR}/{number:02}-{}", name.trim_end_matches(".ko"));
        archive.file(&place, &unpacked(module)?)?;
    }
    archive.finish().context("writing the initramfs")?;
    Ok(())
}

fn add(archive: &mut Archive<impl Write>, place: &str, source: &Path) -> Result<()> {
    let content = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    archive.file(place, &content).context("writing the initramfs")
}

/// A program of this machine.
fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRS.map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("there is no program {name}: run `cargo xtask setup`"))
}

/// The libraries and the loader of a dynamically linked program, as this machine finds them.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let mut command = Command::new("ldd");
    command.arg(program);
    let libraries = library_paths(&output_of(command)?);
    ensure!(!libraries.is_empty(), "ldd names no library of {}", program.display());
    Ok(libraries)
}

/// The paths in what ldd(1) prints: `NAME => PATH (ADDRESS)` or `PATH (ADDRESS)`.
fn library_paths(printed: &str) -> Vec<String> {
    let path = |line: &str| {
        let place = line.split_once("=>").map_or(line, |(_, place)| place);
        let path = place.split_whitespace().next()?;
        path.starts_with('/').then(|| path.to_owned())
    };
    printed.lines().filter_map(path).collect()
}

/// A module as the kernel takes it.
fn unpacked(module: &Path) -> Result<Vec<u8>> {
    if module.extension() != Some(OsStr::new("xz")) {
        return fs::read(module).with_context(|| format!("reading {}", module.display()));
    }
    let mut command = Command::new("xz");
    command.args(["--decompress", "--stdout"]).arg(module);
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    Ok(output.stdout)
}

#[cfg(test)]
mod tests;
