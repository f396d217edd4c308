//! Every BPF program in every form it is loaded in, and how much of the verifier's patience it may
//! take.
//!
//! The kernel walks at most a million instructions of all paths through a program; each kernel
//! prunes them in its own way, so figures differ. A bound stands a bit over what was measured: who
//! meets it sees what a change costs on kernels that nobody has at hand.
//!
//! To add a program or a combination of its read-only globals: a row in [`PROGRAMS`].

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};
use lb_agent::core::settings::Settings;
use lb_agent::io::bpf::{Datapath, LoadOptions};
use lb_agent::io::origin::Origin;
use lb_agent::io::tunnel::{TunnelOptions, TunnelProgram};
use lb_common::abi::Features;
use lb_common::config::Limits;

/// Limits that a guest has memory for; the programs are the same with any.
const LIMITS: Limits = Limits {
    services: 64,
    pools: 16,
    backends: 64,
    table_slots: 64 * 1024,
    pins: 1024,
    fragments: 64,
};
/// Level of the data plane's log that switches all of it on.
const TRACE: u8 = 5;

/// A program in one form.
#[derive(Debug)]
pub struct Program {
    /// Name, unique.
    pub name: &'static str,
    /// Most instructions that the verifier may walk, on any kernel.
    pub most_instructions: u32,
    load: fn() -> Result<Verified>,
}

/// What the kernel says about a loaded program.
#[derive(Clone, Copy, Debug)]
pub struct Verified {
    /// Instructions the verifier walked.
    pub instructions: u32,
    /// Length of the translated program.
    pub bytes: u32,
}

/// All of them.
pub const PROGRAMS: &[Program] = &[
    Program {
        name: "lb-balancer",
        most_instructions: 300_000,
        load: || balancer(Features::default(), 0),
    },
    Program {
        name: "lb-balancer, every feature",
        most_instructions: 300_000,
        load: || balancer(Features::ALL, 0),
    },
    Program {
        name: "lb-balancer, every feature, drops logged",
        most_instructions: 300_000,
        load: || balancer(Features::ALL, TRACE),
    },
    Program {
        name: "lb-balancer, each feature alone, and all but each",
        most_instructions: 300_000,
        load: each_feature,
    },
    Program { name: "lb-origin", most_instructions: 100_000, load: origin },
    Program { name: "lb-probe", most_instructions: 10_000, load: probe },
];

impl Program {
    /// Loads it into the running kernel, and out again.
    ///
    /// # Errors
    /// The kernel refuses it, or does not say what it cost.
    pub fn load(&self) -> Result<Verified> {
        let verified = (self.load)().with_context(|| format!("loading {}", self.name))?;
        ensure!(verified.instructions > 0 && verified.bytes > 0, "no figures: {verified:?}");
        Ok(verified)
    }
}

/// Loads the balancer with these features.
///
/// # Errors
/// The kernel refuses it.
pub fn balancer(features: Features, log_level: u8) -> Result<Verified> {
    let settings = Settings { features, ..Settings::default() };
    let options =
        LoadOptions { pins: None, limits: LIMITS, hash_seed: [1, 2], settings, log_level };
    let (instructions, bytes) =
        Datapath::load(&options).with_context(|| format!("with {features:?}"))?.verified()?;
    Ok(Verified { instructions, bytes })
}

/// The most that any of them takes.
fn each_feature() -> Result<Verified> {
    let mut most = Verified { instructions: 0, bytes: 0 };
    for feature in 0..Features::COUNT {
        for features in [Features(1 << feature), Features(Features::ALL.0 & !(1 << feature))] {
            let Verified { instructions, bytes } = balancer(features, 0)?;
            most.instructions = most.instructions.max(instructions);
            most.bytes = most.bytes.max(bytes);
        }
    }
    Ok(most)
}

fn origin() -> Result<Verified> {
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    let (instructions, bytes) = Origin::load(&[address], &[address])?.verified()?;
    Ok(Verified { instructions, bytes })
}

fn probe() -> Result<Verified> {
    let settings = Settings { features: Features::ALL, ..Settings::default() };
    let options = TunnelOptions { pins: None, limits: LIMITS, hash_seed: [1, 2], settings };
    let (instructions, bytes) = TunnelProgram::load(&options)?.verified()?;
    Ok(Verified { instructions, bytes })
}

#[cfg(test)]
mod tests;
