//! The agent: loads the XDP program, keeps its maps equal to configuration x operator overrides,
//! follows next hops, and serves the control API.
//!
//! [`core`] decides (pure), [`io`] touches the world, [`app`] is the one loop that owns both.

pub mod app;
pub mod core;
pub mod io;
