//! What the tests that need a kernel share: hosts made of namespaces, processes, HTTP traffic.
//!
//! [`topology`] builds client, router, balancer and origins as network namespaces and runs the
//! real binaries in them; [`http`] is the traffic, [`flows`] is traffic that lasts; [`process`]
//! starts, watches and ends everything. The tests are in tests/tests/*.rs, by behaviour; the demo
//! is bin/demo.rs, and [`drill`] breaks things. [`guest`] takes all of this to other kernels. Nothing here is shipped, and nothing
//! outlives the test process.

#![forbid(unsafe_code)]

#[cfg(feature = "kernel")]
pub mod bench;
#[cfg(feature = "kernel")]
pub mod drill;
#[expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a fixture that panics fails its test"
)]
pub mod fixture;
#[cfg(feature = "kernel")]
pub mod flows;
#[expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a claim that does not hold panics, which is what libFuzzer looks for"
)]
pub mod fuzz;
#[cfg(feature = "kernel")]
pub mod guest;
#[cfg(feature = "kernel")]
pub mod http;
#[expect(
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a packet that panics fails its test"
)]
pub mod packet;
#[cfg(feature = "kernel")]
pub mod process;
#[cfg(feature = "kernel")]
pub mod topology;
