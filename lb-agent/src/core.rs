//! What the agent decides, as pure functions and plain values.
//!
//! [`desired`](lb_common::config::Desired) x [`overrides`] x [`health`] -> [`steering`] -> [`target`] -> [`plan`]:
//! configuration and operator commands give effective weights; with the ways to the backends these
//! give the contents the maps should have; and the difference to what they hold is an ordered list
//! of operations. Nothing here reads a clock, a file or a socket, or knows tokio or aya.

pub mod diff;
pub mod drain;
pub mod effective;
pub mod events;
pub mod health;
pub mod ids;
pub mod moves;
pub mod naming;
pub mod overrides;
pub mod plan;
pub mod rotation;
#[cfg(test)]
pub(crate) mod samples;
pub mod settings;
#[cfg(test)]
mod simulation;
pub mod steering;
pub mod sweep;
pub mod tables;
pub mod target;
pub mod way;
