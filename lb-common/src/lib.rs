//! What every part of the load balancer shares: the packet pipeline, the layout of the BPF maps,
//! the Maglev table builder, the configuration and the types of the control API.
//!
//! The pipeline ([`datapath`]) is `no_std` and free of unsafe code: the kernel program and the
//! tests on the host run the same function. Everything that needs `std` sits behind a feature, so
//! that the BPF build pulls in none of it.

// Derive macros of the API types expect the std prelude, so `std` brings it as a whole.
#![cfg_attr(not(feature = "std"), no_std)]
#![forbid(unsafe_code)]

pub mod abi;
#[cfg(feature = "api")]
pub mod api;
pub mod bench;
#[cfg(feature = "config")]
pub mod config;
pub mod datapath;
pub mod frame;
pub mod hash;
#[cfg(feature = "std")]
pub mod image;
#[cfg(feature = "std")]
pub mod maglev;
pub mod metrics;
pub mod name_hash;
#[cfg(feature = "std")]
pub mod services;
pub mod tables;
pub mod verdict;
pub mod wire;
