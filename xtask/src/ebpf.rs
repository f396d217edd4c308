//! Builds the BPF programs and puts them where lb-agent's build script picks them up.
//!
//! The finished files are replaced only when their bytes changed, so an agent is not built again
//! for nothing. Every compiler flag stands here and nowhere else.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::clock::Stopwatch;
use crate::process;
use crate::setup::Ready;
use crate::workspace::Workspace;

const TARGET: &str = "bpfel-unknown-none";
const PROGRAMS: [&str; 5] = ["lb-balancer", "lb-origin", "lb-probe", "lb-bench", "lb-baseline"];
/// v3 has 32-bit arithmetic and jumps; every kernel since 5.1 knows it. Without unaligned accesses a
/// word of a packet is loaded byte by byte.
const FLAGS: [&str; 4] = [
    "-Cdebuginfo=2",
    "-Ctarget-cpu=v3",
    "-Clink-arg=--btf",
    "-Clink-arg=--cpu-features=+allows-misaligned-mem-access,+alu32",
];

/// Builds the BPF programs into target/bpf.
///
/// # Errors
/// When the compiler fails or a finished file cannot be put in place.
pub(crate) fn build(workspace: &Workspace, ready: &Ready) -> Result<()> {
    let watch = Stopwatch::start();
    let mut command = ready.compiler.cargo();
    command.args(["build", "--profile", "bpf"]);
    aim(&mut command, workspace, ready);
    process::run("building the BPF programs", &mut command)?;

    let built = workspace.bpf_build().join(TARGET).join("bpf");
    let finished = workspace.bpf_programs();
    fs::create_dir_all(&finished).with_context(|| format!("cannot make {}", finished.display()))?;
    for program in PROGRAMS {
        let changed = copy_if_changed(&built.join(program), &finished.join(program))?;
        let state = if changed { "new" } else { "unchanged" };
        println!("BPF program {program}: {state} ({})", ready.compiler);
    }
    println!("BPF programs built ({watch})");
    Ok(())
}

/// The lints of lb-ebpf, which the host's clippy cannot see. Its dependencies in the workspace are
/// left to the host's clippy: one version of the lints decides on each crate.
pub(crate) fn clippy(workspace: &Workspace, ready: &Ready) -> Result<()> {
    let mut command = ready.compiler.clippy();
    aim(&mut command, workspace, ready);
    command.args(["--no-deps", "--", "-D", "warnings"]);
    process::run("clippy of lb-ebpf", &mut command)
}

/// Points a cargo command at lb-ebpf for the BPF target.
fn aim(command: &mut Command, workspace: &Workspace, ready: &Ready) {
    command
        .current_dir(workspace.root())
        .args(["-Z", "build-std=core", "--target", TARGET, "-p", "lb-ebpf", "--target-dir"])
        .arg(workspace.bpf_build())
        .env("CARGO_ENCODED_RUSTFLAGS", encoded_flags(&ready.linker));
}

/// The flags as cargo wants them in the variable that allows spaces inside a flag.
fn encoded_flags(linker: &Path) -> OsString {
    let mut flags = OsString::from(FLAGS.join("\x1f"));
    flags.push("\x1f-Clinker=");
    flags.push(linker);
    flags
}

/// Makes `to` equal to `from`; leaves `to` and its time alone when it already is.
fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    match fs::read(to) {
        Ok(old) if old == new => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", to.display()));
        }
    }
    // Renamed into place: a build that runs meanwhile sees the old file or the new one.
    let partial = to.with_extension("partial");
    fs::write(&partial, new).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, to).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests;
