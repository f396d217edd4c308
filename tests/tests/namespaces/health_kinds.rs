//! Checks other than of TCP and HTTP, asked by a real agent: who fails them is left, alone.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::topology::{ORIGINS_V4, on_topology};

use crate::health::{started, wait_for};

const TIMES: &str = "interval: 100ms, timeout: 50ms, rise: 2, fall: 2";

#[test]
fn a_host_that_answers_no_echo_is_left() -> Result<()> {
    on_topology("icmp-check", |topology| {
        let agent = started(topology, &format!("type: icmp, {TIMES}"))?;
        let silent = ("ipv4/icmp_echo_ignore_all", "1");
        topology.origins[1].host.set_parameters(&[silent])?;
        wait_for(&agent, "web/origin2", "down")?;
        for backend in ["web/origin1", "web/origin3"] {
            wait_for(&agent, backend, "active")?;
        }
        Ok(())
    })
}

#[test]
fn a_command_is_told_whom_it_is_about_and_a_check_by_hand_says_why_it_fails() -> Result<()> {
    on_topology("exec-check", |topology| {
        let script =
            "case $LB_POOL/$LB_BACKEND:$LB_PORT in web/origin2:80) echo no disk; exit 3;; esac";
        // Longer than a shell takes to start on a busy machine.
        let times = "interval: 2s, timeout: 1900ms, rise: 1, fall: 1";
        let check = format!("type: exec, command: [/bin/sh, -c, \"{script}\"], {times}");
        let agent = topology.start_agent(&crate::health::checked(&check))?;
        wait_for(&agent, "web/origin2", "down")?;
        wait_for(&agent, "web/origin1", "active")?;

        let ctl = |words: &[&str]| agent.files.ctl(words);
        ctl(&["health", "check", "web/origin1", "--once"])?.with_code(0)?;
        let told = ctl(&["health", "check", "web/origin2", "--once"])?.with_code(1)?.stdout;
        ensure!(told.contains("fails after") && told.contains("exit status 3: no disk"), "{told}");
        let shown = ctl(&["health", "show", "web"])?.with_code(0)?.stdout;
        ensure!(shown.contains("exit status 3: no disk"), "{shown}");
        ctl(&["health", "check", "web/origin4", "--once"])?.with_code(4)?;
        Ok(())
    })
}

/// Answers DNS questions with what they asked and no record, until told to stop.
pub(crate) fn dns_server(socket: UdpSocket, stop: Arc<AtomicBool>) -> Result<()> {
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    thread::spawn(move || {
        let mut message = [0; 512];
        while !stop.load(Ordering::Relaxed) {
            let Ok((length, client)) = socket.recv_from(&mut message) else { continue };
            // It is an answer (RFC 1035 §4.1.1).
            message[2] |= 0x80;
            let answer = message.get(..length).unwrap_or_default();
            let _ = socket.send_to(answer, client);
        }
    });
    Ok(())
}

#[test]
fn a_dns_server_that_ends_is_left() -> Result<()> {
    on_topology("dns-check", |topology| {
        let stops: Vec<_> = (0..3).map(|_| Arc::new(AtomicBool::new(false))).collect();
        for ((origin, address), stop) in topology.origins.iter().zip(ORIGINS_V4).zip(&stops) {
            let socket = origin.host.udp_socket((IpAddr::from(address), 53))?;
            dns_server(socket, Arc::clone(stop))?;
        }
        let agent = started(topology, &format!("type: dns, query: www.example, {TIMES}"))?;
        stops.get(1).context("three origins")?.store(true, Ordering::Relaxed);
        wait_for(&agent, "web/origin2", "down")?;
        wait_for(&agent, "web/origin3", "active")?;
        for stop in &stops {
            stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    })
}
