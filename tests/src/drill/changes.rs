//! Drills in which nothing fails and an operator changes something.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::{LIMIT, Settled, Stage};
use crate::process::wait_until;
use crate::topology::configuration::{WEIGHT, web};

/// Reloads in a row.
const RELOADS: u32 = 100;
/// The second backend's weight after it was changed: a 21st of all.
const LIGHT: &str = "10";
/// At least and at most of 1,000 answers are its own then.
const PER_MILLE: std::ops::RangeInclusive<u64> = 5..=140;

pub(super) fn drained(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    stage.agent.ctl(&["backend", "drain", "web/origin2"])?;
    stage.calm()?;
    Ok(Settled::Taken { by: &[], not: &["origin2"] })
}

pub(super) fn weighed(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    let before = stage.elapsed();
    stage.agent.ctl(&["backend", "weight", "web/origin2", LIGHT])?;
    let after = stage.elapsed();
    stage.calm()?;
    stage.calm()?;
    let timeline = stage.timeline();
    let answers = timeline.answers_since(after);
    let (own, all) = (answers.get("origin2").unwrap_or(&0), answers.values().sum::<u64>());
    if !PER_MILLE.contains(&(own * 1000 / all.max(1))) {
        stage.note(format!("weight {LIGHT} of 210 gave {own} of {all} answers"));
    }
    Ok(Settled::In(after.saturating_sub(before)))
}

/// The second backend comes and goes, and the first is weighed anew. The slowest reload counts.
pub(super) fn reloaded(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    let mut longest = Duration::ZERO;
    for reload in 0..RELOADS {
        let weights = [WEIGHT + reload, if reload % 2 == 0 { 0 } else { WEIGHT }, WEIGHT];
        stage.agent.files.write_configuration(&super::catalogue::checked_text(&web(weights)))?;
        let before = stage.agent.generation()?;
        let begun = stage.elapsed();
        stage.agent.reload()?;
        wait_until("the reload", LIMIT, || Ok((stage.agent.generation()? > before).then_some(())))
            .with_context(|| format!("reload {reload}"))?;
        longest = longest.max(stage.elapsed().saturating_sub(begun));
        if reload == RELOADS / 2 {
            stage.open_connections()?;
        }
    }
    stage.mended();
    Ok(Settled::In(longest))
}
