//! Events of a real agent, as somebody who follows them sees them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::{Process, wait_until};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{Agent, COMMAND_LIMIT, Topology, binary, on_topology};
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
/// Quick checks and quick ends of transitions, so that the test is.
const QUICK: &str = "health: { type: http, path: /, interval: 100ms, timeout: 50ms, rise: 2, fall: 2 }\n    \
                     flow_idle_timeout: 1s";

fn checked(weights: [u32; 3]) -> String {
    let pool = "- name: web\n";
    web(weights).replacen(pool, &format!("{pool}    {QUICK}\n"), 1)
}

/// `lb-ctl events --follow`, and what it has printed.
struct Follower(Process);

impl Follower {
    fn start(topology: &Topology, agent: &Agent) -> Result<Self> {
        let mut command = Command::new(binary("lb-ctl")?);
        command.arg("-s").arg(&agent.files.socket).args(["events", "--follow", "-o", "json"]);
        Ok(Self(Process::spawn(command, "follower", topology.dir())?))
    }

    fn events(&self) -> Vec<Value> {
        let printed = self.0.output();
        printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event of this kind, to this object, whose reason has these words.
    fn wait_for(&self, kind: &str, object: &str, reason: &str) -> Result<Value> {
        let text =
            |event: &Value, field| event.get(field).and_then(Value::as_str).map(str::to_owned);
        let is_it = |event: &Value| {
            text(event, "kind").as_deref() == Some(kind)
                && text(event, "object").as_deref() == Some(object)
                && text(event, "reason").is_some_and(|said| said.contains(reason))
        };
        wait_until(&format!("{kind} of {object}"), LIMIT, || {
            Ok(self.events().into_iter().find(is_it))
        })
        .with_context(|| format!("followed:\n{}", self.0.output()))
    }
}

#[test]
fn every_change_of_state_is_followed_with_its_reason() -> Result<()> {
    on_topology("events", |topology| {
        let mut agent = topology.start_agent(&checked([WEIGHT; 3]))?;
        let mut follower = Follower::start(topology, &agent)?;
        follower.wait_for("agent_started", "agent", "made new maps")?;
        follower.wait_for("interface_attached", "interface eth0", "the configuration names it")?;
        follower.wait_for("next_hop_known", "next_hop 10.2.0.1", "the way to 10.3.0.2")?;
        for origin in ["origin1", "origin2", "origin3"] {
            follower.wait_for("backend_up", &format!("backend web/{origin}"), "200")?;
        }

        topology.origins[1].nginx.kill_now()?;
        let down = follower.wait_for("backend_down", "backend web/origin2", "cannot connect")?;
        ensure!(down.get("to") == Some(&"down".into()), "{down}");
        follower.wait_for("transition_begun", "slots", "their backends have changed")?;

        agent.ctl(&["backend", "weight", "web/origin1", "50"])?;
        let weight = follower.wait_for("weight_changed", "backend web/origin1", "by command")?;
        ensure!(weight.get("from") == Some(&"100".into()), "{weight}");
        agent.ctl(&["backend", "drain", "web/origin3"])?;
        follower.wait_for("drain_begun", "backend web/origin3", "by command")?;
        follower.wait_for("drain_done", "backend web/origin3", "no flow is pinned")?;
        follower.wait_for("transition_ended", "slots", "")?;
        agent.ctl(&["backend", "undrain", "web/origin3"])?;
        follower.wait_for("drain_taken_back", "backend web/origin3", "by command")?;

        let file = topology.dir().join("new.yaml");
        std::fs::write(&file, checked([WEIGHT, WEIGHT, 60]))?;
        let generation = agent.generation()?;
        agent.ctl(&["config", "apply", "--yes", &file.display().to_string()])?;
        let applied = follower.wait_for("config_applied", "configuration", "1 change")?;
        ensure!(applied.get("generation") == Some(&(generation + 1).into()), "{applied}");
        agent.files.write_configuration("nothing: of the kind\n")?;
        agent.reload()?;
        follower.wait_for("config_refused", "configuration", "agent.yaml")?;

        let listed = agent.files.ctl_json(&["events"])?;
        let listed = listed.get("items").and_then(Value::as_array).context("no events")?.clone();
        ensure!(listed == follower.events(), "a list of others than were followed: {listed:?}");
        follower.0.signal(Signal::SIGINT)?;
        ensure!(follower.0.wait(COMMAND_LIMIT)?.success(), "Ctrl-C is no failure");
        agent.stop()
    })
}

#[test]
fn who_follows_goes_on_with_the_next_agent() -> Result<()> {
    on_topology("events-restart", |topology| {
        let mut agent = topology.start_agent(&web([WEIGHT; 3]))?;
        let mut follower = Follower::start(topology, &agent)?;
        follower.wait_for("agent_started", "agent", "made new maps")?;
        agent.stop()?;
        follower.wait_for("agent_stopping", "agent", "SIGTERM")?;
        let mut next = topology.start_agent_with(agent.files.clone())?;
        follower.wait_for("agent_started", "agent", "adopted the maps of an earlier agent")?;
        next.process.kill_now()?;
        let last = topology.start_agent_with(agent.files.clone())?;
        let starts = || {
            let kinds =
                follower.events().into_iter().filter_map(|event| event.get("kind").cloned());
            kinds.filter(|kind| kind == "agent_started").count()
        };
        wait_until("a third start", LIMIT, || Ok((starts() == 3).then_some(())))?;
        last.ctl(&["backend", "drain", "web/origin1"])?;
        follower.wait_for("drain_begun", "backend web/origin1", "by command")?;
        let numbers: Vec<_> = follower
            .events()
            .iter()
            .filter_map(|event| event.get("sequence").and_then(Value::as_u64))
            .collect();
        ensure!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let said = follower.0.output();
        ensure!(said.contains("waiting for it") && said.contains("following again"), "{said}");
        follower.0.expect_running()
    })
}
