//! Changes under load: by configuration, by command, by signal, with and without an agent.

use std::thread;

use anyhow::{Context, Result, ensure};
use lb_tests::process::wait_until;
use lb_tests::topology::{Agent, Topology, on_topology};

use crate::traffic::{Outcome, Traffic};
use crate::{LIMIT, LONG, apply, configuration, only};

/// Reloads in a row.
const RELOADS: usize = 100;
/// How often a backend comes and goes at once.
const VISITS: u64 = 4;
/// Kills of the agent while it changes something.
const KILLS: u64 = 6;

/// Adds, weighs, drains, and removes backends under traffic that grows with every step.
fn change_everything(topology: &Topology, flow_idle_timeout: &str) -> Result<Outcome> {
    let agent = topology.start_agent(&configuration(&only(&[1, 2]), flow_idle_timeout))?;
    let mut traffic = Traffic::start(topology)?;
    let configure = |numbers: &[usize]| {
        apply(topology, &agent, &configuration(&only(numbers), flow_idle_timeout))
    };

    configure(&[1, 2, 3]).context("adding origin3")?;
    let tally = traffic.look()?;
    ensure!(tally.of("origin3") > 0, "no new connection reached the added origin3: {tally}");
    traffic.begin_more()?;

    agent.ctl(&["backend", "weight", "web/origin1", "20"])?;
    traffic.look()?;
    traffic.begin_more()?;

    agent.ctl(&["backend", "drain", "web/origin2"])?;
    let tally = traffic.look()?;
    ensure!(tally.of("origin2") == 0, "new connections reached the drained origin2: {tally}");
    traffic.begin_more()?;

    agent.ctl(&["backend", "undrain", "web/origin2"])?;
    let tally = traffic.look()?;
    ensure!(tally.of("origin2") > 0, "no new connection reached origin2 again: {tally}");
    traffic.begin_more()?;

    configure(&[2, 3]).context("removing origin1")?;
    let tally = traffic.look()?;
    ensure!(tally.of("origin1") == 0, "new connections reached the removed origin1: {tally}");
    traffic.begin_more()?;

    agent.ctl(&["backend", "weight", "web/origin2", "300"])?;
    traffic.look()?;
    traffic.stop()
}

#[test]
fn add_drain_undrain_remove_reweight_break_nothing() -> Result<()> {
    on_topology("changes", |topology| {
        let outcome = change_everything(topology, LONG)?;
        outcome.expect_no_harm()?;
        // The removed origin still has the flows that it took.
        for (kind, fates) in [
            ("connections", &outcome.connections),
            ("silent connections", &outcome.silent),
            ("UDP flows", &outcome.datagrams),
        ] {
            ensure!(fates.kept_by("origin1") > 0, "no {kind} were ever at origin1: {fates}");
        }
        Ok(())
    })
}

#[test]
fn without_transitions_the_same_test_fails() -> Result<()> {
    on_topology("no-transitions", |topology| {
        let Outcome { connections, silent, datagrams, .. } = change_everything(topology, "0s")?;
        for (kind, fates) in
            [("connections", connections), ("silent connections", silent), ("UDP", datagrams)]
        {
            ensure!(
                fates.harmed() > 0,
                "{kind}: nothing was harmed, the test sees nothing: {fates}"
            );
        }
        Ok(())
    })
}

#[test]
fn agent_kill_and_restart_in_transition_break_nothing() -> Result<()> {
    on_topology("kill-in-transition", |topology| {
        let mut agent = topology.start_agent(&configuration(&only(&[1, 2, 3]), LONG))?;
        let mut traffic = Traffic::start(topology)?;
        agent.ctl(&["backend", "drain", "web/origin2"])?;
        traffic.begin_more()?;
        agent.process.kill_now()?;
        let tally = traffic.look()?;
        ensure!(tally.of("origin2") == 0, "without its agent, origin2 is not drained: {tally}");
        traffic.begin_more()?;

        agent = adopt(topology, &agent)?;
        let tally = traffic.look()?;
        ensure!(tally.of("origin2") == 0, "the next agent forgot the drain: {tally}");
        traffic.begin_more()?;
        agent.ctl(&["backend", "undrain", "web/origin2"])?;
        traffic.look()?;
        traffic.begin_more()?;

        for kill in 0..KILLS {
            agent = kill_while_it_works(topology, &traffic, agent, kill)?;
        }
        traffic.look()?;
        ensure!(traffic.connections().kept_by("origin2") > 0, "nothing was ever at origin2");
        traffic.stop()?.expect_no_harm()
    })
}

/// The next agent on the files of one that is dead.
fn adopt(topology: &Topology, dead: &Agent) -> Result<Agent> {
    let next = topology.start_agent_with(dead.files.clone())?;
    ensure!(next.status()?.get("adopted") == Some(&true.into()), "the pins were not adopted");
    Ok(next)
}

/// Kills the agent at another moment of a change each time, and starts the next.
fn kill_while_it_works(
    topology: &Topology,
    traffic: &Traffic,
    mut agent: Agent,
    kill: u64,
) -> Result<Agent> {
    let files = agent.files.clone();
    let weight = (100 + 150 * (kill + 1)).to_string();
    thread::scope(|scope| {
        // It may or may not hear that it succeeded.
        scope.spawn(move || files.ctl(&["backend", "weight", "web/origin1", &weight]));
        traffic.wait_requests(2 * kill)?;
        agent.process.kill_now()
    })?;
    traffic.rounds()?;
    adopt(topology, &agent)
}

/// A sweep comes once a second: what it counted last may know nothing of a backend's flows.
#[test]
fn a_backend_that_comes_and_goes_between_two_sweeps_keeps_its_flows() -> Result<()> {
    on_topology("between-sweeps", |topology| {
        let [without, with] =
            [&[1, 2][..], &[1, 2, 3]].map(|numbers| configuration(&only(numbers), LONG));
        let agent = topology.start_agent(&without)?;
        let mut traffic = Traffic::start(topology)?;
        for visit in 0..VISITS {
            apply(topology, &agent, &with)?;
            traffic.begin_more()?;
            apply(topology, &agent, &without)?;
            let weight = (50 * (visit + 1)).to_string();
            agent.ctl(&["backend", "weight", "web/origin1", &weight])?;
        }
        traffic.look()?;
        let outcome = traffic.stop()?;
        outcome.expect_no_harm()?;
        ensure!(outcome.connections.kept_by("origin3") > 0, "nothing was ever at origin3");
        Ok(())
    })
}

#[test]
fn reload_a_hundred_times_breaks_nothing() -> Result<()> {
    on_topology("reloads", |topology| {
        let configurations =
            [&[1, 2, 3][..], &[1, 3], &[2, 3]].map(|numbers| configuration(&only(numbers), LONG));
        let agent = topology.start_agent(&configurations[0])?;
        let mut traffic = Traffic::start(topology)?;
        for reload in 1..=RELOADS {
            let before = agent.generation()?;
            agent.files.write_configuration(&configurations[reload % configurations.len()])?;
            agent.reload()?;
            wait_until("the reload", LIMIT, || Ok((agent.generation()? > before).then_some(())))
                .with_context(|| format!("reload {reload}"))?;
            if reload % 20 == 0 {
                traffic.begin_more()?;
            }
        }
        traffic.look()?;
        traffic.stop()?.expect_no_harm()
    })
}
