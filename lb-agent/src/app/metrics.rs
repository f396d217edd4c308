//! Metrics: what is told at a scrape, and the address that they are told at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::UNIX_EPOCH;

use lb_common::config::Pool;
use lb_common::verdict::PinEvent;
use tracing::{info, warn};

use super::agent::Agent;
use super::events::with_causes;
use super::{AgentError, flows, health};
use crate::core::effective::State;
use crate::core::health::{Checked, Condition};
use crate::io::maps::MapsError;
use crate::io::metrics::{BackendSample, CheckSample, Listener, PinSample, Scraper, Snapshot};
use crate::io::pins::mode_name;
use crate::io::pulse::Moment;

/// Where metrics are told, if the configuration wants it.
#[derive(Debug)]
pub(super) struct Exporter {
    scraper: Scraper,
    listener: Option<Listener>,
    /// Why they are not told although they should be.
    pub(super) failure: Option<String>,
}

/// What a change of the configuration does to the address.
#[derive(Debug)]
pub(super) enum Address {
    /// It stays.
    Kept,
    /// There is none any more.
    Given,
    /// It is another; nobody is answered there yet.
    Taken(Listener),
}

impl Exporter {
    /// One that tells nothing yet.
    pub(super) const fn new(scraper: Scraper) -> Self {
        Self { scraper, listener: None, failure: None }
    }

    /// Takes the address that a configuration wants. Nothing is changed yet.
    pub(super) async fn consider(&self, wanted: Option<SocketAddr>) -> Result<Address, AgentError> {
        let current = self.listener.as_ref().map(Listener::address);
        match wanted {
            wanted if wanted == current => Ok(Address::Kept),
            None => Ok(Address::Given),
            Some(address) => Ok(Address::Taken(Listener::bind(address).await?)),
        }
    }

    /// Tells metrics there from now on, and nowhere else.
    pub(super) fn change_to(&mut self, address: Address) {
        match address {
            Address::Kept => {}
            Address::Given => self.listener = None,
            Address::Taken(mut listener) => {
                listener.serve(&self.scraper);
                info!(address = %listener.address(), "metrics are told");
                self.listener = Some(listener);
            }
        }
        self.failure = None;
    }
}

impl Agent {
    /// Sees to it that metrics are told where the configuration wants it. That is no reason not to
    /// balance: what cannot be done is shown by `status`, and tried again.
    pub(super) async fn keep_exporting(&mut self) {
        match self.exporter.consider(self.desired.metrics).await {
            Ok(Address::Kept) => {}
            Ok(address) => self.exporter.change_to(address),
            Err(error) => {
                let failure = with_causes(&error);
                if self.exporter.failure.as_ref() != Some(&failure) {
                    warn!(failure, "metrics are not told");
                }
                self.exporter.failure = Some(failure);
            }
        }
    }

    /// Everything that is told at a scrape.
    pub(super) fn snapshot(&self) -> Result<Snapshot, MapsError> {
        let maps = &self.datapath.maps;
        let started = self.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let services = self.desired.services.keys().map(|name| {
            let index = self.derived.naming.ids.service(name);
            let counter = index.map(|index| maps.service_counter(index)).transpose()?;
            Ok((name.clone(), counter.unwrap_or_default()))
        });
        let active = |pool: &str| {
            let pool = self.derived.effective().get(pool).into_iter().flat_map(BTreeMap::values);
            pool.filter(|backend| backend.state == State::Active).count()
        };
        let pools = self.desired.pools.keys();
        let mut backends = Vec::new();
        for (name, pool) in &self.desired.pools {
            self.add_backends(&mut backends, name, pool)?;
        }
        Ok(Snapshot {
            node: self.desired.node.name.clone(),
            started_at_s: started.as_secs_f64(),
            loop_lag_s: self.pulse.liveness(Moment::now()).lag.as_secs_f64(),
            generation: self.state.generation,
            refused: self.refused,
            events_lost: self.journal.lost(),
            interfaces: self.interface_samples(),
            reasons: maps.reason_counters()?.into_iter().collect(),
            services: services.collect::<Result<_, MapsError>>()?,
            pools: pools
                .map(|name| (name.clone(), active(name), health::is_panic(self, name)))
                .collect(),
            backends,
            pins: self.pin_sample()?,
        })
    }

    fn interface_samples(&self) -> Vec<(String, &'static str, bool)> {
        let attached = self.attachments.iter();
        let attached = attached.map(|(name, there)| (name.clone(), mode_name(there.generic), true));
        let others = self.not_attached.keys().map(|name| (name.clone(), "none", false));
        attached.chain(others).collect()
    }

    fn add_backends(
        &self,
        samples: &mut Vec<BackendSample>,
        name: &str,
        pool: &Pool,
    ) -> Result<(), MapsError> {
        let effective = self.derived.effective().get(name);
        let count = |index| self.datapath.maps.backend_counter(index);
        for backend in pool.backends.keys() {
            let index = self.derived.naming.ids.backend(name, backend);
            let effective = effective.and_then(|pool| pool.get(backend));
            samples.push(BackendSample {
                pool: name.to_owned(),
                name: backend.clone(),
                counter: index.map(count).transpose()?.unwrap_or_default(),
                is_active: effective.is_some_and(|backend| backend.state == State::Active),
                weight: effective.map_or(0, |backend| backend.weight.value()),
                flows: flows::flows_of(self, index),
                checks: self.health.of(name, backend).map(check_sample),
            });
        }
        Ok(())
    }

    fn pin_sample(&self) -> Result<PinSample, MapsError> {
        let event = |event| Ok((event, self.datapath.maps.pin_events(event)?));
        Ok(PinSample {
            used: self.transitions.flows.values().sum(),
            capacity: u64::from(self.desired.limits.pins),
            events: PinEvent::ALL.into_iter().map(event).collect::<Result<_, MapsError>>()?,
            slots: self.transitions.restless as u64,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds to show, far below 2^52 ns")]
fn check_sample(checked: &Checked) -> CheckSample {
    let took_s = checked.last().map(|last| last.outcome.took_ns as f64 / 1e9);
    CheckSample {
        is_up: checked.machine.condition() == Condition::Up,
        passed: checked.passed,
        failed: checked.failed,
        not_made: checked.not_made,
        took_s,
    }
}
