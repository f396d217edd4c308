//! Every rule of the packet path, in a guest's kernel: the fixtures of [`crate::fixture`].

use anyhow::{Result, ensure};

use crate::fixture::check;

/// Fixtures of one program.
#[derive(Debug)]
pub struct Packets {
    /// Name of the check, unique.
    pub name: &'static str,
    run: fn() -> Result<(usize, Vec<String>)>,
}

/// All of them.
pub const PACKETS: &[Packets] = &[
    Packets { name: "fixtures of lb-balancer", run: check::balancer_in_the_kernel },
    Packets { name: "fixtures of lb-origin", run: check::origin_in_the_kernel },
    Packets { name: "fixtures as probes by lb-probe", run: check::probe_in_the_kernel },
];

impl Packets {
    /// Takes each frame through the program, and says how many there were.
    ///
    /// # Errors
    /// When the kernel refuses, or one of them ends otherwise than it should.
    pub fn run(&self) -> Result<String> {
        let (count, differences) = (self.run)()?;
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(format!("{count} frames"))
    }
}
