//! Health checks through the tunnel: they ask the VIP, and only who decapsulates it answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::wait_until;
use lb_tests::topology::configuration::{Backend, WEIGHT, backends, text};
use lb_tests::topology::{
    Agent, ORIGIN_NAMES, ORIGINS_V4, ORIGINS_V6, Topology, VIP_V4, VIP_V6, on_topology, output_of,
    port_80,
};
use serde_json::Value;

use crate::health::{checked, started, wait_for};
use crate::health_kinds::dns_server;

const LIMIT: Duration = Duration::from_secs(30);
/// Quick checks, so that the tests are.
const TIMES: &str = "interval: 300ms, timeout: 250ms, rise: 2, fall: 2";

fn tunnelled() -> String {
    format!("type: http, path: /, via: tunnel, {TIMES}")
}

/// A pool with this encapsulation and check, behind its own port of a VIP.
struct Pool {
    name: &'static str,
    encapsulation: &'static str,
    check: String,
    backends: Vec<Backend>,
    vip: IpAddr,
}

/// Their configuration: each asks port 80, whatever its own port is.
fn configuration(pools: &[Pool]) -> String {
    let listed: Vec<_> = pools.iter().map(|pool| (pool.name, pool.backends.as_slice())).collect();
    let services: Vec<_> = pools.iter().map(|pool| (pool.name, pool.vip, pool.name)).collect();
    let mut text = text(&listed, &services);
    for (port, pool) in (8080..).zip(pools) {
        let Pool { name, encapsulation, check, .. } = pool;
        let fields =
            format!("    encapsulation: {encapsulation}\n    health: {{ {check}, port: 80 }}\n");
        let head = format!("  - name: {name}\n");
        text = text.replacen(&head, &format!("{head}{fields}"), 1);
        let tail = format!("ports: [80], pool: {name} }}");
        text = text.replacen(&tail, &format!("ports: [{port}], pool: {name} }}"), 1);
    }
    text
}

fn listed(agent: &Agent) -> Result<Vec<Value>> {
    let list = agent.files.ctl_json(&["health", "list"])?;
    list.get("items").and_then(Value::as_array).cloned().with_context(|| format!("{list}"))
}

fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Filters of lb-probe at the egress of an interface of the balancer.
fn filters(topology: &Topology, interface: &str) -> Result<usize> {
    let mut command = topology.balancer.command("tc");
    command.args(["filter", "show", "dev", interface, "egress"]);
    Ok(output_of(command)?.matches(" lb_probe direct-action ").count())
}

/// Takes the qdisc away that filters hang on, as somebody might.
fn remove_filters(topology: &Topology) -> Result<()> {
    let mut command = topology.balancer.command("tc");
    command.args(["qdisc", "del", "dev", "eth0", "clsact"]);
    output_of(command).map(drop)
}

#[test]
fn checks_pass_through_every_tunnel_and_over_both_versions_of_ip() -> Result<()> {
    on_topology("tunnel-kinds", |topology| {
        let (v4, v6) = (backends(ORIGINS_V4, [WEIGHT; 3]), backends(ORIGINS_V6, [WEIGHT; 3]));
        let pool = |name, encapsulation, backends: &Vec<Backend>, vip| Pool {
            name,
            encapsulation,
            check: tunnelled(),
            backends: backends.clone(),
            vip,
        };
        let pools = [
            pool("ipip44", "ipip", &v4, VIP_V4.into()),
            pool("ipip66", "ipip", &v6, VIP_V6.into()),
            pool("ipip64", "ipip", &v4, VIP_V6.into()),
            pool("gue44", "gue", &v4, VIP_V4.into()),
            pool("gue46", "gue", &v6, VIP_V4.into()),
            pool("gre44", "gre", &v4, VIP_V4.into()),
            pool("gre66", "gre", &v6, VIP_V6.into()),
        ];
        let agent = topology.start_agent(&configuration(&pools))?;
        wait_until("all checks to pass", LIMIT, || {
            let is_up = |check: &Value| field(check, "condition") == "up";
            Ok(listed(&agent)?.iter().all(is_up).then_some(()))
        })?;
        let checks = listed(&agent)?;
        ensure!(checks.len() == pools.len() * ORIGIN_NAMES.len(), "{checks:?}");
        for check in checks {
            let asked = field(&check, "check");
            ensure!(asked.contains("via tunnel to "), "{asked}");
        }
        for origin in &topology.origins {
            let decapsulated = origin.packets("decapsulated")?;
            ensure!(decapsulated > 0, "{} has seen no tunnel", origin.name());
        }
        Ok(())
    })
}

#[test]
fn checks_through_the_tunnel_to_the_vip_find_an_origin_that_does_not_decapsulate() -> Result<()> {
    on_topology("tunnel-broken", |topology| {
        let origins = backends(ORIGINS_V4, [WEIGHT; 3]);
        let pool = |name, check| Pool {
            name,
            encapsulation: "ipip",
            check,
            backends: origins.clone(),
            vip: VIP_V4.into(),
        };
        let direct = format!("type: http, path: /, {TIMES}");
        let pools = [pool("direct", direct), pool("tunnel", tunnelled())];
        let agent = topology.start_agent(&configuration(&pools))?;
        for backend in ["direct/origin2", "tunnel/origin1", "tunnel/origin2", "tunnel/origin3"] {
            wait_for(&agent, backend, "active")?;
        }
        // From here on packets to it are for nobody, while its own address answers as before.
        topology.origins[1].detach()?;
        wait_for(&agent, "tunnel/origin2", "down")?;
        for backend in ["direct/origin2", "tunnel/origin1", "tunnel/origin3"] {
            wait_for(&agent, backend, "active")?;
        }
        let ctl = |words: &[&str]| agent.files.ctl(words);
        let told = ctl(&["health", "check", "tunnel/origin2", "--once"])?.with_code(1)?.stdout;
        for words in ["with mark 0x4c42", "wrapped (ipip) for 10.4.0.2", "connect", " packets"] {
            ensure!(told.contains(words), "no {words:?} in:\n{told}");
        }
        ctl(&["health", "check", "direct/origin2", "--once"])?.with_code(0)?;

        topology.origins[1].attach()?;
        wait_for(&agent, "tunnel/origin2", "active")
    })
}

#[test]
fn each_check_reaches_its_own_backend_and_no_other() -> Result<()> {
    on_topology("tunnel-own", |topology| {
        // Only one of them answers with its name; results of another's would pass too.
        let check = format!("{}, expect_body: origin2, panic_threshold: 0", tunnelled());
        let agent = topology.start_agent(&checked(&check))?;
        wait_for(&agent, "web/origin2", "active")?;
        wait_until("ten results of each", LIMIT, || {
            std::thread::yield_now();
            let history = agent.files.ctl_json(&["health", "show", "web"])?;
            let items = history.get("items").and_then(Value::as_array).context("no items")?;
            for item in items {
                let results =
                    item.get("results").and_then(Value::as_array).context("no results")?;
                let is_it = field(item, "name") == "origin2";
                for result in results {
                    let passed = result.get("passed").and_then(Value::as_bool);
                    ensure!(passed == Some(is_it), "{item}");
                }
            }
            let packets: Result<Vec<_>> =
                topology.origins.iter().map(|origin| origin.packets("decapsulated")).collect();
            // A probe takes five packets at least.
            Ok(packets?.iter().all(|packets| *packets >= 50).then_some(()))
        })
    })
}

#[test]
fn dns_is_asked_through_the_tunnel_too() -> Result<()> {
    on_topology("tunnel-dns", |topology| {
        let stops: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
        for (origin, stop) in topology.origins.iter().zip(&stops) {
            // At the VIP alone: what came without a tunnel would not get here.
            let socket = origin.host.udp_socket((VIP_V4.into(), 53))?;
            dns_server(socket, Arc::clone(stop))?;
        }
        let check = format!("type: dns, query: www.example, via: tunnel, {TIMES}");
        let services = "services:\n";
        let dns = format!(
            "{services}  - {{ name: dns, vip: {VIP_V4}, protocol: udp, ports: [53], pool: web }}\n"
        );
        let agent = topology.start_agent(&checked(&check).replacen(services, &dns, 1))?;
        for backend in ["web/origin1", "web/origin2", "web/origin3"] {
            wait_for(&agent, backend, "active")?;
        }
        stops.get(1).context("three origins")?.store(true, Ordering::Relaxed);
        wait_for(&agent, "web/origin2", "down")?;
        wait_for(&agent, "web/origin3", "active")?;
        for stop in &stops {
            stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    })
}

#[test]
fn probes_leave_by_the_interface_towards_their_backend() -> Result<()> {
    on_topology("tunnel-eth1", |topology| {
        topology.reach_origins_by_eth1(1600)?;
        let eth0 = "  - { name: eth0, mode: native }\n";
        let both = format!("{eth0}  - {{ name: eth1, mode: native }}\n");
        let agent = topology.start_agent(&checked(&tunnelled()).replacen(eth0, &both, 1))?;
        for backend in ["web/origin1", "web/origin2", "web/origin3"] {
            wait_for(&agent, backend, "active")?;
        }
        ensure!(filters(topology, "eth0")? == 1 && filters(topology, "eth1")? == 1, "no filters");
        Ok(())
    })
}

#[test]
fn an_agent_leaves_one_filter_and_takes_it_off_with_the_last_check_that_needs_it() -> Result<()> {
    on_topology("tunnel-filter", |topology| {
        let mut agent = started(topology, &tunnelled())?;
        ensure!(filters(topology, "eth0")? == 1, "no filter");
        agent.process.kill_now()?;
        ensure!(filters(topology, "eth0")? == 1, "the filter went with the agent");
        topology.expect_answers(port_80(VIP_V4), 30)?;

        let mut agent = topology.start_agent_with(agent.files.clone())?;
        wait_for(&agent, "web/origin1", "active")?;
        ensure!(filters(topology, "eth0")? == 1, "not one filter after a restart");

        let direct = format!("type: http, path: /, {TIMES}");
        agent.files.write_configuration(&checked(&direct))?;
        agent.reload()?;
        wait_until("the filter to go", LIMIT, || {
            Ok((filters(topology, "eth0")? == 0).then_some(()))
        })?;
        agent.files.write_configuration(&checked(&tunnelled()))?;
        agent.reload()?;
        wait_until("the filter to come back", LIMIT, || {
            Ok((filters(topology, "eth0")? == 1).then_some(()))
        })?;
        agent.stop()?;
        agent.detach()?;
        ensure!(filters(topology, "eth0")? == 0, "detach has left a filter");
        Ok(())
    })
}

#[test]
fn a_filter_that_was_left_behind_goes_at_the_next_start_if_nobody_wants_it() -> Result<()> {
    on_topology("tunnel-stale", |topology| {
        let mut agent = started(topology, &tunnelled())?;
        agent.process.kill_now()?;
        let direct = format!("type: http, path: /, {TIMES}");
        agent.files.write_configuration(&checked(&direct))?;
        let _next = topology.start_agent_with(agent.files.clone())?;
        ensure!(filters(topology, "eth0")? == 0, "an old filter is still there");
        Ok(())
    })
}

/// Waits until every check says so, and makes sure that nobody was taken for down meanwhile.
fn wait_for_nobody_asked(agent: &Agent, words: &str) -> Result<()> {
    wait_until(&format!("checks that say {words:?}"), LIMIT, || {
        let checks = listed(agent)?;
        for check in &checks {
            ensure!(field(check, "condition") == "up", "a false result: {check}");
        }
        let says = |check: &Value| field(check, "not_asked").contains(words);
        Ok((!checks.is_empty() && checks.iter().all(says)).then_some(()))
    })
}

fn wait_until_asked(agent: &Agent) -> Result<()> {
    wait_until("checks that are asked", LIMIT, || {
        let checks = listed(agent)?;
        Ok(checks.iter().all(|check| check.get("not_asked") == Some(&Value::Null)).then_some(()))
    })
}

#[test]
fn probes_that_would_travel_bare_are_not_sent_and_decide_nothing() -> Result<()> {
    on_topology("tunnel-bare", |topology| {
        let agent = started(topology, &tunnelled())?;
        wait_until_asked(&agent)?;
        topology.balancer.ip(&format!(
            "link add aside0 type veth peer name aside1\n\
             link set aside0 up\n\
             link set aside1 up\n\
             route add {VIP_V4}/32 dev aside0\n"
        ))?;
        wait_for_nobody_asked(&agent, "leaves by aside0, where lb-probe is not attached")?;
        let doctor = agent.files.ctl(&["doctor"])?.stdout;
        ensure!(doctor.contains("checks of pool web ask nobody"), "{doctor}");
        ensure!(doctor.contains(&format!("ip route add {VIP_V4} via")), "{doctor}");
        let by_hand = agent.files.ctl(&["health", "check", "web/origin1", "--once"])?;
        ensure!(by_hand.stderr.contains("aside0"), "{by_hand:?}");
        topology.balancer.ip(&format!("route del {VIP_V4}/32 dev aside0\n"))?;
        wait_until_asked(&agent)?;

        // It would be answered here, by whoever listens.
        topology.balancer.ip(&format!("addr add {VIP_V4}/32 dev lo\n"))?;
        wait_for_nobody_asked(&agent, "is an address of this machine")?;
        topology.balancer.ip(&format!("addr del {VIP_V4}/32 dev lo\n"))?;
        wait_until_asked(&agent)?;
        let events = agent.files.ctl(&["events"])?.with_code(0)?.stdout;
        for kind in ["check_not_made", "check_made_again"] {
            ensure!(events.contains(kind), "nobody was told of {kind}: {events}");
        }
        Ok(())
    })
}

#[test]
fn a_filter_that_somebody_removes_makes_no_false_result_and_comes_back() -> Result<()> {
    on_topology("tunnel-removed", |topology| {
        let agent = started(topology, &tunnelled())?;
        // Bare, a probe would be answered all the same: by the backend that the balancer chooses.
        let words = "no packet of it came by lb-probe";
        wait_until("a probe by hand without the filter", LIMIT, || {
            if filters(topology, "eth0")? > 0 {
                remove_filters(topology)?;
            }
            let told = agent.files.ctl(&["health", "check", "web/origin1", "--once"])?;
            ensure!(told.stdout.contains("Verdict"), "{told:?}");
            Ok(told.stdout.contains(words).then_some(()))
        })?;
        wait_until("the filter to come back", LIMIT, || {
            for check in listed(&agent)? {
                ensure!(field(&check, "condition") == "up", "a false result: {check}");
            }
            Ok((filters(topology, "eth0")? == 1).then_some(()))
        })?;
        wait_until_asked(&agent)
    })
}
