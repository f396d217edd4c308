//! Whom checks ask: a port is needed, and through the tunnel a VIP, and a type that can ask one.

use std::collections::BTreeMap;
use std::format;
use std::string::String;

use crate::config::desired::{HealthCheck, HealthKind, HealthVia, Pool, Service};
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

/// Refuses checks of pools in use that would have nobody to ask: no port, or no VIP.
pub(in crate::config::validate) fn questions(
    file: &ConfigFile,
    pools: &BTreeMap<String, Pool>,
    services: &BTreeMap<String, Service>,
    findings: &mut Findings,
) {
    let list = Path::Root.field("pools");
    for (index, pool) in file.pools.iter().enumerate() {
        let checked = pools.get(&pool.name).and_then(|pool| pool.health.as_ref());
        let Some(check) = checked else { continue };
        let path = list.item(index);
        let path = path.field("health");
        match check.via {
            HealthVia::Direct => direct(check, (&pool.name, services), &path, findings),
            HealthVia::Tunnel => tunnelled(check, (&pool.name, services), &path, findings),
        }
    }
}

fn direct(
    check: &HealthCheck,
    (pool, services): (&str, &BTreeMap<String, Service>),
    path: &Path<'_>,
    findings: &mut Findings,
) {
    let needs_port =
        matches!(check.kind, HealthKind::Tcp | HealthKind::Http(_) | HealthKind::Grpc(_));
    let is_used = services.values().any(|service| service.pool == pool);
    let has_port =
        check.port.is_some() || services.values().any(|service| service.is_checked_for(pool));
    if needs_port && is_used && !has_port {
        let message = "is needed: no service with protocol tcp and a port has this pool";
        findings.add(&path.field("port"), message);
    }
}

fn tunnelled(
    check: &HealthCheck,
    (pool, services): (&str, &BTreeMap<String, Service>),
    path: &Path<'_>,
    findings: &mut Findings,
) {
    let Some(protocol) = check.kind.tunnelled_protocol() else { return };
    if check.vip(pool, services).is_some() {
        return;
    }
    let fits = |service: &Service| service.pool == pool && service.protocol == protocol;
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
