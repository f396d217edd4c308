//! Other kernels than this machine's: each is booted by QEMU with the real binaries inside.
//!
//! The host's side packs an initramfs ([`initramfs`]) and runs the machine ([`machine`]). In it the
//! binary `lb-guest` is the first process ([`init`]): it loads the kernel's modules, goes through
//! [`programs`], [`packets`] and [`scenario`], reports each of them in a line of JSON ([`report`]) on a serial
//! port of its own, and powers the machine off. Nothing is judged in the guest: the host knows the
//! same lists, and what was not reported as passed has failed.

mod cpio;
pub mod decapsulation;
pub mod init;
pub mod initramfs;
pub mod kernel;
pub mod machine;
pub mod packets;
pub mod programs;
pub mod report;
pub mod scenario;

/// The kernels, by the series that names their directory. `cargo xtask setup` fetches the same.
pub const SERIES: [&str; 2] = ["6.1", "6.12"];
