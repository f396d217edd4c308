//! Drills in which the agent goes and the next one comes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::catalogue::checked;
use super::large::{self, Maps};
use super::{LIMIT, Settled, Stage};
use crate::process::wait_until;
use crate::topology::binary;

/// Kills, each while the configuration grows or shrinks: so many, and more until enough of them have
/// cut a plan off, which is a matter of milliseconds.
const KILLS: usize = 6;
const KILLS_MAX: usize = 40;
const CUT_OFF: usize = 2;
/// All may read and run it.
const EXECUTABLE: u32 = 0o755;

/// Kill -9 in the middle of plans. Each next agent must come to the configuration that the last was
/// applying: it was on the disk before the maps were touched. The slowest start counts.
pub(super) fn killed_in_plans(stage: &mut Stage<'_>) -> Result<Settled> {
    let small = checked();
    let texts = [large::with_pools(&small), small];
    let pools = [large::POOLS + 1, 1];
    let maps = Maps::open(stage.topology, &stage.agent)?;
    let (mut cut_off, mut longest) = (0, Duration::ZERO);
    stage.harm();
    for kill in 0..KILLS_MAX {
        if kill >= KILLS && cut_off >= CUT_OFF {
            break;
        }
        let grows = kill % 2 == 0;
        let number = usize::from(!grows);
        let (Some(text), Some(wanted)) = (texts.get(number), pools.get(number)) else { continue };
        stage.agent.files.write_configuration(text)?;
        let before = maps.pools()?;
        stage.agent.reload()?;
        wait_until_it_writes(&maps, before, kill % 4 == 0)?;
        stage.agent.process.kill_now()?;
        let left = maps.pools()?;
        cut_off += usize::from(left != *wanted);
        let begun = stage.elapsed();
        stage.next_agent()?;
        expect_configuration(stage)?;
        longest = longest.max(stage.elapsed().saturating_sub(begun));
        let pools = maps.pools()?;
        ensure!(pools == *wanted, "{left} pools after the kill, {pools} with the next agent");
    }
    stage.mended();
    ensure!(cut_off >= CUT_OFF, "of {KILLS_MAX} kills {cut_off} came in the middle of a plan");
    Ok(Settled::In(longest))
}

/// What a crash may not do: the program goes with the agent.
pub(super) fn killed_and_detached(stage: &mut Stage<'_>) -> Result<Settled> {
    stage.harm();
    let begun = stage.elapsed();
    stage.agent.process.kill_now()?;
    stage.agent.detach()?;
    stage.agent = stage.topology.start_agent_with(stage.agent.files.clone())?;
    Ok(Settled::In(stage.elapsed().saturating_sub(begun)))
}

/// Looks all the time, without a pause: a plan takes milliseconds.
fn wait_until_it_writes(maps: &Maps, before: u32, by_backends: bool) -> Result<()> {
    wait_until("the plan to begin", LIMIT, || {
        for _ in 0..500 {
            let begun = if by_backends { maps.has_backends()? } else { maps.pools()? != before };
            if begun {
                return Ok(Some(()));
            }
            thread::yield_now();
        }
        Ok(None)
    })
}

/// The running configuration is that of the file.
fn expect_configuration(stage: &Stage<'_>) -> Result<()> {
    let file = stage.agent.files.configuration.display().to_string();
    // 0: nothing differs.
    stage.agent.ctl(&["config", "diff", &file]).context("the file is not what runs")?;
    Ok(())
}

/// The agent is stopped as by a service manager, and another program file takes its place.
pub(super) fn upgraded(stage: &mut Stage<'_>) -> Result<Settled> {
    let program = stage.topology.dir().join("lb-agent-next");
    fs::copy(binary("lb-agent")?, &program).context("copying the agent's program")?;
    fs::set_permissions(&program, fs::Permissions::from_mode(EXECUTABLE))
        .context("making the copy executable")?;
    let loaded =
        stage.topology.balancer.xdp_program_id("eth0")?.context("no program is attached")?;
    stage.harm();
    let begun = stage.elapsed();
    stage.agent.stop()?;
    stage.open_connections()?;
    stage.agent.files.program = Some(program.clone());
    stage.next_agent()?;
    expect_configuration(stage)?;
    let took = stage.elapsed().saturating_sub(begun);
    stage.mended();
    let exchanged = stage.topology.balancer.xdp_program_id("eth0")?;
    ensure!(exchanged.is_some_and(|id| id != loaded), "program {loaded}, then {exchanged:?}");
    let running = fs::read_link(format!("/proc/{}/exe", stage.agent.process.pid()))
        .context("asking what runs")?;
    ensure!(running == program, "{} runs", running.display());
    Ok(Settled::In(took))
}
