//! Everything that touches the world: the kernel's maps, programs and routes, files, sockets.
//!
//! These modules carry out what `core` decides and report what they see; none of them decides.

pub mod api_server;
pub mod bpf;
pub mod capabilities;
pub mod clock;
pub mod datapath_log;
pub mod files;
pub mod history;
pub mod host;
pub mod journal;
#[cfg(test)]
mod lab;
pub mod maps;
pub mod metrics;
pub mod netlink;
pub mod origin;
pub mod pins;
pub mod probes;
pub mod pulse;
pub mod state_file;
pub mod supervisor;
mod sys;
pub mod tunnel;
