//! A change that is refused has changed nothing; a start that fails leaves nothing behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use lb_common::abi::{QuicKey, map};
use lb_tests::http::load::Load;
use lb_tests::process::{Process, run, wait_until};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{
    Agent, AgentFiles, COMMAND_LIMIT, Topology, VIP_V4, binary, on_topology, port_80,
};
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(20);
const EQUAL: [u32; 3] = [WEIGHT; 3];

/// Everything that a refused change must leave alone.
#[derive(PartialEq, Debug)]
struct Everything {
    programs: Vec<Option<u64>>,
    links: Vec<String>,
    file: String,
    state: String,
    weight: serde_json::Value,
    generation: u64,
}

fn everything(topology: &Topology, agent: &Agent, interfaces: &[&str]) -> Result<Everything> {
    let programs = interfaces.iter().map(|name| topology.balancer.xdp_program_id(name));
    Ok(Everything {
        programs: programs.collect::<Result<_>>()?,
        links: topology.balancer.list(&agent.files.links())?,
        file: fs::read_to_string(&agent.files.configuration)?,
        state: fs::read_to_string(agent.files.state_dir.join("state.json"))?,
        weight: agent.backend("web/origin1")?,
        generation: agent.generation()?,
    })
}

/// The configuration with other weights and more interfaces.
fn with_interfaces(weights: [u32; 3], more: &[&str]) -> String {
    let eth0 = "  - { name: eth0, mode: native }\n";
    let entries = more.iter().map(|entry| format!("  - {{ {entry} }}\n"));
    let all: Vec<String> = [eth0.to_owned()].into_iter().chain(entries).collect();
    web(weights).replace(eth0, &all.concat())
}

/// Writes `text` beside the agent's files and applies it with `arguments`.
fn apply(topology: &Topology, files: &AgentFiles, text: &str, code: i32) -> Result<String> {
    let file = topology.dir().join("new.yaml");
    fs::write(&file, text)?;
    let file = file.display().to_string();
    Ok(files
        .ctl(&["config", "apply", "--yes", "--max-moved", "100", &file])?
        .with_code(code)?
        .stderr)
}

#[test]
fn an_interface_that_is_refused_refuses_the_whole_change() -> Result<()> {
    on_topology("refused-interface", |topology| {
        topology.balancer.ip("link add spare0 type veth peer name spare1\n")?;
        let agent = topology.start_agent(&web(EQUAL))?;
        let before = everything(topology, &agent, &["eth0", "spare0", "lo"])?;
        // The driver of lo cannot: it comes last, when spare0 has been attached.
        let refused = with_interfaces(
            [0, 0, WEIGHT],
            &["name: spare0, mode: auto", "name: lo, mode: native"],
        );

        let said = apply(topology, &agent.files, &refused, 1)?;

        ensure!(said.contains("driver of lo"), "{said}");
        let after = everything(topology, &agent, &["eth0", "spare0", "lo"])?;
        ensure!(before == after, "{before:#?}, then {after:#?}");
        agent.files.write_configuration(&refused)?;
        agent.reload()?;
        wait_until("the refusal", LIMIT, || {
            Ok(agent.status()?.to_string().contains("the last reload was refused").then_some(()))
        })?;
        ensure!(agent.backend("web/origin1")? == before.weight, "the reload is in force");
        topology.expect_answers(port_80(VIP_V4), 50).map(drop)
    })
}

#[test]
fn a_mode_that_is_refused_leaves_the_interface_attached_in_the_old_one() -> Result<()> {
    on_topology("refused-mode", |topology| {
        let generic = with_interfaces(EQUAL, &["name: lo, mode: generic"]);
        let mut agent = topology.start_agent(&generic)?;
        let before = everything(topology, &agent, &["eth0", "lo"])?;
        let native = with_interfaces(EQUAL, &["name: lo, mode: native"]);

        apply(topology, &agent.files, &native, 1)?;
        let after = everything(topology, &agent, &["eth0", "lo"])?;
        ensure!(before == after, "{before:#?}, then {after:#?}");

        agent.stop()?;
        agent.files.write_configuration(&native)?;
        let mut command = topology.balancer.command(binary("lb-agent")?);
        agent.files.run_arguments(&mut command);
        run(command, COMMAND_LIMIT)?.with_code(1)?;
        let programs = ["eth0", "lo"].map(|name| topology.balancer.xdp_program_id(name));
        let [eth0, lo] = programs;
        ensure!(eth0? == before.programs[0], "the program of eth0 was replaced");
        ensure!(lo?.is_some(), "lo is no longer attached");
        let links = topology.balancer.list(&agent.files.links())?;
        ensure!(links == before.links, "{links:?}");
        topology.expect_answers(port_80(VIP_V4), 50).map(drop)
    })
}

#[test]
fn a_change_that_cannot_be_stored_is_refused_as_a_whole() -> Result<()> {
    on_topology("not-stored", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        let before = everything(topology, &agent, &["eth0"])?;
        let same = |what: &str| -> Result<()> {
            let after = everything(topology, &agent, &["eth0"])?;
            ensure!(before == after, "{what}: {before:#?}, then {after:#?}");
            Ok(())
        };
        // What is written first has this name, so a directory of that name is as a full disk.
        let block = agent.files.state_dir.join("state.json.new");
        fs::create_dir(&block)?;
        apply(topology, &agent.files, &web([0, 0, WEIGHT]), 1)?;
        same("apply without state")?;
        agent.files.ctl(&["backend", "weight", "web/origin1", "7"])?.with_code(1)?;
        same("weight without state")?;
        fs::remove_dir(&block)?;
        let block = agent.files.configuration.with_extension("yaml.new");
        fs::create_dir(&block)?;
        apply(topology, &agent.files, &web([0, 0, WEIGHT]), 1)?;
        same("apply without file")?;
        fs::remove_dir(&block)?;
        apply(topology, &agent.files, &web([0, 0, WEIGHT]), 0)?;
        ensure!(agent.generation()? == before.generation + 1, "the change was not made");
        Ok(())
    })
}

#[test]
fn diff_refuses_what_apply_refuses() -> Result<()> {
    on_topology("diff-refuses", |topology| {
        let agent = topology.start_agent(&web(EQUAL))?;
        let file = topology.dir().join("new.yaml");
        let path = file.display().to_string();
        for (text, words) in [
            (with_interfaces(EQUAL, &["name: eth7"]), "there is no interface eth7"),
            (format!("limits: {{ pools: 77 }}\n{}", web(EQUAL)), "limits cannot change"),
        ] {
            fs::write(&file, text)?;
            let applied = agent.files.ctl(&["config", "apply", "--yes", &path])?;
            let differed = agent.files.ctl(&["config", "diff", &path])?;
            ensure!(applied.code == differed.code, "{applied:?}, {differed:?}");
            ensure!(differed.stderr.contains(words), "{differed:?}");
        }
        Ok(())
    })
}

#[test]
fn a_file_behind_a_symbolic_link_is_replaced_and_the_link_stays() -> Result<()> {
    on_topology("symlink", |topology| {
        let files = topology.agent_files("agent");
        let real = topology.dir().join("real.yaml");
        fs::write(&real, web(EQUAL))?;
        symlink(&real, &files.configuration)?;
        let agent = topology.start_agent_with(files)?;

        apply(topology, &agent.files, &web([0, 0, WEIGHT]), 0)?;

        ensure!(fs::read_to_string(&real)? == web([0, 0, WEIGHT]), "the file is the old one");
        ensure!(agent.files.configuration.symlink_metadata()?.is_symlink(), "the link has gone");
        Ok(())
    })
}

#[test]
fn the_generation_tells_that_the_file_changed_while_no_agent_ran() -> Result<()> {
    on_topology("generation", |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        let first = agent.generation()?;
        agent.stop()?;
        let mut agent = topology.start_agent_with(agent.files.clone())?;
        ensure!(agent.generation()? == first, "the same file gave another generation");
        agent.stop()?;
        agent.files.write_configuration(&web([0, 0, WEIGHT]))?;
        let mut agent = topology.start_agent_with(agent.files.clone())?;
        ensure!(agent.generation()? == first + 1, "another file gave the same generation");
        agent.stop()?;
        let agent = topology.start_agent_with(agent.files.clone())?;
        ensure!(agent.generation()? == first + 1, "the new generation was not stored");
        Ok(())
    })
}

#[test]
fn a_start_that_fails_leaves_nothing_behind() -> Result<()> {
    on_topology("failed-start", |topology| {
        let files = topology.agent_files("agent");
        // eth0 can be attached, lo cannot.
        files.write_configuration(&with_interfaces(EQUAL, &["name: lo, mode: native"]))?;
        let mut command = topology.balancer.command(binary("lb-agent")?);
        files.run_arguments(&mut command);

        run(command, COMMAND_LIMIT)?.with_code(1)?;

        let pins = topology.balancer.list(&files.pin_dir)?;
        ensure!(pins.is_empty(), "pins are left: {pins:?}");
        ensure!(topology.balancer.xdp_program_id("eth0")?.is_none(), "eth0 is attached");
        ensure!(!files.socket.exists(), "the socket is left");
        Ok(())
    })
}

#[test]
fn a_signal_during_the_start_ends_the_agent_in_order() -> Result<()> {
    on_topology("early-signal", |topology| {
        let files = topology.agent_files("agent");
        // Reading its file, the agent waits for somebody to write to it.
        nix::unistd::mkfifo(&files.configuration, nix::sys::stat::Mode::S_IRUSR)?;
        let mut command = topology.balancer.command(binary("lb-agent")?);
        files.run_arguments(&mut command);
        let mut process = Process::spawn(command, "agent", topology.dir())?;
        let status = format!("/proc/{}/status", process.pid());
        wait_until("a handler of SIGTERM", LIMIT, || {
            process.expect_running()?;
            Ok(catches(&fs::read_to_string(&status)?, Signal::SIGTERM)?.then_some(()))
        })?;
        process.signal(Signal::SIGTERM)?;
        fs::write(&files.configuration, web(EQUAL))?;
        let ended = process.wait(LIMIT)?;
        ensure!(ended.success(), "{ended}: {}", process.output());
        Ok(())
    })
}

/// Whether the status of a process lists a signal as caught.
fn catches(status: &str, signal: Signal) -> Result<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = u64::from_str_radix(mask.context("no SigCgt")?.trim(), 16)?;
    Ok(mask >> (signal as i32 - 1) & 1 == 1)
}

/// Key and value as the agent writes them.
type QuicServers = HashMap<MapData, [u64; size_of::<QuicKey>() / size_of::<u64>()], u64>;

fn quic_servers(topology: &Topology, files: &AgentFiles) -> Result<QuicServers> {
    let path = files.maps().join(map::QUIC_SERVERS);
    let map = topology.balancer.enter(|| MapData::from_pin(&path))?;
    Ok(Map::HashMap(map.context("opening the pinned map")?).try_into()?)
}

#[test]
fn a_write_that_the_kernel_refuses_half_way_is_undone_by_the_agent_and_harms_nobody() -> Result<()>
{
    const BACKENDS: u64 = 8;
    let limited = |text: &str| {
        text.replacen("pools:\n", &format!("limits: {{ backends: {BACKENDS} }}\npools:\n"), 1)
    };
    on_topology("refused-write", |topology| {
        let agent = topology.start_agent(&limited(&web(EQUAL)))?;
        let generation = agent.generation()?;
        // The map is full, with what nobody has a use for.
        let mut servers = quic_servers(topology, &agent.files)?;
        for junk in 1..=BACKENDS {
            servers.insert([junk; _], 1, 0)?;
        }
        let load = Load::start(&topology.client, &[port_80(VIP_V4)], Duration::from_millis(1));
        let with_ids = [1, 2, 3].into_iter().fold(
            limited(&web([200, WEIGHT, WEIGHT])).replacen(
                "name: web\n",
                "name: web\n    quic: [{ config_id: 0, server_id_bytes: 4 }]\n",
                1,
            ),
            |text, number| {
                let name = format!("name: origin{number},");
                text.replacen(&name, &format!("{name} quic_server_id: 0a00000{number},"), 1)
            },
        );
        // Backends and tables come before connection ids, so half of the change has been written.
        let said = apply(topology, &agent.files, &with_ids, 1)?;
        ensure!(said.contains("cannot write map QUIC_SERVERS"), "{said}");
        ensure!(agent.generation()? == generation, "a change that failed is in force");
        wait_until("the maps to be as before the change", LIMIT, || {
            Ok((servers.keys().count() == 0).then_some(()))
        })?;
        let weight = agent.backend("web/origin1")?;
        ensure!(weight.get("weight_effective") == Some(&WEIGHT.into()), "{weight}");

        apply(topology, &agent.files, &with_ids, 0)?;
        ensure!(servers.keys().count() == 3, "{:?}", servers.keys().collect::<Vec<_>>());
        let weight = agent.backend("web/origin1")?;
        ensure!(weight.get("weight_effective") == Some(&200.into()), "{weight}");
        let tally = load.stop()?;
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        Ok(())
    })
}
