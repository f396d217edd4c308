//! Facts about this machine that the doctor reports and no other module reads.

use std::fs;

/// What was found on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Host {
    /// Kernel release, `6.12.9-amd64`.
    pub release: String,
    /// Major and minor number of it, if it has them.
    pub version: Option<(u32, u32)>,
    /// Contents of `net.core.bpf_jit_enable`; absent where the kernel always compiles.
    pub jit: Option<String>,
    /// Possible CPUs; per-CPU maps have one copy for each.
    pub possible_cpus: u64,
}

impl Host {
    /// Reads them.
    pub fn read() -> Self {
        let line = |path| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let release = line("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            version: version(&release),
            release,
            jit: line("/proc/sys/net/core/bpf_jit_enable"),
            possible_cpus: aya::util::nr_cpus().map_or(1, |cpus| cpus as u64),
        }
    }
}

/// Major and minor number of a kernel release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests;
