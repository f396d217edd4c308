//! Changes of who takes new flows and of how packets travel, under load: the program is exchanged
//! around the change of the maps.

use anyhow::{Context, Result, ensure};
use lb_tests::http::Tally;
use lb_tests::topology::{Agent, VIP_V4, on_topology, port_80};

use crate::traffic::Traffic;
use crate::{LONG, apply, configuration, only};

/// The pool with these fields, and all origins.
fn with(fields: &str) -> String {
    let pool = "  - name: web\n";
    configuration(&only(&[1, 2, 3]), LONG).replace(pool, &format!("{pool}    {fields}\n"))
}

/// Changes to one configuration after another while traffic goes on; none of it may be harmed.
fn change(name: &str, steps: &[&str], look: impl Fn(&str, &Tally) -> Result<()>) -> Result<()> {
    on_topology(name, |topology| {
        let (first, rest) = steps.split_first().context("no steps")?;
        let agent = topology.start_agent(&with(first))?;
        let mut traffic = Traffic::start(topology)?;
        look(first, &traffic.look()?)?;
        for step in rest {
            let before = topology.balancer.xdp_program_id("eth0")?;
            apply(topology, &agent, &with(step)).with_context(|| (*step).to_owned())?;
            ensure!(topology.balancer.xdp_program_id("eth0")? != before, "{step}: same program");
            look(step, &traffic.look()?)?;
            traffic.begin_more()?;
        }
        traced(&agent)?;
        traffic.stop()?.expect_no_harm()
    })
}

/// A trace still finds the service, and says what the program does.
fn traced(agent: &Agent) -> Result<()> {
    let trace = agent
        .ctl(&["trace", "--src", "198.51.100.9:999", "--dst", &port_80(VIP_V4).to_string()])?
        .stdout;
    ensure!(trace.contains("scheduler"), "{trace}");
    ensure!(!trace.contains("Defect"), "{trace}");
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "what a step must look like")]
fn nothing(_: &str, _: &Tally) -> Result<()> {
    Ok(())
}

#[test]
fn a_change_of_the_scheduler_breaks_nothing() -> Result<()> {
    let steps = [
        "scheduler: maglev",
        "scheduler: round-robin",
        "scheduler: maglev",
        "scheduler: least-connections",
        "scheduler: maglev",
    ];
    change("schedulers", &steps, |step, tally| {
        let counts = ["origin1", "origin2", "origin3"].map(|origin| tally.of(origin));
        let (least, most) = (counts.iter().min(), counts.iter().max());
        let even = least.zip(most).is_some_and(|(least, most)| most - least <= most / 8);
        ensure!(even || !step.contains("round-robin"), "{step}: {tally}");
        ensure!(counts.iter().all(|count| *count > 0), "{step}: {tally}");
        Ok(())
    })
}

#[test]
fn a_change_of_the_encapsulation_breaks_nothing() -> Result<()> {
    let steps =
        ["encapsulation: ipip", "encapsulation: gue", "encapsulation: gre", "encapsulation: ipip"];
    change("encapsulations", &steps, nothing)
}

#[test]
fn the_first_scheduler_that_hashes_clients_sends_each_to_one_origin() -> Result<()> {
    on_topology("source-hash", |topology| {
        let agent = topology.start_agent(&with("scheduler: source-hash"))?;
        let traffic = Traffic::start(topology)?;
        let tally = traffic.look()?;
        // One client with an address of each version.
        let used = ["origin1", "origin2", "origin3"].iter().filter(|it| tally.of(it) > 0).count();
        ensure!((1..=2).contains(&used), "{tally}");
        traced(&agent)?;
        traffic.stop()?.expect_no_harm()
    })
}
