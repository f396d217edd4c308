//! Checks of the services: addresses, ports, the pools they name, and each against the others.

use std::collections::{BTreeMap, BTreeSet};
use std::format;
use std::net::IpAddr;
use std::string::String;
use std::vec::Vec;

use super::pools::insert;
use super::values;
use crate::config::desired::{Protocol, Service};
use crate::config::error::Findings;
use crate::config::file::{ConfigFile, ServiceFile, limit};
use crate::config::position::Path;
use crate::config::read::closest;

/// Every service of the file, by name.
pub(super) fn services(
    file: &ConfigFile,
    findings: &mut Findings,
) -> Option<BTreeMap<String, Service>> {
    let list = Path::Root.field("services");
    let names = file.services.iter().map(|service| service.name.as_str());
    values::unique_names(names, &list, findings);
    let mut checks = Checks {
        pools: file.pools.iter().map(|pool| pool.name.as_str()).collect(),
        owners: BTreeMap::new(),
    };
    let mut services = Some(BTreeMap::new());
    for (index, file) in file.services.iter().enumerate() {
        let path = list.item(index);
        let name = values::name(&file.name, &path.field("name"), findings);
        let service = checks.service(file, &path, findings);
        insert(&mut services, name, service);
    }
    services
}

/// What the services share.
struct Checks<'a> {
    /// Names of the pools.
    pools: BTreeSet<&'a str>,
    /// Who has taken a VIP, protocol and port.
    owners: BTreeMap<(IpAddr, Protocol, u16), &'a str>,
}

impl<'a> Checks<'a> {
    fn service(
        &mut self,
        file: &'a ServiceFile,
        path: &Path<'_>,
        findings: &mut Findings,
    ) -> Option<Service> {
        let vip = values::address(&file.vip, &path.field("vip"), findings);
        let ports = ports(&file.ports, &path.field("ports"), findings);
        if let (Some(vip), Some(ports)) = (vip, &ports) {
            let path = path.field("ports");
            for (index, port) in ports.iter().enumerate() {
                self.take(file, (vip, file.protocol, *port), &path.item(index), findings);
            }
        }
        self.pool(&file.pool, &path.field("pool"), findings);
        let mut ports = ports?;
        ports.sort_unstable();
        Some(Service { vip: vip?, protocol: file.protocol, ports, pool: file.pool.clone() })
    }

    /// Two services cannot both have the packets to one VIP, protocol and port.
    fn take(
        &mut self,
        file: &'a ServiceFile,
        key: (IpAddr, Protocol, u16),
        path: &Path<'_>,
        findings: &mut Findings,
    ) {
        if let Some(owner) = self.owners.get(&key) {
            let (vip, protocol, port) = key;
            let protocol = protocol.name();
            let message = format!("{vip} {protocol} port {port} is taken by service \"{owner}\"");
            findings.add(path, message);
        } else {
            self.owners.insert(key, &file.name);
        }
    }

    fn pool(&self, name: &str, path: &Path<'_>, findings: &mut Findings) {
        if self.pools.contains(name) {
            return;
        }
        let known: Vec<_> = self.pools.iter().copied().collect();
        let hint = closest(name, &known)
            .map(|near| format!("; did you mean \"{near}\"?"))
            .unwrap_or_default();
        findings.add(path, format!("there is no pool {name:?}{hint}"));
    }
}

/// The ports in the file's order.
fn ports(numbers: &[i64], list: &Path<'_>, findings: &mut Findings) -> Option<Vec<u16>> {
    if numbers.is_empty() {
        findings.add(list, "at least one port is needed; 0 alone means any port");
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut ports = Vec::new();
    for (index, number) in numbers.iter().enumerate() {
        let path = list.item(index);
        let port = values::in_range(*number, &limit::SERVICE_PORT, &path, findings);
        let port = port.and_then(|port| u16::try_from(port).ok());
        if !seen.insert(number) {
            findings.add(&path, format!("port {number} is listed twice"));
        } else if port == Some(0) && numbers.len() > 1 {
            findings.add(&path, "port 0 means any port and stands alone");
        }
        ports.push(port);
    }
    // A port that is listed twice is reported once, here, and not as taken by its own service.
    if seen.len() < numbers.len() { None } else { ports.into_iter().collect() }
}
