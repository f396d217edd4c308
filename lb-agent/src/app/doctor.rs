//! `doctor`: what is wrong on this host, each finding with its cure.

mod links;
mod tunnels;

use std::net::IpAddr;

use lb_common::api::{Finding, Severity};
use lb_common::config::Pool;
use lb_common::verdict::{Reason, Verdict};

use super::agent::Agent;
use super::views;
use crate::core::way::Way;
use crate::io::api_server::Answer;
use crate::io::capabilities::{self, NotPermitted};
use crate::io::maps::shapes;

/// The oldest kernel with everything that is used: XDP links, memory-mapped arrays, bounded loops.
const KERNEL_NEEDED: (u32, u32) = (5, 15);
/// Largest packet of clients on an ordinary path.
const CLIENT_MTU_BYTES: u32 = 1500;

impl Agent {
    /// Looks at everything that is known to go wrong.
    pub(super) fn doctor(&self) -> Answer {
        let mut findings = vec![self.kernel(), self.jit(), capabilities_finding()];
        findings.extend(self.xdp_modes());
        findings.extend(self.made_of());
        findings.extend(self.ways_out());
        findings.push(self.pins_finding());
        findings.extend(self.neighbours());
        findings.extend(self.mtu());
        findings.extend(self.tunnelled_checks());
        findings.extend(self.pools());
        findings.extend(self.drops());
        views::list(self, "FindingList", findings)
    }

    fn kernel(&self) -> Finding {
        let release = &self.host.release;
        let (major, minor) = KERNEL_NEEDED;
        if self.host.version.is_some_and(|version| version >= KERNEL_NEEDED) {
            return ok("kernel", format!("Linux {release}"));
        }
        let message = format!("Linux {release} is older than {major}.{minor}");
        bad("kernel", Severity::Error, message, format!("boot Linux {major}.{minor} or later"))
    }

    fn jit(&self) -> Finding {
        match self.host.jit.as_deref() {
            Some("0") => bad(
                "kernel",
                Severity::Error,
                "the BPF just-in-time compiler is off: the program cannot be loaded again",
                "sysctl -w net.core.bpf_jit_enable=1",
            ),
            _ => ok("kernel", "the BPF just-in-time compiler is on"),
        }
    }

    fn pins_finding(&self) -> Finding {
        match self.pins.require(&shapes(&self.desired.limits)) {
            Ok(()) => ok("pins", format!("all maps are pinned in {}", self.pins.root().display())),
            Err(error) => bad("pins", Severity::Error, error.to_string(), error.cure()),
        }
    }

    fn neighbours(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut resolved = 0;
        for (pool, name, backend) in self.backends() {
            match views::next_hop(self, pool, backend.address).problem {
                None => resolved += 1,
                Some(problem) => findings.push(bad(
                    "neighbours",
                    Severity::Error,
                    format!("backend {pool}/{name}: {problem}"),
                    "give the host a route to it through an attached interface, and see that the next hop is up",
                )),
            }
        }
        if findings.is_empty() {
            findings.push(ok(
                "neighbours",
                format!("the next hops of all {resolved} backends are known"),
            ));
        }
        findings
    }

    fn mtu(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (pool, name, backend) in self.backends() {
            let Some(Way::Known { link, mtu_bytes, .. }) = self.ways.get(&backend.address) else {
                continue;
            };
            let needed = CLIENT_MTU_BYTES + self.overhead_bytes(pool, backend.address);
            if *mtu_bytes < needed {
                let link = &link.name;
                findings.push(bad(
                    "mtu",
                    Severity::Warning,
                    format!(
                        "backend {pool}/{name}: the way there takes {mtu_bytes} bytes, and a full packet of clients needs {needed} once encapsulated; senders of larger ones are told so (too_big_reported)"
                    ),
                    format!(
                        "ip link set dev {link} mtu {needed} or more, on every hop to the backend; or lower the clients' MSS on the origins"
                    ),
                ));
            }
        }
        if findings.is_empty() {
            findings.push(ok("mtu", "full-sized packets of clients fit on every known way"));
        }
        findings
    }

    /// Bytes that a pool's encapsulation puts before a packet to a backend.
    fn overhead_bytes(&self, pool: &str, backend: IpAddr) -> u32 {
        let pool = self.desired.pools.get(pool);
        let bytes = pool.map_or(0, |pool| pool.encapsulation.in_maps(backend).overhead_bytes());
        u32::try_from(bytes).unwrap_or(0)
    }

    fn pools(&self) -> Vec<Finding> {
        let empty = |(name, _): &(&String, &Pool)| self.derived.tables.weights(name).is_empty();
        let finding = |(name, _)| {
            bad(
                "pools",
                Severity::Error,
                format!(
                    "pool {name} has no backend that takes new flows: its services drop all packets"
                ),
                format!("see `lb-ctl backend list {name}`; undrain one or give it a weight"),
            )
        };
        self.desired.pools.iter().filter(empty).map(finding).collect()
    }

    fn drops(&self) -> Vec<Finding> {
        let counters = match self.datapath.maps.reason_counters() {
            Ok(counters) => counters,
            Err(error) => {
                let message = error.to_string();
                return vec![bad("drops", Severity::Error, message, "restart the agent")];
            }
        };
        counters
            .into_iter()
            .filter(|(reason, count)| reason.verdict() == Verdict::Drop && count.packets > 0)
            .map(|(reason, count)| {
                let message =
                    format!("{} packets dropped since the start: {}", count.packets, reason.help());
                bad("drops", Severity::Warning, message, drop_cure(reason))
            })
            .collect()
    }

    fn backends(&self) -> impl Iterator<Item = (&str, &str, &lb_common::config::Backend)> {
        self.desired.pools.iter().flat_map(|(pool, spec)| {
            let backends = spec.backends.iter();
            backends.map(move |(name, backend)| (pool.as_str(), name.as_str(), backend))
        })
    }
}

fn capabilities_finding() -> Finding {
    match capabilities::check() {
        Ok(()) => ok("capabilities", "all that are needed"),
        Err(error) => bad("capabilities", Severity::Error, error.to_string(), NotPermitted::CURE),
    }
}

/// What to do about packets that are dropped for a reason.
const fn drop_cure(reason: Reason) -> &'static str {
    match reason {
        Reason::NoBackend => "see `lb-ctl backend list`: a pool has, or had, none to take traffic",
        Reason::NextHopUnknown => {
            "see the neighbours finding; while a next hop is unknown its backend's packets are lost"
        }
        Reason::WrongInterface => {
            "list the interface that leads to the backends among interfaces; see the neighbours finding"
        }
        Reason::TooBig => "raise the MTU on the way to the backends, see the mtu finding",
        Reason::NoHeadroom => "set the interface's mode to generic, or use another driver",
        Reason::Truncated => {
            "a NIC or a sender is broken, or somebody is probing; capture on the router's side"
        }
        Reason::FragmentUnknown => {
            "fragments reach another balancer than their first, or limits.fragments is too small"
        }
        Reason::HopLimit => {
            "packets loop, or somebody traces the route; see the routes to the VIPs"
        }
        Reason::EchoLimited => "a flood of pings, or a monitor that asks too often",
        Reason::Forwarded
        | Reason::Redirected
        | Reason::EchoAnswered
        | Reason::TooBigReported
        | Reason::HopLimitReported
        | Reason::NotIp
        | Reason::Malformed
        | Reason::OtherProtocol
        | Reason::NoService => "",
    }
}

/// Nothing is wrong.
fn ok(check: &str, message: impl Into<String>) -> Finding {
    bad(check, Severity::Ok, message, "")
}

/// Something is, and what to do about it.
fn bad(
    check: &str,
    severity: Severity,
    message: impl Into<String>,
    cure: impl Into<String>,
) -> Finding {
    Finding { check: check.to_owned(), severity, message: message.into(), cure: cure.into() }
}
