//! A plan before a change: what moves is said, too much is refused, and what was can be had again.

use std::fs;

use anyhow::{Context, Result, ensure};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{Agent, Topology, VIP_V4, on_topology, port_80};
use serde_json::Value;

const EQUAL: [u32; 3] = [WEIGHT; 3];
const CONFLICT: i32 = 6;
const DIFFERENT: i32 = 10;

/// Writes a configuration beside the agent's own; its path.
fn file(topology: &Topology, text: &str) -> Result<String> {
    let file = topology.dir().join("next.yaml");
    fs::write(&file, text)?;
    Ok(file.display().to_string())
}

/// Whom the three backends' weights are in force as.
fn weights(agent: &Agent) -> Result<Vec<Value>> {
    let names = ["web/origin1", "web/origin2", "web/origin3"];
    let weight = |name| {
        let backend = agent.backend(name)?;
        backend.get("weight_effective").cloned().context("no weight")
    };
    names.into_iter().map(weight).collect()
}

#[test]
fn a_plan_says_what_share_of_the_hash_space_moves_and_refuses_too_much() -> Result<()> {
    on_topology("plan-moves", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        let one_goes = file(topology, &web([WEIGHT, WEIGHT, 0]))?;
        let plan = agent.files.ctl(&["config", "diff", &one_goes])?.with_code(DIFFERENT)?;
        let said = "of pool web moves; flows of before stay where they are";
        ensure!(plan.stdout.contains(said), "{plan:?}");

        let two_go = file(topology, &web([0, 0, WEIGHT]))?;
        let generation = agent.generation()?;
        let refused = agent.files.ctl(&["config", "apply", "--yes", &two_go])?;
        let refused = refused.with_code(CONFLICT)?;
        ensure!(refused.stderr.contains("hash space of pool web would move"), "{refused:?}");
        ensure!(agent.generation()? == generation, "it was applied");
        topology.expect_answers(port_80(VIP_V4), 50)?;

        agent.ctl(&["config", "apply", "--yes", "--max-moved", "70", &two_go])?;
        ensure!(weights(&agent)? == [0, 0, WEIGHT], "{:?}", weights(&agent));

        // The same backends under another name of the pool: no flow would find them again.
        let renamed = web([0, 0, WEIGHT]).replace("pool: web", "pool: shop");
        let renamed = file(topology, &renamed.replacen("- name: web\n", "- name: shop\n", 1))?;
        let refused = agent.files.ctl(&["config", "apply", "--yes", &renamed])?;
        let refused = refused.with_code(CONFLICT)?;
        ensure!(refused.stderr.contains("would move, since service web"), "{refused:?}");
        Ok(())
    })
}

#[test]
fn a_state_that_was_lost_leaves_the_history_in_order() -> Result<()> {
    on_topology("lost-state", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        for weight in [50, 60] {
            let next = file(topology, &web([WEIGHT, WEIGHT, weight]))?;
            agent.ctl(&["config", "apply", "--yes", &next])?;
        }
        let generation = agent.generation()?;
        agent.stop()?;
        // As the agent's own advice has it for one that is damaged; and a version is spoilt too.
        fs::remove_file(agent.files.state_dir.join("state.json"))?;
        fs::write(agent.files.state_dir.join("history/1.json"), "{")?;

        let agent = topology.start_agent_with(agent.files.clone())?;
        ensure!(agent.generation()? > generation, "generations begin anew");
        let next = file(topology, &web([WEIGHT, WEIGHT, 70]))?;
        agent.ctl(&["config", "apply", "--yes", &next])?;
        let history = agent.files.ctl_json(&["config", "history"])?;
        ensure!(history.pointer("/items/0/running") == Some(&true.into()), "{history}");
        agent.ctl(&["config", "rollback", "--yes"])?;
        ensure!(weights(&agent)? == [WEIGHT, WEIGHT, 60], "{:?}", weights(&agent));
        Ok(())
    })
}

#[test]
fn a_configuration_of_before_is_listed_and_put_in_force_again() -> Result<()> {
    on_topology("rollback", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        let next = file(topology, &web([WEIGHT, WEIGHT, 50]))?;
        agent.ctl(&["config", "apply", "--yes", &next])?;
        // A weight by command is a generation of its own, and stays.
        agent.ctl(&["backend", "weight", "web/origin1", "90"])?;
        agent.stop()?;
        let agent = topology.start_agent_with(agent.files.clone())?;

        let listed = agent.ctl(&["config", "history"])?.stdout;
        ensure!(listed.lines().count() == 3 && listed.contains("start"), "{listed}");
        agent.ctl(&["config", "rollback", "--yes"])?;
        ensure!(weights(&agent)? == [90, WEIGHT, WEIGHT], "{:?}", weights(&agent));
        let file = fs::read_to_string(&agent.files.configuration)?;
        ensure!(file == web(EQUAL), "the agent's own file is another: {file}");
        agent.ctl(&["config", "rollback", "--yes"])?;
        ensure!(weights(&agent)? == [90, WEIGHT, 50], "{:?}", weights(&agent));
        Ok(())
    })
}

#[test]
fn a_backup_brings_configuration_weights_and_drains_back() -> Result<()> {
    on_topology("backup", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        agent.ctl(&["backend", "weight", "web/origin1", "90"])?;
        agent.ctl(&["backend", "drain", "web/origin2"])?;
        let backup = topology.dir().join("backup.json");
        fs::write(&backup, agent.ctl(&["state", "export"])?.stdout)?;

        agent.ctl(&["backend", "undrain", "web/origin2"])?;
        let next = file(topology, &web([WEIGHT, WEIGHT, 50]))?;
        agent.ctl(&["config", "apply", "--yes", &next])?;
        ensure!(weights(&agent)? == [90, WEIGHT, 50], "{:?}", weights(&agent));

        agent.ctl(&["state", "import", "--yes", &backup.display().to_string()])?;
        ensure!(weights(&agent)? == [90, 0, WEIGHT], "{:?}", weights(&agent));
        let file = fs::read_to_string(&agent.files.configuration)?;
        ensure!(file == web(EQUAL), "the agent's own file is another: {file}");
        Ok(())
    })
}
