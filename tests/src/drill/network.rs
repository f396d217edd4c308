//! Drills in which the network around the balancer fails.

use std::time::Duration;

use anyhow::Result;

use super::{Settled, Stage};
use crate::topology::ORIGIN_NAMES;

/// How long the link is down.
const LINK_DOWN: Duration = Duration::from_millis(500);
/// Another address of the router: locally administered, and nobody else's.
const ANOTHER_MAC: &str = "02:00:00:00:77:01";

pub(super) fn link_lost(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    stage.topology.cut_balancer_off()?;
    stage.last(LINK_DOWN)?;
    stage.topology.reconnect_balancer()?;
    stage.mended();
    stage.calm()?;
    Ok(Settled::Taken { by: &ORIGIN_NAMES, not: &[] })
}

pub(super) fn next_hop_changed(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    stage.topology.change_routers_mac(ANOTHER_MAC)?;
    stage.mended();
    stage.calm()?;
    Ok(Settled::Taken { by: &ORIGIN_NAMES, not: &[] })
}
