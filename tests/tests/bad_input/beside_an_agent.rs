//! Bad input beside an agent that runs: it is refused, and the agent goes on as it was.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lb_tests::process::run;
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{
    Agent, AgentFiles, COMMAND_LIMIT, Topology, VIP_V4, VIP_V6, binary, on_topology, port_80,
};
use serde_json::Value;

use super::{CONFLICT, NOT_FOUND, PERMISSION, USAGE, layout, refused, run_agent};

const EQUAL: [u32; 3] = [WEIGHT; 3];

/// Runs `bad` beside an agent and fails if anything has changed afterwards.
fn changes_nothing(name: &str, bad: impl FnOnce(&Topology, &Agent) -> Result<()>) -> Result<()> {
    on_topology(name, |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        let before = running_state(topology, &agent)?;
        bad(topology, &agent)?;
        agent.process.expect_running()?;
        let after = running_state(topology, &agent)?;
        ensure!(before == after, "the running state changed: {before:#?}, then {after:#?}");
        for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
            topology.expect_answers(vip, 50)?;
        }
        Ok(())
    })
}

/// What must stay as it is when something bad is refused.
#[derive(PartialEq, Debug)]
struct RunningState {
    program: Option<u64>,
    generation: u64,
    weights: Vec<Value>,
    pins: Vec<String>,
    /// Text of the configuration file.
    configuration: String,
    /// Text of the stored state.
    state: String,
}

fn running_state(topology: &Topology, agent: &Agent) -> Result<RunningState> {
    let list = agent.files.ctl_json(&["backend", "list"])?;
    let items = list.get("items").and_then(Value::as_array).context("no backends")?;
    let pin_dir = &agent.files.pin_dir;
    let mut pins = topology.balancer.list(pin_dir)?;
    for part in ["links", "maps"] {
        pins.extend(topology.balancer.list(&pin_dir.join(layout()).join(part))?);
    }
    Ok(RunningState {
        program: topology.balancer.xdp_program_id("eth0")?,
        generation: agent.generation()?,
        weights: items.iter().filter_map(|item| item.get("weight_effective").cloned()).collect(),
        pins,
        configuration: read(&agent.files.configuration)?,
        state: read(&agent.files.state_dir.join("state.json"))?,
    })
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[test]
fn weight_out_of_range_by_lb_ctl() -> Result<()> {
    changes_nothing("ctl-weight", |_, agent| {
        let finished = agent.files.ctl(&["backend", "weight", "web/origin1", "1001"])?;
        refused(finished, USAGE, &["1001", "1000"])
    })
}

#[test]
fn unknown_backend_by_lb_ctl_with_the_nearest_known_one() -> Result<()> {
    changes_nothing("ctl-unknown", |_, agent| {
        let finished = agent.files.ctl(&["backend", "drain", "web/orgin1"])?;
        refused(finished, NOT_FOUND, &["orgin1", "did you mean", "web/origin1"])
    })
}

#[test]
fn broken_configuration_by_lb_ctl() -> Result<()> {
    changes_nothing("ctl-apply", |topology, agent| {
        let file = topology.dir().join("new.yaml");
        std::fs::write(&file, web([WEIGHT, 1001, WEIGHT]))?;
        let file = file.display().to_string();
        let finished = agent.files.ctl(&["config", "apply", "--yes", &file])?;
        refused(finished, super::INVALID_CONFIG, &["new.yaml:10:", "1001 is not in 0..=1000"])
    })
}

#[test]
fn stale_generation_by_lb_ctl() -> Result<()> {
    changes_nothing("ctl-stale", |topology, agent| {
        let file = topology.dir().join("new.yaml");
        std::fs::write(&file, web([WEIGHT, 50, WEIGHT]))?;
        let file = file.display().to_string();
        let stale = (agent.generation()? + 7).to_string();
        let arguments = ["config", "apply", "--yes", "--expect-generation", &stale, &file];
        refused(agent.files.ctl(&arguments)?, CONFLICT, &["generation", &stale])
    })
}

#[test]
fn lb_ctl_by_a_user_who_may_not() -> Result<()> {
    changes_nothing("ctl-nobody", |topology, agent| {
        // The socket alone decides: the way to it is open.
        open_to_all(topology.dir())?;
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
        command.arg(binary("lb-ctl")?).arg("-s").arg(&agent.files.socket);
        command.args(["backend", "drain", "web/origin1"]);
        refused(run(command, COMMAND_LIMIT)?, PERMISSION, &["agent.sock", "cure"])
    })
}

fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).context("chmod")
}

#[test]
fn second_agent_on_the_same_interface() -> Result<()> {
    changes_nothing("second-interface", |topology, _| {
        let files = topology.agent_files("second");
        files.write_configuration(&web([0, 0, WEIGHT]))?;
        refused(run_agent(&topology.balancer, &files)?, CONFLICT, &["eth0"])?;
        let pins = topology.balancer.list(&files.pin_dir)?;
        ensure!(pins.is_empty(), "the refused agent left pins: {pins:?}");
        Ok(())
    })
}

#[test]
fn second_agent_on_the_same_pins() -> Result<()> {
    changes_nothing("second-pins", |topology, agent| {
        let mut files = topology.agent_files("second");
        files.pin_dir.clone_from(&agent.files.pin_dir);
        files.write_configuration(&web([0, 0, WEIGHT]))?;
        let pins = files.pin_dir.display().to_string();
        refused(run_agent(&topology.balancer, &files)?, CONFLICT, &["another agent", &pins])
    })
}

#[test]
fn second_agent_on_the_same_socket() -> Result<()> {
    changes_nothing("second-socket", |topology, agent| {
        topology.balancer.ip("link add spare0 type veth peer name spare1\n")?;
        let mut files = topology.agent_files("second");
        files.socket.clone_from(&agent.files.socket);
        files.write_configuration(&web([0, 0, WEIGHT]).replace("eth0", "spare0"))?;
        let words = ["another agent is listening", "--socket"];
        refused(run_agent(&topology.balancer, &files)?, CONFLICT, &words)?;
        nothing_is_left(topology, &files, "spare0")
    })
}

#[test]
fn second_agent_on_the_same_state() -> Result<()> {
    changes_nothing("second-state", |topology, agent| {
        topology.balancer.ip("link add spare0 type veth peer name spare1\n")?;
        let mut files = topology.agent_files("second");
        files.state_dir.clone_from(&agent.files.state_dir);
        files.write_configuration(&web([0, 0, WEIGHT]).replace("eth0", "spare0"))?;
        let words = ["another agent keeps its state", "--pin-dir, --socket and --state-dir"];
        refused(run_agent(&topology.balancer, &files)?, CONFLICT, &words)?;
        nothing_is_left(topology, &files, "spare0")
    })
}

fn nothing_is_left(topology: &Topology, files: &AgentFiles, interface: &str) -> Result<()> {
    let program = topology.balancer.xdp_program_id(interface)?;
    ensure!(program.is_none(), "the refused agent attached program {program:?}");
    let pins = topology.balancer.list(&files.pin_dir)?;
    ensure!(pins.is_empty(), "the refused agent left pins: {pins:?}");
    Ok(())
}

#[test]
fn detach_while_the_agent_runs() -> Result<()> {
    changes_nothing("detach-running", |topology, agent| {
        let mut command = topology.balancer.command(binary("lb-agent")?);
        command.arg("detach").arg("--pin-dir").arg(&agent.files.pin_dir);
        refused(run(command, COMMAND_LIMIT)?, CONFLICT, &["another agent"])
    })
}

/// Stops the agent, spoils its pins by `spoil`, and holds that the next one refuses with `words`
/// while the old program forwards on.
fn pins_are_refused(
    name: &str,
    configuration: &str,
    spoil: impl FnOnce(&Path) -> std::io::Result<()> + Send,
    words: &[&str],
) -> Result<()> {
    on_topology(name, |topology| {
        let mut agent = topology.start_agent(&web(EQUAL))?;
        agent.stop()?;
        let program = topology.balancer.xdp_program_id("eth0")?;
        let pin_dir = agent.files.pin_dir.clone();
        topology.balancer.enter(|| spoil(&pin_dir))?.context("spoiling the pins")?;
        agent.files.write_configuration(configuration)?;
        refused(run_agent(&topology.balancer, &agent.files)?, CONFLICT, words)?;
        ensure!(topology.balancer.xdp_program_id("eth0")? == program, "the program changed");
        for vip in [port_80(VIP_V4), port_80(VIP_V6)] {
            topology.expect_answers(vip, 50)?;
        }
        Ok(())
    })
}

#[test]
fn pinned_map_of_another_shape() -> Result<()> {
    let swap = |pins: &Path| {
        let maps = pins.join(layout()).join("maps");
        let [pools, backends, spare] = ["POOLS", "BACKENDS", "SPARE"].map(|name| maps.join(name));
        std::fs::rename(&pools, &spare)?;
        std::fs::rename(&backends, &pools)?;
        std::fs::rename(&spare, &backends)
    };
    let words = ["POOLS", "value size", "lb-agent detach"];
    pins_are_refused("map-shape", &web(EQUAL), swap, &words)
}

#[test]
fn limits_that_differ_from_those_of_the_pinned_maps() -> Result<()> {
    let configuration = format!("limits: {{ pools: 77 }}\n{}", web(EQUAL));
    let words = ["POOLS", "77", "limits", "lb-agent detach"];
    pins_are_refused("map-limits", &configuration, |_| Ok(()), &words)
}
