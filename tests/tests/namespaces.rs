//! The whole product on a network of namespaces: real agent, real nginx, real TCP.
//!
//! Each test has a topology of its own, so they run in parallel. They see what an operator and a
//! client see: HTTP answers, `lb-ctl`, signals, pins and links. They need root and the binaries
//! of `cargo xtask build`.

#[path = "namespaces/agent.rs"]
mod agent;
#[path = "namespaces/api.rs"]
mod api;
#[path = "namespaces/changes.rs"]
mod changes;
#[path = "namespaces/events.rs"]
mod events;
#[path = "namespaces/failover.rs"]
mod failover;
#[path = "namespaces/fragments.rs"]
mod fragments;
#[path = "namespaces/health.rs"]
mod health;
#[path = "namespaces/health_kinds.rs"]
mod health_kinds;
#[path = "namespaces/health_tls.rs"]
mod health_tls;
#[path = "namespaces/interfaces.rs"]
mod interfaces;
#[path = "namespaces/liveness.rs"]
mod liveness;
#[path = "namespaces/metrics.rs"]
mod metrics;
#[path = "namespaces/origin.rs"]
mod origin;
#[path = "namespaces/path_mtu.rs"]
mod path_mtu;
#[path = "namespaces/ping.rs"]
mod ping;
#[path = "namespaces/plan.rs"]
mod plan;
#[path = "namespaces/survival.rs"]
mod survival;
#[path = "namespaces/traffic.rs"]
mod traffic;
#[path = "namespaces/tunnel_checks.rs"]
mod tunnel_checks;
#[path = "namespaces/two_interfaces.rs"]
mod two_interfaces;
