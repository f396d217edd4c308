//! A connection that is being opened while slots move belongs to one backend.

use anyhow::{Result, ensure};
use lb_tests::flows::openings::{Witness, send};
use lb_tests::topology::on_topology;

use crate::maps::Maps;
use crate::{LONG, apply, configuration, only};

/// Source ports of the SYNs.
const PORTS: std::ops::Range<u16> = 20_000..20_128;

#[test]
fn a_retransmitted_syn_finds_the_same_backend() -> Result<()> {
    on_topology("syn", |topology| {
        let agent = topology.start_agent(&configuration(&only(&[1]), LONG))?;
        let mut witness = Witness::new(&topology.origins)?;
        // Every slot moves, so every SYN meets a slot in transition.
        apply(topology, &agent, &configuration(&only(&[2, 3]), LONG))?;
        send(&topology.client, PORTS)?;
        let first = witness.wait_for(PORTS.len())?.clone();
        for origin in ["origin2", "origin3"] {
            ensure!(first.values().flatten().any(|name| name == origin), "no SYN at {origin}");
        }
        let maps = Maps::open(topology, &agent)?;
        let before = maps.slots()?;
        agent.ctl(&["backend", "weight", "web/origin2", "400"])?;
        let moved = before.iter().zip(maps.slots()?).filter(|(b, a)| b.current() != a.current());
        let share = moved.count() * 100 / before.len();
        ensure!(share >= 20, "only {share} % of the slots moved between the two SYNs");

        send(&topology.client, PORTS)?;
        for (port, origins) in witness.wait_for(2 * PORTS.len())? {
            let [one, other] = origins.as_slice() else { panic!("{port}: {origins:?}") };
            ensure!(one == other, "the SYN of port {port} reached {one}, then {other}");
        }
        Ok(())
    })
}
