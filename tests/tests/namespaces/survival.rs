//! Orders: none is lost by a reload, a crash or a restart, and programs read them back.

use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::{run, wait_until};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{Agent, COMMAND_LIMIT, binary, on_topology};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// What the operator has ordered of each backend, and what is in force.
fn orders(agent: &Agent) -> Result<Vec<Value>> {
    let list = agent.files.ctl_json(&["backend", "list"])?;
    let items = list.get("items").and_then(Value::as_array).context("no items")?;
    let order = |item: &Value| {
        let fields = ["name", "operator", "weight_configured", "weight_effective"];
        fields.iter().map(|field| item.get(*field).cloned()).collect::<Option<Value>>()
    };
    items.iter().map(order).collect::<Option<_>>().context("a field is missing")
}

#[test]
fn configuration_and_orders_survive_a_restart_and_the_api_that_tells_them_is_described()
-> Result<()> {
    on_topology("survival", |topology| {
        let mut agent = topology.start_agent(&web([WEIGHT; 3]))?;
        let file = topology.dir().join("next.yaml");
        std::fs::write(&file, web([WEIGHT, 80, WEIGHT]))?;
        agent.ctl(&["config", "apply", "--yes", &file.display().to_string()])?;
        agent.ctl(&["backend", "weight", "web/origin1", "20"])?;
        agent.ctl(&["backend", "drain", "web/origin3", "--deadline", "10m"])?;
        let (before, generation) = (orders(&agent)?, agent.generation()?);
        ensure!(before[0][3] == 20 && before[1][3] == 80 && before[2][3] == 0, "{before:?}");

        agent.process.kill_now()?;
        let mut next = topology.start_agent_with(agent.files.clone())?;
        ensure!(orders(&next)? == before, "after a crash: {:?}", orders(&next)?);
        next.stop()?;
        let last = topology.start_agent_with(agent.files.clone())?;
        ensure!(orders(&last)? == before, "after a stop: {:?}", orders(&last)?);
        ensure!(last.generation()? == generation, "the generation counts restarts");
        let running = last.files.ctl_json(&["config", "show"])?;
        ensure!(!running.is_null(), "no configuration");

        let mut openapi = std::process::Command::new(binary("lb-agent")?);
        openapi.arg("openapi");
        let described = run(openapi, COMMAND_LIMIT)?.with_code(0)?.stdout;
        let described: Value = serde_json::from_str(&described).context("the OpenAPI document")?;
        for path in ["/v1/backends", "/v1/config", "/v1/events", "/v1/health"] {
            ensure!(described["paths"].get(path).is_some(), "{path} is not described");
        }
        Ok(())
    })
}

#[test]
fn a_reload_loses_no_order_that_is_given_while_it_runs() -> Result<()> {
    const ORDERS: u32 = 60;
    on_topology("orders", |topology| {
        let agent = topology.start_agent(&web([WEIGHT; 3]))?;
        let name = |number: u32| ["web/origin1", "web/origin2", "web/origin3"][number as usize % 3];
        thread::scope(|scope| {
            let orders = scope.spawn(|| {
                (1..=ORDERS).try_for_each(|weight| {
                    agent.files.ctl(&["backend", "weight", name(weight), &weight.to_string()])?;
                    // What was answered is in force and stored, whatever comes next.
                    let backend = agent.files.ctl_json(&["backend", "show", name(weight)])?;
                    let told = backend.to_string();
                    ensure!(told.contains(&format!("\"weight\":{weight}")), "{weight}: {told}");
                    Ok(())
                })
            });
            while !orders.is_finished() {
                agent.process.signal(Signal::SIGHUP)?;
                // At the pace of the agent, not faster.
                agent.status()?;
            }
            orders.join().unwrap_or_else(|panic| resume_unwind(panic))
        })?;
        let wanted = [ORDERS - 2, ORDERS - 1, ORDERS].map(|weight| (name(weight), json!(weight)));
        wait_until("the last orders to be in force", LIMIT, || {
            let is = orders(&agent)?;
            let is_it = |(name, weight): &(&str, Value)| {
                is.iter().any(|each| {
                    name.ends_with(each[0].as_str().unwrap_or("?")) && each[3] == *weight
                })
            };
            Ok(wanted.iter().all(is_it).then_some(()))
        })
    })
}
