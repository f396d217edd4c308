//! What probes through the tunnel have more than others: the mark of their sockets, and the proof
//! that they were wrapped.
//!
//! lb-probe counts what it wraps for each backend. A probe of which it has wrapped nothing went to
//! nobody that the agent meant, whatever came of it: the route to the VIP leads past the program, or
//! the filter or the mark has been taken away. It says nothing about the backend.

use std::io;
use std::os::fd::AsFd;

use lb_common::abi::{ProbeCount, ProbeMark};
use socket2::SockRef;

use super::steps::Steps;
use super::{Failure, NotAsked};
use crate::core::health::{Probe, Tunnel};
use crate::io::tunnel::{ProbeCounts, refusal};

/// The mark of a probe's packets, if they go through the tunnel.
pub(super) fn mark(probe: &Probe) -> Option<ProbeMark> {
    probe.tunnel.map(|tunnel| ProbeMark::of(tunnel.index))
}

/// Puts a mark on all that a socket will send.
pub(super) fn set_mark(socket: &impl AsFd, mark: Option<ProbeMark>) -> io::Result<()> {
    mark.map_or(Ok(()), |mark| SockRef::from(socket).set_mark(mark.value()))
}

/// Watches over one probe.
pub(super) struct Watch<'c> {
    tunnel: Tunnel,
    counts: &'c ProbeCounts,
    before: ProbeCount,
}

impl<'c> Watch<'c> {
    /// From now on; none over a probe that is not for the tunnel.
    pub(super) fn begin(
        probe: &Probe,
        counts: Option<&'c ProbeCounts>,
        steps: &mut Steps,
    ) -> Result<Option<Self>, NotAsked> {
        let Some(tunnel) = probe.tunnel else { return Ok(None) };
        steps.begin("tunnel");
        let counts = counts.ok_or(NotAsked::NotLoaded)?;
        steps.done(|| {
            let Tunnel { backend, encapsulation, index } = tunnel;
            let (mark, vip) = (ProbeMark::of(index).value(), probe.address.ip());
            let (index, how) = (index.value(), encapsulation.name());
            format!("packets to VIP {vip} with mark {mark:#x} are wrapped ({how}) for {backend}, backend {index} in the maps")
        });
        Ok(Some(Self { tunnel, counts, before: counts.of_backend(tunnel.index) }))
    }

    /// What a probe came to, in the light of what became of its packets.
    pub(super) fn judge(
        &self,
        result: Result<String, Failure>,
        steps: &mut Steps,
    ) -> Result<(bool, String), NotAsked> {
        let now = self.counts.of_backend(self.tunnel.index);
        let wrapped = now.wrapped.wrapping_sub(self.before.wrapped);
        let refused = now.refused.wrapping_sub(self.before.refused);
        let (passed, detail) = told(result);
        steps.fail(&detail);
        steps.begin("wrapped");
        let reason = refusal(&now);
        steps.done(|| match refused {
            0 => format!("{wrapped} packets"),
            _ => format!("{wrapped} packets, and {refused} dropped: {reason}"),
        });
        match (wrapped, refused) {
            (0, 0) => Err(NotAsked::NotWrapped { came_to: detail }),
            (0, _) => Ok((false, format!("cannot be wrapped: {reason}"))),
            (_, 0) => Ok((passed, detail)),
            (_, _) if passed => Ok((true, detail)),
            (_, _) => Ok((false, format!("{detail} ({refused} packets not wrapped: {reason})"))),
        }
    }
}

/// Whether it passed, and what happened.
pub(super) fn told(result: Result<String, Failure>) -> (bool, String) {
    match result {
        Ok(detail) => (true, detail),
        Err(failure) => (false, failure.to_string()),
    }
}
