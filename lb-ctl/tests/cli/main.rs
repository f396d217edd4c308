//! Claims about `lb-ctl` as a program: what it asks, what it prints where, and how it ends.
//!
//! Each test runs the real binary against a fake agent that gives canned answers on a Unix socket
//! of its own, so the tests need no privileges and run side by side.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this crate is tests: a panic fails the test"
)]

mod agent;
mod changes;
mod events;
mod failures;
mod forms;
mod offline;
mod reading;
mod run;
