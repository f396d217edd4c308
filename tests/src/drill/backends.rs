//! Drills in which backends fail.

use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{LIMIT, Settled, Stage, stage};
use crate::process::wait_until;
use crate::topology::{Agent, ORIGIN_NAMES, Origin, Topology};

/// The origin that fails, where one does; the primaries of the drills with tiers.
const SECOND: usize = 1;
const PRIMARIES: [usize; 2] = [0, 1];
/// How often a backend goes and comes back, and for how long it is gone.
const FLAPS: u32 = 4;
const FLAP: Duration = Duration::from_millis(400);
/// How long no backend is there.
const ALL_DOWN: Duration = Duration::from_millis(600);

fn origin<'s>(stage: &'s mut Stage<'_>, number: usize) -> Result<&'s mut Origin> {
    stage.topology.origins.get_mut(number).context("no origin of that number")
}

fn second_left(stage: &mut Stage<'_>) -> Settled {
    stage.expect("web/origin2", "down");
    Settled::Left(&[SECOND])
}

pub(super) fn killed(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    origin(stage, SECOND)?.nginx.kill_now()?;
    Ok(second_left(stage))
}

/// The router loses its carrier, and nobody says anything.
pub(super) fn cut_off(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    origin(stage, SECOND)?.host.ip("link set eth0 down\n")?;
    Ok(second_left(stage))
}

pub(super) fn slow(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    origin(stage, SECOND)?.make_slow()?;
    Ok(second_left(stage))
}

pub(super) fn flapping(stage: &mut Stage<'_>) -> Result<Settled> {
    for _ in 0..FLAPS {
        stage.harm();
        origin(stage, SECOND)?.nginx.signal(Signal::SIGSTOP)?;
        stage.last(FLAP)?;
        stage.mended();
        origin(stage, SECOND)?.nginx.signal(Signal::SIGCONT)?;
        stage.expect("web/origin2", "active");
    }
    Ok(Settled::Left(&[SECOND]))
}

pub(super) fn all_down(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    stage.topology.origins.iter_mut().try_for_each(|origin| origin.nginx.kill_now())?;
    stage.last(ALL_DOWN)?;
    stage.topology.origins.iter_mut().try_for_each(Origin::restart)?;
    stage.mended();
    stage.calm()?;
    Ok(Settled::Taken { by: &ORIGIN_NAMES, not: &[] })
}

/// Every origin is given a version without the place that checks ask for. All else works.
pub(super) fn bad_deploy(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    let harm = stage.elapsed();
    stage.topology.origins.iter().try_for_each(Origin::fail_checks)?;
    wait_until("all checks to fail", LIMIT, || {
        let down = stage.agent.status()?.pointer("/health/down").and_then(Value::as_u64);
        Ok((down == Some(3)).then_some(()))
    })?;
    Ok(Settled::In(stage.elapsed().saturating_sub(harm)))
}

pub(super) fn primaries_lost(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    for number in PRIMARIES {
        origin(stage, number)?.nginx.kill_now()?;
    }
    stage.expect("web/origin3", "active");
    Ok(Settled::Left(&PRIMARIES))
}

/// Before the load: the standby has taken over.
pub(super) fn without_primaries(topology: &mut Topology, agent: &Agent) -> Result<()> {
    for number in PRIMARIES {
        let origin = topology.origins.get_mut(number).context("no origin of that number")?;
        origin.nginx.kill_now()?;
    }
    stage::wait_for(agent, "web/origin3", "active")
}

/// They come back, and the standby gives the traffic back; its connections stay.
pub(super) fn primaries_back(stage: &mut Stage<'_>) -> Result<Settled> {
    for number in PRIMARIES {
        origin(stage, number)?.restart()?;
    }
    stage.harm();
    stage.expect("web/origin3", "standby");
    stage.calm()?;
    Ok(Settled::Taken { by: &["origin1", "origin2"], not: &["origin3"] })
}
