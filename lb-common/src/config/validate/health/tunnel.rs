//! Checks that go through the tunnel: a VIP to ask is needed, and a type that can ask one.

use std::collections::BTreeMap;
use std::format;
use std::string::String;

use crate::config::desired::{HealthVia, Pool, Service};
use crate::config::error::Findings;
use crate::config::file::{ConfigFile, HealthFile, HealthType};
use crate::config::position::Path;

/// Refuses the types whose probes cannot go through a tunnel.
pub(super) fn refuse_types(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) {
    if file.via != HealthVia::Tunnel {
        return;
    }
    let why = match file.kind {
        HealthType::Icmp => "an echo to a VIP is answered by the balancer itself",
        HealthType::Exec => "the connections of a command are its own",
        HealthType::Tcp
        | HealthType::Http
        | HealthType::Https
        | HealthType::Dns
        | HealthType::Grpc => return,
    };
    let kind = file.kind.name();
    let message = format!("a check of type {kind} cannot go through the tunnel: {why}");
    findings.add(&path.field("via"), message);
}

/// Refuses checks through the tunnel of pools that no VIP leads to.
pub(in crate::config::validate) fn tunnels(
    file: &ConfigFile,
    pools: &BTreeMap<String, Pool>,
    services: &BTreeMap<String, Service>,
    findings: &mut Findings,
) {
    let list = Path::Root.field("pools");
    for (index, pool) in file.pools.iter().enumerate() {
        let name = &pool.name;
        let checked = pools.get(name).and_then(|pool| pool.health.as_ref());
        let Some(check) = checked.filter(|check| check.via == HealthVia::Tunnel) else { continue };
        let Some(protocol) = check.kind.tunnelled_protocol() else { continue };
        if check.vip(name, services).is_some() {
            continue;
        }
        let path = list.item(index);
        let path = path.field("health");
        let fits = |service: &Service| service.pool == *name && service.protocol == protocol;
        if services.values().any(fits) {
            let message = "is needed: the services of this pool take any port, and through the tunnel one of them is asked";
            findings.add(&path.field("port"), message);
        } else {
            let protocol = protocol.name();
            let message = format!(
                "no service with protocol {protocol} has this pool, and through the tunnel the VIP of one is asked"
            );
            findings.add(&path.field("via"), message);
        }
    }
}
