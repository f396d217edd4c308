//! Copies the BPF objects to where `include_bytes` finds them.
//!
//! They are built for another target by another compiler, so `cargo xtask build` makes them first.

use std::env;
use std::fs;
use std::path::PathBuf;

fn main() -> Result<(), String> {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for name in ["lb-balancer", "lb-origin", "lb-probe"] {
        let object = manifest.join("../target/bpf").join(name);
        println!("cargo::rerun-if-changed={}", object.display());
        fs::copy(&object, out.join(name)).map_err(|error| {
            format!("no BPF object {} ({error}): run `cargo xtask build`", object.display())
        })?;
    }
    Ok(())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("{name}: {error}"))
}
