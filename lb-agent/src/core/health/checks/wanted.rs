//! What a configuration asks of each backend.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Encapsulation, HealthCheck, HealthKind, HealthVia, Pool};

use super::{Checked, Key, Tunnel};
use crate::core::health::{Hold, Load};

/// What stands for the port of a check that asks none.
const NO_PORT: u16 = 0;
/// Port of DNS servers.
const DNS_PORT: u16 = 53;

/// What a pool says of its checks besides what they ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Policy {
    pub(super) hold: Hold,
    pub(super) report_port: Option<u16>,
}

impl Policy {
    /// What is still known of a server's load: nothing, if nobody asks for it any more.
    pub(super) fn known_load(self, known: Option<&Checked>) -> Load {
        known.filter(|_| self.report_port.is_some()).map(|known| known.load).unwrap_or_default()
    }
}

/// What a configuration asks of a backend: the check, where it connects, and the backend's own address.
pub(super) struct Wanted {
    pub(super) check: Arc<HealthCheck>,
    pub(super) address: SocketAddr,
    pub(super) place: IpAddr,
    pub(super) encapsulation: Encapsulation,
    pub(super) policy: Policy,
}

impl Wanted {
    /// The way there, if that is the tunnel.
    pub(super) fn tunnel(&self) -> Option<Tunnel> {
        let (backend, encapsulation) = (self.place, self.encapsulation);
        let tunnel = Tunnel { backend, encapsulation, index: BackendIndex::NONE };
        (self.check.via == HealthVia::Tunnel).then_some(tunnel)
    }

    /// Whether this is how it is checked already.
    pub(super) fn is_as(&self, known: &Checked) -> bool {
        let same_way = known.tunnel.is_none_or(|it| it.encapsulation == self.encapsulation);
        known.check == self.check
            && known.address == self.address
            && known.place() == self.place
            && same_way
    }
}

/// The checks that a configuration asks for.
pub(super) fn wanted(desired: &Desired) -> BTreeMap<Key, Wanted> {
    let of_pool = |(name, pool): (&String, &Pool)| {
        let check = Arc::new(pool.health.clone()?);
        let (vip, port) = match check.via {
            HealthVia::Tunnel => {
                let vip = check.vip(name, &desired.services)?;
                (Some(vip.ip()), vip.port())
            }
            HealthVia::Direct => {
                (None, check.port.or_else(|| default_port(&check.kind, desired, name))?)
            }
        };
        let hold = Hold { first: pool.failover.hold_down, longest: pool.failover.hold_down_max };
        let policy = Policy { hold, report_port: pool.adapt.and_then(|adapt| adapt.report_port) };
        let backends = pool.backends.iter().map(|(backend, spec)| {
            let place = spec.address;
            let address = SocketAddr::new(vip.unwrap_or(place), port);
            let (check, encapsulation) = (Arc::clone(&check), pool.encapsulation);
            let wanted = Wanted { check, address, place, encapsulation, policy };
            ((name.clone(), backend.clone()), wanted)
        });
        Some(backends.collect::<Vec<_>>())
    };
    desired.pools.iter().filter_map(of_pool).flatten().collect()
}

/// The port of a check that names none.
fn default_port(kind: &HealthKind, desired: &Desired, pool: &str) -> Option<u16> {
    match kind {
        HealthKind::Tcp | HealthKind::Http(_) | HealthKind::Grpc(_) => service_port(desired, pool),
        HealthKind::Dns(_) => Some(DNS_PORT),
        HealthKind::Icmp => Some(NO_PORT),
        HealthKind::Exec(_) => service_port(desired, pool).or(Some(NO_PORT)),
    }
}

/// The lowest port of the first TCP service of a pool, by name.
fn service_port(desired: &Desired, pool: &str) -> Option<u16> {
    let mut services = desired.services.values().filter(|service| service.is_checked_for(pool));
    services.find_map(|service| service.ports.first().copied())
}
