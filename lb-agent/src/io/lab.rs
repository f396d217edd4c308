//! Ground for the tests of these modules: a BPF file system and a network of one's own, and the
//! balancer on small maps. Needs root, and fails without it.
//!
//! Both belong to the thread of the test that asks for them and go with it, whatever becomes of
//! the test.

use std::path::PathBuf;
use std::process::Command;

use lb_common::config::Limits;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

use super::bpf::{BpfError, Datapath, LoadOptions};
use super::pins::Pins;
use crate::core::settings::Settings;

/// Sizes of maps that are made in no time.
pub(super) const LIMITS: Limits = Limits {
    services: 16,
    pools: 8,
    backends: 30,
    table_slots: 16 * 1024,
    pins: 64,
    fragments: 64,
};

/// A mounted BPF file system that only this thread sees.
pub(super) struct Bpffs(TempDir);

impl Bpffs {
    pub(super) fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nothing = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).unwrap();
        mount(Some("bpf"), dir.path(), Some("bpf"), MsFlags::empty(), nothing).unwrap();
        Self(dir)
    }

    /// Where the agent of this test pins; not made yet.
    pub(super) fn pin_dir(&self) -> PathBuf {
        self.0.path().join("lb")
    }

    pub(super) fn pins(&self) -> Pins {
        Pins::open(&self.pin_dir()).unwrap()
    }
}

impl Drop for Bpffs {
    fn drop(&mut self) {
        // The directory below can be removed only without the mount on it.
        umount2(self.0.path(), MntFlags::MNT_DETACH).unwrap();
    }
}

/// Loads the balancer, pinned or not.
pub(super) fn load(pins: Option<&Pins>, limits: Limits) -> Result<Datapath, BpfError> {
    let settings = Settings::default();
    Datapath::load(&LoadOptions { pins, limits, hash_seed: [1, 2], settings, log_level: 0 })
}

/// Puts this thread, and every command it starts, into a network namespace of its own.
pub(super) fn enter_new_network() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
}

/// Runs `ip` in this thread's network namespace.
pub(super) fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}
