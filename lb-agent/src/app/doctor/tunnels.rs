//! `doctor`: whether health checks that go through the tunnel get there.

use lb_common::api::{Finding, Severity};

use super::{bad, ok};
use crate::app::agent::Agent;
use crate::app::tunnel::vips;

/// Name of these findings.
const CHECK: &str = "health_tunnel";

impl Agent {
    /// What stands between the checks and the tunnel; nothing if no pool is checked so.
    pub(super) fn tunnelled_checks(&self) -> Vec<Finding> {
        let vips = vips(&self.desired);
        if vips.is_empty() {
            return Vec::new();
        }
        let refused = self.tunnels.refused().map(|(interface, why)| {
            bad(
                CHECK,
                Severity::Error,
                format!("{interface}: lb-probe cannot be attached: {why}"),
                "see that the kernel has the modules sch_ingress and cls_bpf, or check with via: direct",
            )
        });
        let idle = self.idle_checks().into_iter().map(|(vip, sentence)| {
            let cure = format!(
                "give the host a route to {vip} by an interface of the configuration, as `ip route add {vip} via ROUTER`, and do not put the VIP on the balancer; or check with via: direct"
            );
            bad(CHECK, Severity::Error, sentence, cure)
        });
        let mut findings: Vec<_> = refused.chain(idle).collect();
        if findings.is_empty() {
            let count = vips.len();
            findings.push(ok(CHECK, format!("probes for {count} VIPs leave by lb-probe")));
        }
        findings
    }
}
