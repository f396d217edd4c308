//! Who answers a ping: the balancer for its VIPs, and for nobody else.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{BALANCER_V4, BALANCER_V6, VIP_V4, VIP_V6, on_topology};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_ping_is_answered_for_a_vip_and_for_no_other_address() -> Result<()> {
    on_topology("ping", |topology| {
        let agent = topology.start_agent(&web([WEIGHT; 3]))?;
        // The router sends these to the balancer as well.
        let others: [IpAddr; 2] = ["203.0.113.11".parse()?, "2001:db8::11".parse()?];
        let vips = [IpAddr::from(VIP_V4), VIP_V6.into()];
        for (vip, other) in vips.into_iter().zip(others) {
            let counts = || Ok((agent.packets("echo_answered")?, agent.packets("no_service")?));
            let before: Result<_> = counts();
            let before = before?;
            let pinger = topology.client.pinger(vip)?;
            // An answer to the first would come before that to the second.
            pinger.ask(other, 1)?;
            pinger.ask(vip, 2)?;
            let answer = pinger.answer(LIMIT)?.with_context(|| format!("{vip} is silent"))?;
            ensure!(answer == (vip, 2), "asked {vip}, and {answer:?} answered");
            let after = counts()?;
            ensure!(after.0 == before.0 + 1, "{before:?} echoes answered, then {after:?}");
            ensure!(after.1 > before.1, "the ping to {other} was not seen");
        }
        Ok(())
    })
}

#[test]
fn a_ping_to_the_balancer_itself_is_answered_by_its_kernel() -> Result<()> {
    on_topology("ping-own", |topology| {
        let agent = topology.start_agent(&web([WEIGHT; 3]))?;
        for own in [IpAddr::from(BALANCER_V4), BALANCER_V6.into()] {
            let pinger = topology.client.pinger(own)?;
            pinger.ask(own, 1)?;
            let answer = pinger.answer(LIMIT)?.with_context(|| format!("{own} is silent"))?;
            ensure!(answer == (own, 1), "asked {own}, and {answer:?} answered");
        }
        ensure!(agent.packets("echo_answered")? == 0, "the program answered");
        Ok(())
    })
}

#[test]
fn pings_are_answered_while_no_agent_runs_and_by_the_next() -> Result<()> {
    on_topology("ping-killed", |topology| {
        let mut agent = topology.start_agent(&web([WEIGHT; 3]))?;
        let pinger = topology.client.pinger(VIP_V4.into())?;
        let answered = |sequence| -> Result<()> {
            pinger.ask(VIP_V4.into(), sequence)?;
            let answer = pinger.answer(LIMIT)?;
            ensure!(answer == Some((VIP_V4.into(), sequence)), "{answer:?} to ping {sequence}");
            Ok(())
        };
        answered(1)?;
        agent.process.kill_now()?;
        answered(2)?;
        let mut next = topology.start_agent_with(agent.files.clone())?;
        answered(3)?;
        next.stop()?;
        answered(4)
    })
}
