//! What a configuration asks of the program itself, beyond what is in the maps.

use lb_common::abi::{self, BackendEntry, Features};
use lb_common::config::{Desired, Encapsulation, Prefix};
use lb_common::image::{Image, State};
use lb_common::verdict::Reply;
use lb_common::wire::gue;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The read-only globals that follow from the configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// What may occur in the maps; the program is loaded without the rest.
    pub features: Features,
    /// UDP port that GUE packets are sent to.
    pub gue_port: u16,
    /// Bits of an IPv4 outer source that the flow hash fills, as a native word.
    pub source_spread_v4: u32,
    /// The same of an IPv6 outer source.
    pub source_spread_v6: [u32; 4],
    /// Time from one reply of each kind to the next, on average and on one CPU, ns; 0 for none.
    pub reply_intervals_ns: [u64; Reply::ALL.len()],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            features: Features::default(),
            gue_port: gue::PORT,
            source_spread_v4: 0,
            source_spread_v6: [0; 4],
            reply_intervals_ns: [1_000_000; Reply::ALL.len()],
        }
    }
}

impl Settings {
    /// What a configuration needs.
    pub fn of(desired: &Desired) -> Self {
        let node = &desired.node;
        let spread = |source: Option<Prefix>| {
            let bytes = source.map(|prefix| prefix.free_bytes()).unwrap_or_default();
            let words: [u32; 4] = zerocopy::transmute!(bytes);
            words
        };
        let [source_spread_v4, ..] = spread(node.encap_source_ipv4);
        let source_spread_v6 = spread(node.encap_source_ipv6);
        let mut features = features(desired);
        if source_spread_v4 != 0 || source_spread_v6 != [0; 4] {
            features = features.with(Features::SOURCE_SPREAD);
        }
        let errors_ns = interval_ns(node.icmp.errors_per_second);
        let echoes_ns = interval_ns(node.icmp.echoes_per_second);
        Self {
            features,
            gue_port: node.gue_port,
            source_spread_v4,
            source_spread_v6,
            reply_intervals_ns: [errors_ns, echoes_ns],
        }
    }

    /// These, and what the maps hold besides: what comes from an earlier configuration works on as
    /// long as it is there.
    #[must_use]
    pub fn covering(mut self, maps: &Image) -> Self {
        self.features = self.features.with(features_in(maps));
        self
    }

    /// These, and what it takes to reach such backends: those that are leaving go on as they were
    /// reached before.
    #[must_use]
    pub fn reaching<'b>(mut self, backends: impl Iterator<Item = &'b BackendEntry>) -> Self {
        for entry in backends {
            self.features = self.features.with(encapsulating(entry));
        }
        self
    }

    /// For the moment in which the maps change from one configuration to another: what either of
    /// them needs, and only outer sources that both allow.
    #[must_use]
    pub fn on_the_way_to(&self, next: &Self) -> Self {
        let mut source_spread_v6 = next.source_spread_v6;
        for (word, before) in source_spread_v6.iter_mut().zip(self.source_spread_v6) {
            *word &= before;
        }
        Self {
            features: self.features.with(next.features),
            source_spread_v4: self.source_spread_v4 & next.source_spread_v4,
            source_spread_v6,
            ..*next
        }
    }

    /// Makes the host's tables work as a program that was loaded with these.
    pub const fn put_into(&self, state: &mut State) {
        state.gue_port = self.gue_port;
        state.source_spread_v4 = self.source_spread_v4;
        state.source_spread_v6 = self.source_spread_v6;
        state.reply_intervals_ns = self.reply_intervals_ns;
    }
}

/// The features of a configuration's pools and interfaces.
fn features(desired: &Desired) -> Features {
    let mut features = Features::default();
    for pool in desired.pools.values() {
        features = features.with(match pool.encapsulation {
            Encapsulation::Ipip => Features::default(),
            Encapsulation::Gue => Features::GUE,
            Encapsulation::Gre => Features::GRE,
            Encapsulation::L2 => Features::L2,
        });
        features = features.with(scheduling(pool.scheduler.in_maps()));
        if !pool.quic.is_empty() {
            features = features.with(Features::QUIC);
        }
    }
    if desired.interfaces.len() > 1 {
        features = features.with(Features::REDIRECT);
    }
    features
}

/// The features of what is in the maps, as far as they show.
fn features_in(maps: &Image) -> Features {
    let mut features = Features::default();
    for entry in maps.backends.values() {
        features = features.with(encapsulating(entry));
    }
    for entry in maps.pools.values() {
        features = features.with(scheduling(abi::Scheduler::from_code(entry.scheduler)));
    }
    if !maps.quic_servers.is_empty() {
        features = features.with(Features::QUIC);
    }
    features
}

const fn encapsulating(backend: &BackendEntry) -> Features {
    match abi::Encapsulation::from_code(backend.encapsulation) {
        Some(abi::Encapsulation::GueV4 | abi::Encapsulation::GueV6) => Features::GUE,
        Some(abi::Encapsulation::GreV4 | abi::Encapsulation::GreV6) => Features::GRE,
        Some(abi::Encapsulation::L2) => Features::L2,
        Some(abi::Encapsulation::IpipV4 | abi::Encapsulation::IpipV6) | None => Features(0),
    }
}

const fn scheduling(scheduler: abi::Scheduler) -> Features {
    match scheduler {
        abi::Scheduler::Maglev => Features(0),
        abi::Scheduler::SourceHash => Features::SOURCE_HASH,
        abi::Scheduler::Rotation | abi::Scheduler::Random | abi::Scheduler::LeastConnections => {
            Features::SCHEDULERS
        }
    }
}

/// Time between messages at a rate; 0 for a rate of none.
const fn interval_ns(per_second: u32) -> u64 {
    if per_second == 0 { 0 } else { NANOSECONDS_PER_SECOND / per_second as u64 }
}

#[cfg(test)]
mod tests;
