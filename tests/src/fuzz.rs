//! What the fuzz targets check: from any bytes to claims that must hold, whatever the bytes say.
//!
//! tests/fuzz has one program for each of [`TARGETS`], which hands libFuzzer's bytes on to the
//! function of the same name; everything else is here, where it is linted and tested like the rest.
//! A claim that does not hold panics. What is expected is written by etherparse or in the plainest
//! way there is, from the RFCs, and shares no code with what is tested.
//!
//! [`Target::seeds`] are the inputs that a run starts from: the fixtures, frames like those of the
//! differential test, and the sample configurations. tests/tests/fuzz.rs takes each through its
//! target without libFuzzer.

mod checksum;
mod classify;
mod forwarded;
mod generated;
mod naive;
mod origin;
mod pipeline;
mod quic;
mod replied;
mod reply;
mod round_trip;
mod seeds;
#[cfg(feature = "kernel")]
mod state;
mod texts;
mod tunnel;

pub use checksum::checksum;
pub use classify::classify;
pub use origin::origin;
pub use pipeline::pipeline;
pub use quic::quic;
pub use reply::reply;
pub use round_trip::round_trip;
#[cfg(feature = "kernel")]
pub use state::state;
pub use texts::{api, config, prefix};
pub use tunnel::tunnel;

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the function, and of the file in `tests/fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Panics if a claim does not hold for these bytes.
    pub check: fn(&[u8]),
    /// Inputs to start from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them, in the order of their names.
pub const TARGETS: &[Target] = &[
    Target { name: "api", check: api, seeds: seeds::api },
    Target { name: "checksum", check: checksum, seeds: seeds::packets },
    Target { name: "classify", check: classify, seeds: seeds::frames },
    Target { name: "config", check: config, seeds: seeds::configurations },
    Target { name: "origin", check: origin, seeds: seeds::origin },
    Target { name: "pipeline", check: pipeline, seeds: seeds::pipeline },
    Target { name: "prefix", check: prefix, seeds: seeds::prefixes },
    Target { name: "quic", check: quic, seeds: seeds::quic },
    Target { name: "reply", check: reply, seeds: seeds::noise },
    Target { name: "round_trip", check: round_trip, seeds: seeds::noise },
    #[cfg(feature = "kernel")]
    Target { name: "state", check: state, seeds: seeds::states },
    Target { name: "tunnel", check: tunnel, seeds: seeds::noise },
];

#[cfg(test)]
mod tests;
