//! The service table: a new set of services goes to the half that is not current.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use aya::Ebpf;
use lb_common::abi::{ServiceDirectory, ServiceEntry, ServiceHalf, ServiceKey, ServicePlace, map};
use lb_common::config::Limits;
use lb_common::services::{self, ServiceTable};

use super::arrays::{MappedArray, mapped};
use super::{MapsError, await_readers, words_of};
use crate::io::sys::MappedWords;

/// The maps of the service table.
pub(super) struct Services {
    directory: MappedArray<ServiceDirectory, { words_of::<ServiceDirectory>() }>,
    buckets: MappedWords,
    places: MappedArray<ServicePlace, { words_of::<ServicePlace>() }>,
    /// Of a half.
    most_buckets: u32,
    /// Of a half.
    most_places: u32,
}

impl Services {
    pub(super) fn take(ebpf: &mut Ebpf, limits: &Limits) -> Result<Self, MapsError> {
        let most_buckets = services::buckets(limits.services);
        let most_places = services::places(limits.services);
        Ok(Self {
            directory: MappedArray::take(ebpf, map::SERVICE_DIRECTORY, 1)?,
            buckets: mapped(ebpf, map::SERVICE_BUCKETS, 2 * most_buckets as usize)?,
            places: MappedArray::take(ebpf, map::SERVICES, 2 * most_places as usize)?,
            most_buckets,
            most_places,
        })
    }

    /// The services of the current half.
    pub(super) fn read(&self) -> BTreeMap<ServiceKey, ServiceEntry> {
        let directory = self.directory.read(0);
        let [first, second] = directory.halves;
        let half = if directory.current == 0 { first } else { second };
        (0..half.places as usize)
            .map(|place| self.places.read(half.first_place as usize + place))
            .filter(|place| *place != ServicePlace::default())
            .map(|place| (place.key, place.entry))
            .collect()
    }

    /// Makes these the services.
    pub(super) fn replace(&self, table: &ServiceTable) -> Result<(), MapsError> {
        let directory = self.write_beside(table)?;
        // All that was written before is seen by whoever sees this.
        self.directory.put(0, &directory);
        Ok(())
    }

    /// Writes services to the half that is not current; the directory that makes it so.
    pub(super) fn write_beside(&self, table: &ServiceTable) -> Result<ServiceDirectory, MapsError> {
        if table.half.buckets > self.most_buckets || table.half.places > self.most_places {
            return Err(MapsError::TooManyServices { services: table.services().len() });
        }
        // Nobody reads the other half any more; it was current before the last change.
        await_readers()?;
        let ServiceDirectory { current, halves: [first, second] } = self.directory.read(0);
        let other = u64::from(current == 0);
        let half = ServiceHalf {
            first_bucket: if other == 0 { 0 } else { self.most_buckets },
            first_place: if other == 0 { 0 } else { self.most_places },
            ..table.half
        };
        let buckets = self.buckets.words().get(half.first_bucket as usize..).unwrap_or_default();
        for (cell, multiplier) in buckets.iter().zip(&table.buckets) {
            cell.store(*multiplier, Ordering::Relaxed);
        }
        for (index, place) in (half.first_place as usize..).zip(&table.places) {
            self.places.put(index, place);
        }
        let halves = if other == 0 { [half, second] } else { [first, half] };
        self.directory.put(0, &ServiceDirectory { current, halves });
        Ok(ServiceDirectory { current: other, halves })
    }
}
