//! Metrics of a real agent: what Prometheus is told is what `lb-ctl` shows.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::wait_until;
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{Agent, Topology, VIP_V4, on_topology, port_80};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
const ADDRESS: &str = "127.0.0.1:9417";
const CHECK: &str = "health: { type: tcp, interval: 100ms, timeout: 50ms }";

/// The pool `web`, checked, with metrics at [`ADDRESS`] or not at all.
fn configuration(is_exported: bool) -> String {
    let pool = "- name: web\n";
    let text = web([WEIGHT; 3]).replacen(pool, &format!("{pool}    {CHECK}\n"), 1);
    let metrics = format!("metrics: {{ listen: \"{ADDRESS}\" }}\npools:\n");
    if is_exported { text.replacen("pools:\n", &metrics, 1) } else { text }
}

/// Whatever the control socket answers, head and body.
pub(super) fn ask(agent: &Agent, path: &str) -> Result<String> {
    answer(UnixStream::connect(&agent.files.socket)?, path)
}

fn answer(mut stream: impl Read + Write, path: &str) -> Result<String> {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn expect_ok(answer: String) -> Result<String> {
    ensure!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    Ok(answer)
}

fn on_the_socket(agent: &Agent) -> Result<String> {
    expect_ok(ask(agent, "/v1/metrics")?)
}

fn over_tcp(topology: &Topology) -> Result<String> {
    expect_ok(topology.balancer.enter(|| answer(TcpStream::connect(ADDRESS)?, "/metrics"))??)
}

/// The value of the sample of this name and these labels.
fn sample(text: &str, name: &str) -> Result<f64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = value.with_context(|| format!("no {name} in\n{text}"))?;
    value.parse().with_context(|| format!("{name} is {value}"))
}

fn packets(document: &Value) -> Result<f64> {
    let packets = document.pointer("/item/traffic/packets").and_then(Value::as_f64);
    packets.with_context(|| format!("no packets in {document}"))
}

#[test]
fn what_prometheus_is_told_is_what_lb_ctl_shows() -> Result<()> {
    on_topology("metrics", |topology| {
        let agent = topology.start_agent(&configuration(true))?;
        wait_until("all checks to pass", LIMIT, || {
            let text = on_the_socket(&agent)?;
            let up = text.matches("lb_backend_up{pool=\"web\",backend=\"origin").count();
            let down = text
                .lines()
                .filter(|line| line.starts_with("lb_backend_up{") && line.ends_with(" 0"));
            Ok((up == 3 && down.count() == 0).then_some(()))
        })?;
        topology.expect_answers(port_80(VIP_V4), 50)?;

        let told = sample(&over_tcp(topology)?, "lb_service_packets_total{service=\"web\"}")?;
        let shown = packets(&agent.files.ctl_json(&["service", "show", "web"])?)?;
        // Nobody sends any more, but for the last packets of connections that are being closed.
        ensure!(told >= 100.0 && told <= shown, "told {told}, shown {shown}");
        wait_until("both to agree", LIMIT, || {
            let text = on_the_socket(&agent)?;
            let told = sample(&text, "lb_service_packets_total{service=\"web\"}")?;
            let shown = packets(&agent.files.ctl_json(&["service", "show", "web"])?)?;
            let of_backends: f64 = ["origin1", "origin2", "origin3"]
                .iter()
                .map(|name| {
                    let labels = format!("pool=\"web\",backend=\"{name}\"");
                    sample(&text, &format!("lb_backend_packets_total{{{labels}}}"))
                })
                .sum::<Result<f64>>()?;
            Ok((told.total_cmp(&shown).is_eq() && of_backends >= told).then_some(()))
        })?;

        let generation = agent.generation()?;
        let text = on_the_socket(&agent)?;
        ensure!(text.contains(&format!("\nlb_config_generation {generation}\n")), "{text}");
        ensure!(sample(&text, "lb_interface_attached{interface=\"eth0\",mode=\"native\"}")? > 0.0);
        let passed = "lb_checks_total{pool=\"web\",backend=\"origin1\",result=\"passed\"}";
        ensure!(sample(&text, passed)? > 0.0, "{text}");
        agent.ctl(&["backend", "drain", "web/origin1"])?;
        let weight = "lb_backend_weight{pool=\"web\",backend=\"origin1\"}";
        ensure!(sample(&on_the_socket(&agent)?, weight)? < 1.0, "drained, and not told");
        Ok(())
    })
}

#[test]
fn metrics_are_told_where_the_configuration_says_and_nowhere_else() -> Result<()> {
    on_topology("metrics-address", |topology| {
        let agent = topology.start_agent(&configuration(false))?;
        ensure!(over_tcp(topology).is_err(), "told, though nobody asked for it");
        let apply = |is_exported| -> Result<()> {
            let file = topology.dir().join("new.yaml");
            std::fs::write(&file, configuration(is_exported))?;
            agent.ctl(&["config", "apply", "--yes", &file.display().to_string()]).map(drop)
        };
        apply(true)?;
        sample(&over_tcp(topology)?, "lb_slots_in_transition")?;
        apply(false)?;
        ensure!(over_tcp(topology).is_err(), "still told");

        // Somebody else is there: the change is refused as a whole.
        let taken = topology.balancer.enter(|| std::net::TcpListener::bind(ADDRESS))??;
        let generation = agent.generation()?;
        ensure!(apply(true).is_err(), "an address that is taken was accepted");
        ensure!(agent.generation()? == generation, "half a change was made");
        // At a start it is no reason not to balance.
        let mut agent = agent;
        agent.stop()?;
        agent.files.write_configuration(&configuration(true))?;
        let next = topology.start_agent_with(agent.files.clone())?;
        let warnings = next.status()?.get("warnings").map(Value::to_string).unwrap_or_default();
        ensure!(warnings.contains("metrics are not told"), "{warnings}");
        drop(taken);
        wait_until("the address to be taken over", LIMIT, || Ok(over_tcp(topology).ok()))?;
        Ok(())
    })
}
