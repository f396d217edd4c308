//! The control API under clients that mean no good, or hang.

use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::on_topology;

/// Connections that say nothing. With what a test process has open anyway, these stay below its
/// own limit of descriptors, and far above what the agent may keep.
const IDLE: usize = 400;
/// Descriptors of an agent with 64 connections: files, maps, netlink and all.
const DESCRIPTORS_MAX: usize = 200;

#[test]
fn connections_that_hang_neither_lock_out_the_operator_nor_use_up_descriptors() -> Result<()> {
    on_topology("hang", |topology| {
        let mut agent = topology.start_agent(&web([WEIGHT; 3]))?;
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            idle.push(UnixStream::connect(&agent.files.socket).context("connecting")?);
        }
        agent.ctl(&["status", "--timeout", "3s"])?;
        agent.ctl(&["backend", "drain", "web/origin1", "--timeout", "3s"])?;
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", agent.process.pid()))?.count();
        ensure!(descriptors < DESCRIPTORS_MAX, "the agent has {descriptors} descriptors open");
        drop(idle);
        agent.process.expect_running()
    })
}
