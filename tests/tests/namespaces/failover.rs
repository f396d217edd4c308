//! What is done with what checks say: delays, limits and slow starts, and what servers report.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::flows::{Flows, connections};
use lb_tests::http::load::Load;
use lb_tests::process::wait_until;
use lb_tests::topology::{Agent, ORIGINS_V4, Topology, VIP_V4, on_topology, port_80};
use serde_json::Value;

use super::health::{checked, started, wait_for};

const LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(1);
const SOME: u64 = 200;
const QUICK: &str = "type: http, path: /, interval: 100ms, timeout: 50ms, rise: 2, fall: 2";
/// Where servers report.
const REPORT_PORT: u16 = 9000;

/// The pool `web`, checked quickly, with more lines of its own.
fn with(lines: &str) -> String {
    let pool = "- name: web\n";
    checked(QUICK).replacen(pool, &format!("{pool}    {lines}\n"), 1)
}

fn weight(agent: &Agent, backend: &str) -> Result<u64> {
    agent.backend(backend)?.get("weight_effective").and_then(Value::as_u64).context("no weight")
}

fn wait_for_weight(agent: &Agent, backend: &str, wanted: u64) -> Result<()> {
    wait_until(&format!("{backend} to have weight {wanted}"), LIMIT, || {
        Ok((weight(agent, backend)? == wanted).then_some(()))
    })
}

fn start(topology: &Topology, configuration: &str) -> Result<Agent> {
    let agent = topology.start_agent(configuration)?;
    for backend in ["web/origin1", "web/origin2", "web/origin3"] {
        wait_until(&format!("{backend} to be up"), LIMIT, || {
            let state = agent.backend(backend)?;
            Ok((state.get("health") == Some(&"up".into())).then_some(()))
        })?;
    }
    Ok(agent)
}

/// What a server says of itself to whoever connects.
#[derive(Clone, Default)]
struct Report(Arc<Mutex<String>>);

impl Report {
    /// Answers for as long as the test runs.
    fn answer(&self, listener: TcpListener) {
        let said = Arc::clone(&self.0);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let line = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // Who has gone needs no answer.
                let _ = stream.and_then(|mut stream| stream.write_all(line.as_bytes()));
            }
        });
    }

    fn say(&self, line: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.clear();
        let _ = writeln!(said, "{line}");
    }
}

#[test]
fn weights_follow_what_servers_report_and_flows_stay() -> Result<()> {
    on_topology("reports", |topology| {
        let reports: [Report; 3] = Default::default();
        for ((origin, address), report) in topology.origins.iter().zip(ORIGINS_V4).zip(&reports) {
            report.say("ready 100%");
            report.answer(origin.host.tcp_listener((address.into(), REPORT_PORT))?);
        }
        let adapt = "adapt: { report_port: 9000, floor: 10, step: 100, every: 1s }";
        let agent = start(topology, &with(adapt))?;
        let lasting = connections::open(&topology.client, &[port_80(VIP_V4)], 60)?;
        let lasting = Flows::start(lasting)?;
        let before = lasting.fates();
        let origin1 = &reports[0];

        origin1.say("50%");
        wait_for_weight(&agent, "web/origin1", 50)?;
        origin1.say("drain");
        wait_for(&agent, "web/origin1", "draining")?;
        let tally = topology.expect_answers(port_80(VIP_V4), 100)?;
        ensure!(tally.of("origin1") == 0, "new flows to a server that wants none: {tally}");
        origin1.say("no word of the protocol");
        wait_until("the check to tell of the words", LIMIT, || {
            let shown = agent.files.ctl(&["health", "show", "web"])?.stdout;
            Ok(shown.contains("no report: \"no\" is no word of a report").then_some(()))
        })?;
        wait_for(&agent, "web/origin1", "draining")?;
        origin1.say("ready 100%");
        wait_for_weight(&agent, "web/origin1", 100)?;

        let after = lasting.stop()?;
        ensure!(before.kept_by("origin1") > 0, "no connection was at origin1: {before}");
        for origin in ["origin1", "origin2", "origin3"] {
            ensure!(after.kept_by(origin) == before.kept_by(origin), "{before}, then {after}");
        }
        origin1.say("down");
        wait_for(&agent, "web/origin1", "down")?;
        Ok(())
    })
}

#[test]
fn failback_waits_until_the_primary_has_been_well_for_a_while_and_breaks_nothing() -> Result<()> {
    on_topology("failback", |topology| {
        let primary = "name: origin1,";
        let text = with("failover: { failback_delay: 3s }");
        let text = ["origin2", "origin3"].iter().fold(text, |text, standby| {
            let name = format!("name: {standby},");
            text.replacen(&name, &format!("{name} tier: 1,"), 1)
        });
        ensure!(text.contains(primary), "{text}");
        let agent = start(topology, &text)?;
        wait_for(&agent, "web/origin1", "active")?;
        topology.origins[0].nginx.kill_now()?;
        wait_for(&agent, "web/origin2", "active")?;

        let load = Load::start(&topology.client, &[port_80(VIP_V4)], PAUSE);
        load.wait_for(SOME, LIMIT)?;
        topology.origins[0].restart()?;
        wait_for(&agent, "web/origin1", "standby")?;
        load.wait_for(SOME, LIMIT)?;
        wait_for(&agent, "web/origin1", "active")?;
        load.wait_for(SOME, LIMIT)?;
        let tally = load.stop()?;
        ensure!(tally.failed() == 0, "failback broke requests: {tally}");
        Ok(())
    })
}

#[test]
fn a_backend_that_comes_back_gets_its_weight_in_steps() -> Result<()> {
    on_topology("slow-start", |topology| {
        let agent = start(topology, &with("failover: { slow_start: 5s }"))?;
        topology.origins[1].nginx.kill_now()?;
        wait_for(&agent, "web/origin2", "down")?;
        let load = Load::start(&topology.client, &[port_80(VIP_V4)], PAUSE);
        topology.origins[1].restart()?;
        let mut seen = Vec::new();
        wait_until("origin2 to have its whole weight", LIMIT, || {
            let backend = agent.backend("web/origin2")?;
            let is_active = backend.get("state") == Some(&"active".into());
            let weight = backend.get("weight_effective").and_then(Value::as_u64);
            let weight = weight.context("no weight")?;
            if is_active && seen.last() != Some(&weight) {
                seen.push(weight);
            }
            Ok((is_active && weight == 100).then_some(()))
        })?;
        let tally = load.stop()?;
        ensure!(seen.len() > 2 && seen.is_sorted(), "weights on the way: {seen:?}");
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        Ok(())
    })
}

#[test]
fn a_backend_that_flaps_is_held_although_it_passes() -> Result<()> {
    on_topology("flaps", |topology| {
        let agent = start(topology, &with("failover: { hold_down: 10m, hold_down_max: 10m }"))?;
        topology.origins[1].nginx.kill_now()?;
        wait_for(&agent, "web/origin2", "down")?;
        topology.origins[1].restart()?;
        wait_for(&agent, "web/origin2", "active")?;
        topology.origins[1].nginx.kill_now()?;
        wait_for(&agent, "web/origin2", "down")?;
        topology.origins[1].restart()?;
        wait_until("origin2 to pass more checks than it needs", LIMIT, || {
            let listed = agent.files.ctl_json(&["health", "list", "web"])?;
            let items = listed.get("items").and_then(Value::as_array).context("no items")?;
            let is_it = |item: &&Value| item.get("name") == Some(&"origin2".into());
            let item = items.iter().find(is_it).context("no origin2")?;
            let number = |field| item.get(field).and_then(Value::as_u64);
            let held = number("held_ms").is_some_and(|held_ms| held_ms > 0);
            Ok((held && number("against") > Some(5)).then_some(()))
        })?;
        wait_for(&agent, "web/origin2", "down")?;
        Ok(())
    })
}

#[test]
fn no_more_backends_are_out_than_may_be() -> Result<()> {
    on_topology("ejection", |topology| {
        let agent = started(topology, QUICK)?;
        let limited = "{ type: http, path: /healthz, interval: 100ms, timeout: 50ms, rise: 2, \
                       fall: 2, panic_threshold: 0 }\n    failover: { max_ejected: 34 }";
        agent.files.write_configuration(&with("").replacen(
            &format!("{{ {QUICK} }}"),
            limited,
            1,
        ))?;
        agent.reload()?;
        topology.origins.iter().try_for_each(lb_tests::topology::Origin::fail_checks)?;
        wait_until("two to be spared", LIMIT, || {
            let status = agent.status()?;
            let warnings = status.get("warnings").map(ToString::to_string).unwrap_or_default();
            Ok(warnings.contains("2 backends fail their checks and are used").then_some(()))
        })?;
        // Only now: whoever was out first has lost what was under way.
        let load = Load::start(&topology.client, &[port_80(VIP_V4)], PAUSE);
        load.wait_for(SOME, LIMIT)?;
        let tally = load.stop()?;
        ensure!(tally.failed() == 0, "requests failed: {tally}");
        Ok(())
    })
}
