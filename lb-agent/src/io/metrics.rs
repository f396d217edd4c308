//! Metrics: what the loop saw at a scrape, and how it is told to Prometheus.
//!
//! The loop only reads counters into a [`Snapshot`]; the text, megabytes of it for thousands of
//! backends, is made on another thread. Names and help come from [`Metric`].

mod server;

use std::fmt;

use lb_common::abi::Counter;
use lb_common::metrics::{Metric, MetricKind};
use lb_common::verdict::{PinEvent, Reason};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio::task;

use super::maps::MapsError;
pub use server::{ListenError, Listener};

/// Media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is told at one scrape.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Name of the node.
    pub node: String,
    /// When the agent started, in seconds of Unix time.
    pub started_at_s: f64,
    /// How late the loop came.
    pub loop_lag_s: f64,
    /// Generation of the configuration.
    pub generation: u64,
    /// Configurations that were refused.
    pub refused: u64,
    /// Events that followers lost.
    pub events_lost: u64,
    /// Name and mode of each interface, and whether the program runs there.
    pub interfaces: Vec<(String, &'static str, bool)>,
    /// By reason.
    pub reasons: Vec<(Reason, Counter)>,
    /// By service.
    pub services: Vec<(String, Counter)>,
    /// By pool: backends that take new flows, and whether it is in panic.
    pub pools: Vec<(String, usize, bool)>,
    /// By backend.
    pub backends: Vec<BackendSample>,
    /// The pin table.
    pub pins: PinSample,
}

/// One backend.
#[derive(Clone, Debug, Default)]
pub struct BackendSample {
    /// Pool.
    pub pool: String,
    /// Name inside the pool.
    pub name: String,
    /// What was sent to it.
    pub counter: Counter,
    /// Whether it takes new flows.
    pub is_active: bool,
    /// Weight in force.
    pub weight: u16,
    /// Flows pinned to it.
    pub flows: u64,
    /// Its checks, if there are any.
    pub checks: Option<CheckSample>,
}

/// The checks of one backend.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckSample {
    /// Whether they say that it is up.
    pub is_up: bool,
    /// Results that passed.
    pub passed: u64,
    /// Results that did not.
    pub failed: u64,
    /// Probes that could not be asked.
    pub not_made: u64,
    /// How long the last took.
    pub took_s: Option<f64>,
}

/// The pin table.
#[derive(Clone, Debug, Default)]
pub struct PinSample {
    /// Pins of live flows.
    pub used: u64,
    /// Pins there is room for.
    pub capacity: u64,
    /// What went wrong, how often.
    pub events: Vec<(PinEvent, u64)>,
    /// Slots in transition.
    pub slots: u64,
}

/// There are no metrics to be had.
#[derive(Debug, Error)]
pub enum ScrapeError {
    /// The loop has ended.
    #[error("the agent is shutting down")]
    Ended,
    /// A map cannot be read.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// A number cannot be written.
    #[error("cannot write the metrics as text")]
    Encode(#[source] fmt::Error),
}

/// A scrape on its way to the loop, with the way back.
pub type Scrape = oneshot::Sender<Result<Snapshot, MapsError>>;

/// Asks the loop for what it sees, and makes text of it.
#[derive(Clone, Debug)]
pub struct Scraper(mpsc::Sender<Scrape>);

impl Scraper {
    /// One that asks whoever holds the other end.
    pub const fn new(scrapes: mpsc::Sender<Scrape>) -> Self {
        Self(scrapes)
    }

    /// The metrics as text.
    ///
    /// # Errors
    /// The loop has ended, or cannot read a map.
    pub async fn text(&self) -> Result<String, ScrapeError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.map_err(|_unsent| ScrapeError::Ended)?;
        let snapshot = answered.await.map_err(|_unanswered| ScrapeError::Ended)??;
        let text = task::spawn_blocking(move || snapshot.text());
        // It fails only if the runtime ends.
        text.await.map_err(|_stopped| ScrapeError::Ended)?.map_err(ScrapeError::Encode)
    }
}

impl Snapshot {
    /// The text that Prometheus reads.
    ///
    /// # Errors
    /// A number cannot be written: there is no such number.
    pub fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut written = String::new();
        text::encode(&mut written, &registry)?;
        Ok(written)
    }

    fn encode_metric(&self, metric: Metric, family: &mut Family<'_>) -> fmt::Result {
        let Self { interfaces, reasons, services, pools, backends, pins, .. } = self;
        match metric {
            Metric::AgentInfo => {
                let version = env!("CARGO_PKG_VERSION");
                family.add(&[("node", self.node.as_str()), ("version", version)], 1)
            }
            Metric::AgentStartTime => family.seconds(self.started_at_s),
            Metric::LoopLag => family.seconds(self.loop_lag_s),
            Metric::ConfigGeneration => family.number(self.generation),
            Metric::ConfigRefused => family.number(self.refused),
            Metric::EventsLost => family.number(self.events_lost),
            Metric::InterfaceAttached => family.all(interfaces, |(name, mode, is_attached)| {
                Some(([("interface", name.as_str()), ("mode", mode)], u64::from(*is_attached)))
            }),
            Metric::ReasonPackets => {
                family.all(reasons, |(reason, counter)| Some((labels_of(*reason), counter.packets)))
            }
            Metric::ReasonBytes => {
                family.all(reasons, |(reason, counter)| Some((labels_of(*reason), counter.bytes)))
            }
            Metric::ServicePackets => family.all(services, |(name, counter)| {
                Some(([("service", name.as_str())], counter.packets))
            }),
            Metric::ServiceBytes => family.all(services, |(name, counter)| {
                Some(([("service", name.as_str())], counter.bytes))
            }),
            Metric::PoolActive => family
                .all(pools, |(name, active, _)| Some(([("pool", name.as_str())], *active as u64))),
            Metric::PoolPanic => family.all(pools, |(name, _, is_panic)| {
                Some(([("pool", name.as_str())], u64::from(*is_panic)))
            }),
            Metric::BackendPackets => family.each(backends, |each| Some(each.counter.packets)),
            Metric::BackendBytes => family.each(backends, |each| Some(each.counter.bytes)),
            Metric::BackendUp => family.each(backends, |each| Some(u64::from(each.checks?.is_up))),
            Metric::BackendActive => family.each(backends, |each| Some(u64::from(each.is_active))),
            Metric::BackendWeight => family.each(backends, |each| Some(u64::from(each.weight))),
            Metric::BackendFlows => family.each(backends, |each| Some(each.flows)),
            Metric::Checks => family.checks(backends),
            Metric::CheckDuration => family.check_durations(backends),
            Metric::PinsUsed => family.number(pins.used),
            Metric::PinsCapacity => family.number(pins.capacity),
            Metric::PinEvents => {
                family.all(&pins.events, |(event, count)| Some(([("event", event.name())], *count)))
            }
            Metric::SlotsInTransition => family.number(pins.slots),
        }
    }
}

impl BackendSample {
    fn labels(&self) -> [(&'static str, &str); 2] {
        [("pool", self.pool.as_str()), ("backend", self.name.as_str())]
    }
}

const fn labels_of(reason: Reason) -> [(&'static str, &'static str); 2] {
    [("reason", reason.name()), ("verdict", reason.verdict().name())]
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for metric in Metric::ALL.iter().copied() {
            let kind = match metric.kind() {
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
            };
            let encoder = encoder.encode_descriptor(metric.name(), metric.help(), None, kind)?;
            self.encode_metric(metric, &mut Family { encoder, kind: metric.kind() })?;
        }
        Ok(())
    }
}

fn encode(encoder: &mut MetricEncoder<'_>, kind: MetricKind, value: u64) -> fmt::Result {
    match kind {
        MetricKind::Counter => encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None),
        MetricKind::Gauge => encoder.encode_gauge(&value),
    }
}

/// The samples of one metric.
struct Family<'e> {
    encoder: MetricEncoder<'e>,
    kind: MetricKind,
}

impl Family<'_> {
    /// The only sample of a metric without labels.
    fn number(&mut self, value: u64) -> fmt::Result {
        encode(&mut self.encoder, self.kind, value)
    }

    /// The same, of a gauge.
    fn seconds(&mut self, value: f64) -> fmt::Result {
        self.encoder.encode_gauge(&value)
    }

    fn add(&mut self, labels: &impl EncodeLabelSet, value: u64) -> fmt::Result {
        encode(&mut self.encoder.encode_family(labels)?, self.kind, value)
    }

    fn all<'t, T, L: EncodeLabelSet>(
        &mut self,
        things: &'t [T],
        sample: impl Fn(&'t T) -> Option<(L, u64)>,
    ) -> fmt::Result {
        things.iter().filter_map(sample).try_for_each(|(labels, value)| self.add(&labels, value))
    }

    fn each(
        &mut self,
        backends: &[BackendSample],
        value: impl Fn(&BackendSample) -> Option<u64>,
    ) -> fmt::Result {
        self.all(backends, |backend| Some((backend.labels(), value(backend)?)))
    }

    fn checks(&mut self, backends: &[BackendSample]) -> fmt::Result {
        for backend in backends {
            let Some(CheckSample { passed, failed, not_made, .. }) = backend.checks else {
                continue;
            };
            let [pool, name] = backend.labels();
            self.add(&[pool, name, ("result", "passed")], passed)?;
            self.add(&[pool, name, ("result", "failed")], failed)?;
            self.add(&[pool, name, ("result", "not_made")], not_made)?;
        }
        Ok(())
    }

    fn check_durations(&mut self, backends: &[BackendSample]) -> fmt::Result {
        for backend in backends {
            if let Some(took_s) = backend.checks.and_then(|checks| checks.took_s) {
                self.encoder.encode_family(&backend.labels())?.encode_gauge(&took_s)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
