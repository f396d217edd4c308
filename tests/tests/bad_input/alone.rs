//! Bad input to an agent, or to `lb-ctl`, where no agent runs.

use anyhow::{Result, ensure};
use lb_tests::topology::configuration::{WEIGHT, backends, text_for_interface, web};
use lb_tests::topology::{ORIGINS_V4, Topology, VIP_V4, binary};

use super::{
    CONFLICT, FAILED, INVALID_CONFIG, PERMISSION, UNREACHABLE, layout, refused, run_agent,
    run_agent_through,
};

const EQUAL: [u32; 3] = [WEIGHT; 3];

/// The agent refuses `configuration` with `words`, and attaches and pins nothing.
fn configuration_is_refused(name: &str, configuration: &str, words: &[&str]) -> Result<()> {
    let topology = Topology::new(name)?;
    let files = topology.agent_files("agent");
    files.write_configuration(configuration)?;
    refused(run_agent(&topology.balancer, &files)?, INVALID_CONFIG, words)?;
    nothing_is_attached(&topology)
}

fn nothing_is_attached(topology: &Topology) -> Result<()> {
    let program = topology.balancer.xdp_program_id("eth0")?;
    ensure!(program.is_none(), "a refused agent attached program {program:?}");
    let pins = topology.balancer.list(&topology.agent_files("agent").pin_dir)?;
    ensure!(pins.is_empty(), "a refused agent left pins: {pins:?}");
    Ok(())
}

#[test]
fn missing_configuration_file() -> Result<()> {
    let topology = Topology::new("missing-file")?;
    let files = topology.agent_files("agent");
    let finished = run_agent(&topology.balancer, &files)?;
    refused(finished, FAILED, &["agent.yaml", "No such file"])?;
    nothing_is_attached(&topology)
}

#[test]
fn broken_yaml() -> Result<()> {
    let broken = web(EQUAL).replace("pools:\n", "pools: [\n");
    configuration_is_refused("broken-yaml", &broken, &["agent.yaml:"])
}

#[test]
fn empty_file() -> Result<()> {
    configuration_is_refused("empty-file", "", &["agent.yaml"])
}

#[test]
fn duplicate_key() -> Result<()> {
    let broken = format!("{}pools: []\n", web(EQUAL));
    configuration_is_refused("duplicate-key", &broken, &["agent.yaml:", "duplicate", "pools"])
}

#[test]
fn unknown_field_with_the_nearest_known_one() -> Result<()> {
    let broken = web(EQUAL).replace("weight: 100", "wieght: 100");
    configuration_is_refused("unknown-field", &broken, &["agent.yaml:9:", "wieght", "weight"])
}

#[test]
fn vip_that_is_no_address() -> Result<()> {
    let broken = web(EQUAL).replace("\"203.0.113.10\"", "edge.example");
    let words = ["agent.yaml:13:", "services[0].vip", "edge.example", "address"];
    configuration_is_refused("vip", &broken, &words)
}

#[test]
fn weight_out_of_range() -> Result<()> {
    let words = ["agent.yaml:10:", "pools[0].backends[1].weight: 1001 is not in 0..=1000"];
    configuration_is_refused("weight-1001", &web([WEIGHT, 1001, WEIGHT]), &words)
}

#[test]
fn unknown_pool_with_the_nearest_known_one() -> Result<()> {
    let broken = web(EQUAL).replace("ports: [80], pool: web", "ports: [80], pool: wbe");
    let words = ["services[0].pool", "services[1].pool", "wbe", "did you mean", "web"];
    configuration_is_refused("unknown-pool", &broken, &words)
}

#[test]
fn interface_that_does_not_exist() -> Result<()> {
    let topology = Topology::new("no-interface")?;
    let files = topology.agent_files("agent");
    let pool = backends(ORIGINS_V4, EQUAL);
    let services = [("web", VIP_V4.into(), "web")];
    files.write_configuration(&text_for_interface("eth7", &[("web", &pool)], &services))?;
    refused(run_agent(&topology.balancer, &files)?, INVALID_CONFIG, &["agent.yaml", "eth7"])?;
    nothing_is_attached(&topology)
}

#[test]
fn agent_without_privileges() -> Result<()> {
    let topology = Topology::new("no-privileges")?;
    let files = topology.agent_files("agent");
    files.write_configuration(&web(EQUAL))?;
    // Still uid 0, so that it can read its files, but without a single capability.
    let mut command = topology.balancer.command("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(binary("lb-agent")?);
    let finished = run_agent_through(command, &files)?;
    refused(finished, PERMISSION, &["CAP_BPF", "CAP_NET_ADMIN"])?;
    nothing_is_attached(&topology)
}

#[test]
fn pin_directory_that_is_not_on_a_bpf_file_system() -> Result<()> {
    let topology = Topology::new("no-bpffs")?;
    let mut files = topology.agent_files("agent");
    files.pin_dir = topology.dir().join("pins");
    files.write_configuration(&web(EQUAL))?;
    let finished = run_agent(&topology.balancer, &files)?;
    refused(finished, FAILED, &["not on a BPF file system", "mount -t bpf"])?;
    nothing_is_attached(&topology)
}

#[test]
fn pins_of_another_layout() -> Result<()> {
    let topology = Topology::new("other-layout")?;
    let files = topology.agent_files("agent");
    files.write_configuration(&web(EQUAL))?;
    let other = files.pin_dir.join("v999");
    topology.balancer.enter(|| std::fs::create_dir_all(&other))??;
    let finished = run_agent(&topology.balancer, &files)?;
    refused(finished, CONFLICT, &["v999", &layout(), "lb-agent detach"])?;
    let left = topology.balancer.list(&files.pin_dir)?;
    ensure!(left == ["v999"], "the refused agent changed the pins: {left:?}");
    ensure!(topology.balancer.xdp_program_id("eth0")?.is_none(), "a program was attached");
    Ok(())
}

#[test]
fn lb_ctl_without_an_agent_names_the_socket() -> Result<()> {
    let topology = Topology::new("no-agent")?;
    let files = topology.agent_files("agent");
    let socket = files.socket.display().to_string();
    refused(files.ctl(&["status"])?, UNREACHABLE, &[&socket, "cure"])
}
