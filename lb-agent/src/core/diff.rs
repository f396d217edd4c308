//! What differs between two configurations, in the operator's words.

mod policy;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use lb_common::api::{Change, ChangeKind};
use lb_common::config::{
    Backend, Desired, Encapsulation, Icmp, Interface, Mode, Node, Pool, Prefix, Scheduler,
    ServerId, Service,
};

use super::overrides::{Override, Overrides};

/// Everything that differs from `before` to `after`: what comes first, then what goes.
pub fn diff(before: &Desired, after: &Desired) -> Vec<Change> {
    let mut changes = Vec::new();
    modify(&mut changes, "node", &node(&before.node, &after.node));
    if before.hash_seed != after.hash_seed {
        modify(&mut changes, "cluster", &["hash_seed".to_owned()]);
    }
    let mut limits = Details::default();
    limits.note("services", &before.limits.services, &after.limits.services);
    limits.note("pools", &before.limits.pools, &after.limits.pools);
    limits.note("backends", &before.limits.backends, &after.limits.backends);
    limits.note("table_slots", &before.limits.table_slots, &after.limits.table_slots);
    limits.note("pins", &before.limits.pins, &after.limits.pins);
    limits.note("fragments", &before.limits.fragments, &after.limits.fragments);
    modify(&mut changes, "limits", &limits.0);
    let mut metrics = Details::default();
    metrics.note_as("listen", &before.metrics, &after.metrics, |listen| shown(listen.as_ref()));
    modify(&mut changes, "metrics", &metrics.0);
    maps(&mut changes, "interface", &interfaces(before), &interfaces(after), interface);
    maps(&mut changes, "pool", &before.pools, &after.pools, pool);
    maps(&mut changes, "backend", &backends(before), &backends(after), backend);
    maps(&mut changes, "service", &before.services, &after.services, service);
    // Stable: inside each kind the order above stays.
    changes.sort_by_key(|change| change.kind == ChangeKind::Remove);
    changes
}

/// Says of the backends that go which commands on them are forgotten.
pub fn note_forgotten(changes: &mut [Change], overrides: &Overrides) {
    let gone = changes.iter_mut().filter(|change| change.kind == ChangeKind::Remove);
    for change in gone {
        let name = change.object.strip_prefix("backend ").and_then(|name| name.split_once('/'));
        let Some((pool, backend)) = name else { continue };
        let Override { weight, drain } = overrides.of(pool, backend);
        let weight = weight.map(|weight| format!("weight {weight}"));
        let drain = drain.map(|_| "drain".to_owned());
        let commands: Vec<_> = weight.into_iter().chain(drain).collect();
        if !commands.is_empty() {
            change.detail = format!("with what was ordered: {}", commands.join(", "));
        }
    }
}

fn interfaces(desired: &Desired) -> BTreeMap<String, Interface> {
    desired.interfaces.iter().map(|each| (each.name.clone(), each.clone())).collect()
}

fn backends(desired: &Desired) -> BTreeMap<String, Backend> {
    let in_pool = |(pool, spec): (&String, &Pool)| {
        let pool = pool.clone();
        let backends = spec.backends.clone();
        backends.into_iter().map(move |(name, backend)| (format!("{pool}/{name}"), backend))
    };
    desired.pools.iter().flat_map(in_pool).collect()
}

fn maps<T>(
    changes: &mut Vec<Change>,
    kind: &str,
    before: &BTreeMap<String, T>,
    after: &BTreeMap<String, T>,
    details: impl Fn(&T, &T) -> Vec<String>,
) {
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let object = format!("{kind} {name}");
        match (before.get(name), after.get(name)) {
            (Some(before), Some(after)) => modify(changes, &object, &details(before, after)),
            (None, _) => changes.push(whole(ChangeKind::Add, object)),
            (Some(_), None) => changes.push(whole(ChangeKind::Remove, object)),
        }
    }
}

fn whole(kind: ChangeKind, object: String) -> Change {
    Change { kind, object, detail: String::new() }
}

fn modify(changes: &mut Vec<Change>, object: &str, details: &[String]) {
    if !details.is_empty() {
        let detail = details.join(", ");
        changes.push(Change { kind: ChangeKind::Modify, object: object.to_owned(), detail });
    }
}

/// The fields that differ, one phrase each.
#[derive(Default)]
struct Details(Vec<String>);

impl Details {
    fn note<T: PartialEq + Debug>(&mut self, field: &str, before: &T, after: &T) {
        if before != after {
            self.0.push(format!("{field} {before:?} -> {after:?}"));
        }
    }

    /// For values that a person should not see in Rust's notation.
    fn note_as<T: PartialEq>(
        &mut self,
        field: &str,
        before: &T,
        after: &T,
        show: impl Fn(&T) -> String,
    ) {
        if before != after {
            self.0.push(format!("{field} {} -> {}", show(before), show(after)));
        }
    }
}

fn node(before: &Node, after: &Node) -> Vec<String> {
    let show = |source: &Option<Prefix>| shown(source.as_ref());
    let mut details = Details::default();
    details.note_as("name", &before.name, &after.name, Clone::clone);
    let (v4, v6) = ("encap_source.ipv4", "encap_source.ipv6");
    details.note_as(v4, &before.encap_source_ipv4, &after.encap_source_ipv4, show);
    details.note_as(v6, &before.encap_source_ipv6, &after.encap_source_ipv6, show);
    details.note("gue_port", &before.gue_port, &after.gue_port);
    let Icmp { errors_per_second: errors, echoes_per_second: echoes } = &before.icmp;
    details.note("icmp.errors_per_second", errors, &after.icmp.errors_per_second);
    details.note("icmp.echoes_per_second", echoes, &after.icmp.echoes_per_second);
    details.0
}

fn shown<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), ToString::to_string)
}

fn interface(before: &Interface, after: &Interface) -> Vec<String> {
    let name = |mode: &Mode| match mode {
        Mode::Auto => "auto".to_owned(),
        Mode::Native => "native".to_owned(),
        Mode::Generic => "generic".to_owned(),
    };
    let mut details = Details::default();
    details.note_as("mode", &before.mode, &after.mode, name);
    details.0
}

fn pool(before: &Pool, after: &Pool) -> Vec<String> {
    let mut details = Details::default();
    let scheduler = |scheduler: &Scheduler| scheduler.name().to_owned();
    details.note_as("scheduler", &before.scheduler, &after.scheduler, scheduler);
    let encapsulation = |encapsulation: &Encapsulation| encapsulation.name().to_owned();
    let (was, is) = (&before.encapsulation, &after.encapsulation);
    details.note_as("encapsulation", was, is, encapsulation);
    details.note("table_slots", &before.table_slots, &after.table_slots);
    details.note("flow_idle_timeout", &before.flow_idle_timeout, &after.flow_idle_timeout);
    details.note("udp_idle_timeout", &before.udp_idle_timeout, &after.udp_idle_timeout);
    details.note("quic", &before.quic, &after.quic);
    policy::health(&mut details, before.health.as_ref(), after.health.as_ref());
    policy::failover(&mut details, &before.failover, &after.failover);
    policy::adapt(&mut details, before.adapt.as_ref(), after.adapt.as_ref());
    details.0
}

fn backend(before: &Backend, after: &Backend) -> Vec<String> {
    let mut details = Details::default();
    details.note_as("address", &before.address, &after.address, ToString::to_string);
    details.note("weight", &before.weight.value(), &after.weight.value());
    details.note("tier", &before.tier, &after.tier);
    let name = |id: &Option<ServerId>| shown(id.as_ref());
    details.note_as("quic_server_id", &before.quic_server_id, &after.quic_server_id, name);
    details.0
}

fn service(before: &Service, after: &Service) -> Vec<String> {
    let mut details = Details::default();
    details.note_as("vip", &before.vip, &after.vip, ToString::to_string);
    let name = |protocol: &lb_common::config::Protocol| protocol.name().to_owned();
    details.note_as("protocol", &before.protocol, &after.protocol, name);
    details.note("ports", &before.ports, &after.ports);
    details.note_as("pool", &before.pool, &after.pool, Clone::clone);
    details.0
}

#[cfg(test)]
mod tests;
