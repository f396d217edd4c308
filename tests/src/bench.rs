//! What the balancer costs, measured in the kernel: `cargo xtask bench`.
//!
//! The driver of lb-bench (a BPF program) makes packets and calls one candidate with each: the
//! balancer as the agent loads it, a constant encapsulation, a baseline that keeps every flow, or
//! nothing at all, which is what the driver itself costs and is subtracted. [`workloads`] is the
//! table of what is measured, [`rounds`] measures it, [`kernel`] is the driver's handle.

pub mod chart;
pub mod kernel;
pub mod latency;
pub mod live;
pub mod maps;
pub mod one_core;
pub mod report;
pub mod rest;
pub mod rounds;
pub mod statistics;
pub mod table_build;
pub mod workloads;
