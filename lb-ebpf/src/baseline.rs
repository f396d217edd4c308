//! lb-baseline: what the balancer is measured against, made of the balancer's own pipeline.
//!
//! The same balancer behind a kernel LRU hash of flows, and parts of it by themselves. `cargo xtask
//! bench` loads them beside the balancer, with maps of their own.

#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(unreachable_pub, reason = "aya's entry point macro makes such an item")]

mod counting;
mod frame;
#[path = "baseline/lru.rs"]
mod lru;
#[path = "baseline/parts.rs"]
mod parts;
mod shared;
mod stats;
mod tables;
