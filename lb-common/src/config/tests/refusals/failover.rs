//! Rows for failover and adaptation that make no sense.

use super::{Row, check};

#[test]
fn wrong_failover_and_adaptation_are_refused_with_their_place() {
    check(WRONG_FAILOVER);
}

const WRONG_FAILOVER: &[Row] = &[
    (
        "    health:",
        "    failover: { max_ejected: 0 }\n    health:",
        "6:30: pools[0].failover.max_ejected: 0 is not in 1..=100",
    ),
    (
        "    health:",
        "    failover: { max_ejected: 101 }\n    health:",
        "6:30: pools[0].failover.max_ejected: 101 is not in 1..=100",
    ),
    (
        "    health:",
        "    failover: { hold_down: 2h }\n    health:",
        "6:28: pools[0].failover.hold_down: 2h is not in 0..=3600000 ms",
    ),
    (
        "    health:",
        "    failover: { hold_down: 1m, hold_down_max: 30s }\n    health:",
        "6:47: pools[0].failover.hold_down_max: 30s is shorter than hold_down, 60s",
    ),
    (
        "    health:",
        "    failover: { failback_delay: soon }\n    health:",
        "6:33: pools[0].failover.failback_delay: \"soon\" is not a duration such as 500ms, 1s or 2m",
    ),
    (
        "    health:",
        "    failover: { slow_start: 61m }\n    health:",
        "6:29: pools[0].failover.slow_start: 61m is not in 0..=3600000 ms",
    ),
    (
        "    health:",
        "    failover: { at_start: trust }\n    health:",
        "6:27: pools[0].failover.at_start: \"trust\" is not one of: adopt, wait",
    ),
    (
        "    health:",
        "    failover: { slowstart: 1m }\n    health:",
        "6:17: pools[0].failover.slowstart: unknown field; did you mean \"slow_start\"?",
    ),
    (
        "    health:",
        "    adapt: { floor: 20 }\n    health:",
        "6:12: pools[0].adapt: weights follow nothing: neither report_port nor response_time is set",
    ),
    (
        "    health:",
        "    adapt: { report_port: 0 }\n    health:",
        "6:27: pools[0].adapt.report_port: 0 is not in 1..=65535",
    ),
    (
        "    health:",
        "    adapt: { response_time: true, step: 4 }\n    health:",
        "6:41: pools[0].adapt.step: 4 is not in 5..=100",
    ),
    (
        "    health:",
        "    adapt: { response_time: true, every: 10ms }\n    health:",
        "6:42: pools[0].adapt.every: 10ms is not in 1000..=3600000 ms",
    ),
    (
        "    health: { type: http, path: /healthz }",
        "    adapt: { response_time: true }",
        "6:12: pools[0].adapt: weights follow what checks find, and the pool has no health check",
    ),
];
