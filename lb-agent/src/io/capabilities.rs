//! Whether this process may do what the agent does, told before the first thing fails.

use std::fs;

use thiserror::Error;

/// What the agent needs, by bit in `CapEff` (include/uapi/linux/capability.h). `CAP_SYS_ADMIN`
/// contains both BPF capabilities.
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;

/// The process lacks capabilities.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("not permitted: this process lacks {}", missing.join(", "))]
pub struct NotPermitted {
    /// Names of the missing ones.
    pub missing: Vec<&'static str>,
}

impl NotPermitted {
    /// What the operator can do.
    pub const CURE: &'static str = "run it as root, or give it CAP_BPF, CAP_NET_ADMIN and \
        CAP_PERFMON (AmbientCapabilities= in its systemd unit)";
}

/// Checks the effective capabilities of this process.
///
/// # Errors
/// Some are missing.
pub fn check() -> Result<(), NotPermitted> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let missing = missing(effective(&status).unwrap_or(0));
    if missing.is_empty() { Ok(()) } else { Err(NotPermitted { missing }) }
}

/// The effective set in a `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn missing(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective >> bit & 1 == 1;
    let granted = |name: &str, bit| has(bit) || name != "CAP_NET_ADMIN" && has(SYS_ADMIN);
    NEEDED.iter().filter(|(name, bit)| !granted(name, *bit)).map(|(name, _)| *name).collect()
}

#[cfg(test)]
mod tests;
