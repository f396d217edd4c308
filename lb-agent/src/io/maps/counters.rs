//! Counters: one for each CPU in the kernel, their sums here.

use std::collections::BTreeMap;

use aya::maps::{MapData, PerCpuArray, PerCpuValues};
use lb_common::abi::{BackendIndex, Counter, map};
use lb_common::verdict::{PinEvent, Reason};

use super::arrays::from_words;
use super::{CounterWords, Maps, MapsError, kernel, words_of};

impl Maps {
    /// Packets and bytes by reason.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn reason_counters(&self) -> Result<BTreeMap<Reason, Counter>, MapsError> {
        let count = |reason: &Reason| {
            let counter = sum(&self.reason_counters, reason.index(), map::REASON_COUNTERS)?;
            Ok((*reason, counter))
        };
        Reason::ALL.iter().map(count).collect()
    }

    /// How often there was trouble with a pin.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn pin_events(&self, event: PinEvent) -> Result<u64, MapsError> {
        Ok(sum(&self.pin_counters, event.index(), map::PIN_COUNTERS)?.packets)
    }

    /// Packets and bytes of a service.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn service_counter(&self, service: u32) -> Result<Counter, MapsError> {
        sum(&self.service_counters, service, map::SERVICE_COUNTERS)
    }

    /// Packets and bytes of a backend.
    ///
    /// # Errors
    /// The map cannot be read.
    pub fn backend_counter(&self, index: BackendIndex) -> Result<Counter, MapsError> {
        sum(&self.backend_counters, u32::from(index.value()), map::BACKEND_COUNTERS)
    }
}

pub(super) fn sum(
    counters: &PerCpuArray<MapData, CounterWords>,
    index: u32,
    name: &'static str,
) -> Result<Counter, MapsError> {
    let per_cpu = counters.get(&index, 0).map_err(kernel("read", name))?;
    Ok(per_cpu.iter().fold(Counter::default(), |sum, words| {
        let counter: Counter = from_words(*words);
        Counter { packets: sum.packets + counter.packets, bytes: sum.bytes + counter.bytes }
    }))
}

pub(super) fn reset(
    counters: &mut PerCpuArray<MapData, CounterWords>,
    index: u32,
    name: &'static str,
) -> Result<(), MapsError> {
    let cpus = aya::util::nr_cpus().map_err(|(_, source)| MapsError::Mmap { name, source })?;
    let zeroes = PerCpuValues::try_from(vec![[0; words_of::<Counter>()]; cpus])
        .map_err(|source| MapsError::Mmap { name, source })?;
    counters.set(index, zeroes, 0).map_err(kernel("write", name))
}
