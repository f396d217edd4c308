//! Weights that follow the servers, slowly: by what they report, and by how fast they answer.

use std::collections::BTreeMap;

use lb_common::config::{Adapt, Weight};

use super::EffectivePool;
use crate::core::effective::State;
use crate::core::health::{Known, nanoseconds};

/// What is added to each time before times are compared: below that they are noise.
const NOISE_NS: u64 = 1_000_000;
/// Percent points that are not worth a change of the table.
const DEAD_BAND: u8 = 5;

/// Percent of their weights that backends have, and since when.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Adapted {
    percents: BTreeMap<String, u8>,
    at_ns: Option<u64>,
}

impl Adapted {
    /// A backend had this of its whole weight.
    pub(super) fn adopt(&mut self, backend: &str, weight: u16, whole: Weight) {
        let whole = u32::from(whole.value().max(1));
        let percent = (u32::from(weight) * 100 + whole / 2) / whole;
        let percent = u8::try_from(percent.clamp(1, 100)).unwrap_or(100);
        self.percents.insert(backend.to_owned(), percent);
    }

    /// Goes one step, if it is time for one; when it is next.
    pub(super) fn step(
        &mut self,
        adapt: Option<&Adapt>,
        (backends, known): (&EffectivePool, &BTreeMap<&str, Known>),
        now_ns: u64,
    ) -> Option<u64> {
        let Some(adapt) = adapt else {
            *self = Self::default();
            return None;
        };
        let every_ns = nanoseconds(adapt.every);
        let next_ns = self.at_ns.map_or(now_ns, |at_ns| at_ns.saturating_add(every_ns));
        if now_ns < next_ns {
            return Some(next_ns);
        }
        let fastest_ns = fastest_ns(backends, known);
        let percents = backends.keys().map(|name| {
            let known = known.get(name.as_str()).copied().unwrap_or_default();
            let is = self.percents.get(name).copied().unwrap_or(100);
            // Who has not been heard yet keeps what it has.
            let heard = known.answer_ns.is_some();
            let wanted = if heard { wanted(adapt, known, fastest_ns) } else { is };
            (name.clone(), toward(is, wanted, adapt.step))
        });
        self.percents = percents.collect();
        self.at_ns = Some(now_ns);
        Some(now_ns.saturating_add(every_ns))
    }

    /// How much of its weight a backend has.
    pub(super) fn percent(&self, backend: &str) -> Option<u8> {
        self.percents.get(backend).copied()
    }
}

/// The shortest answer of those that can take traffic.
fn fastest_ns(backends: &EffectivePool, known: &BTreeMap<&str, Known>) -> Option<u64> {
    let ready = backends.iter().filter(|(_, backend)| backend.state == State::Active);
    ready.filter_map(|(name, _)| known.get(name.as_str())?.answer_ns).min()
}

/// What a backend can take, in percent of its weight.
fn wanted(adapt: &Adapt, known: Known, fastest_ns: Option<u64>) -> u8 {
    let reported = if adapt.report_port.is_some() { u64::from(known.load.percent) } else { 100 };
    let by_time = match (adapt.response_time, known.answer_ns, fastest_ns) {
        (true, Some(own_ns), Some(fastest_ns)) => {
            let own_ns = own_ns.max(fastest_ns).saturating_add(NOISE_NS);
            (fastest_ns.saturating_add(NOISE_NS).saturating_mul(100) + own_ns / 2) / own_ns
        }
        _ => 100,
    };
    let percent = (reported * by_time / 100).clamp(u64::from(adapt.floor), 100);
    u8::try_from(percent).unwrap_or(100)
}

/// At most a step nearer to what is wanted; no change that is too small to matter, but to the whole.
fn toward(is: u8, wanted: u8, step: u8) -> u8 {
    if is.abs_diff(wanted) < DEAD_BAND && wanted < 100 {
        return is;
    }
    wanted.clamp(is.saturating_sub(step), is.saturating_add(step).min(100))
}
