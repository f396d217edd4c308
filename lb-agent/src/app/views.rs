//! Documents: the agent's state in the words of the API.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use lb_common::abi::{BackendIndex, Counter, Features, LAYOUT_VERSION};
use lb_common::api::{
    API_VERSION, Backend, ConfigText, InterfaceStatus, Item, List, NextHop, NextHopState, Operator,
    Problem, ReasonCount, Service, Status, Traffic,
};
use lb_common::config;
use lb_common::verdict::Reason;
use serde::Serialize;

use super::agent::Agent;
use super::{drain, flows, health};
use crate::core::effective::{EffectivePool, State};
use crate::core::way::{Link, LinkKind, Way};
use crate::io::api_server::Answer;
use crate::io::maps::MapsError;
use crate::io::pins::mode_name;
use crate::io::pulse::Moment;

/// The agent as a whole.
pub(super) fn status(agent: &Agent) -> Answer {
    let counters = agent.datapath.maps.reason_counters().map_err(|error| unreadable(&error))?;
    let liveness = agent.pulse.liveness(Moment::now());
    let status = Status {
        node: agent.desired.node.name.clone(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: rfc3339(agent.started_at),
        config_file: agent.options.config.display().to_string(),
        layout_version: LAYOUT_VERSION,
        pin_dir: agent.pins.root().display().to_string(),
        last_loop_at: rfc3339(liveness.last),
        loop_lag_ms: u64::try_from(liveness.lag.as_millis()).unwrap_or(u64::MAX),
        adopted: agent.datapath.adopted,
        health: health::counts(agent),
        interfaces: interfaces(agent),
        services: agent.desired.services.len(),
        pools: agent.desired.pools.len(),
        backends: agent.desired.pools.values().map(|pool| pool.backends.len()).sum(),
        map_memory_bytes: agent.desired.limits.map_memory().on(agent.host.possible_cpus),
        pins: flows::pin_status(agent).map_err(|error| unreadable(&error))?,
        reasons: counters.into_iter().map(|(reason, count)| reason_count(reason, count)).collect(),
        warnings: warnings(agent),
    };
    item(agent, "Status", status)
}

fn interfaces(agent: &Agent) -> Vec<InterfaceStatus> {
    let interface = |(name, attachment): (&String, &crate::io::bpf::Attachment)| InterfaceStatus {
        name: name.clone(),
        ifindex: attachment.ifindex,
        mode: mode_name(attachment.generic).to_owned(),
        program_id: attachment.program_id,
    };
    agent.attachments.iter().map(interface).collect()
}

fn reason_count(reason: Reason, Counter { packets, bytes }: Counter) -> ReasonCount {
    ReasonCount {
        reason: reason.name().to_owned(),
        verdict: reason.verdict().name().to_owned(),
        help: reason.help().to_owned(),
        packets,
        bytes,
    }
}

/// What needs attention, one sentence each.
fn warnings(agent: &Agent) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(failure) = &agent.reload_failure {
        warnings.push(format!("the last reload was refused: {failure}"));
    }
    if let Some(failure) = &agent.exporter.failure {
        warnings.push(format!("metrics are not told: {failure}"));
    }
    for (interface, reason) in &agent.not_attached {
        warnings.push(format!("{interface} is not attached: {reason}"));
    }
    for (interface, attachment) in agent.attachments.iter() {
        if let Some(reason) = &attachment.fallback {
            warnings.push(format!(
                "{interface} runs in generic mode, expect a tenth of the speed: {reason}"
            ));
        }
    }
    warnings.extend(health::certificate_warnings(agent));
    warnings.extend(agent.idle_checks().into_iter().map(|(_, sentence)| sentence));
    for (pool, spec) in &agent.desired.pools {
        if active(agent.derived.effective().get(pool)) == 0 {
            warnings.push(format!("pool {pool} has no backend that takes new flows"));
        }
        if spec.health.is_some() && !agent.health.is_checked(pool) && !spec.backends.is_empty() {
            warnings.push(format!(
                "pool {pool} is not checked: its check has no port, and no TCP service lends it one"
            ));
        }
        if health::is_panic(agent, pool) {
            warnings.push(format!(
                "pool {pool}: too few backends are up for its checks to be believed, and all are used"
            ));
        }
        let spared = match health::spared(agent, pool) {
            0 => None,
            1 => Some("1 backend fails its checks and is used".to_owned()),
            number => Some(format!("{number} backends fail their checks and are used")),
        };
        if let Some(spared) = spared {
            warnings.push(format!(
                "pool {pool}: {spared}, since no more than {} % may be out",
                spec.failover.max_ejected
            ));
        }
        for (name, backend) in &spec.backends {
            if let NextHop { problem: Some(problem), .. } = next_hop(agent, pool, backend.address) {
                warnings.push(format!("backend {pool}/{name}: {problem}"));
            }
        }
    }
    warnings
}

fn active(pool: Option<&EffectivePool>) -> usize {
    let backends = pool.into_iter().flat_map(BTreeMap::values);
    backends.filter(|backend| backend.state == State::Active).count()
}

/// All services.
pub(super) fn services(agent: &Agent) -> Answer {
    let services: Result<Vec<_>, _> = agent
        .desired
        .services
        .iter()
        .map(|(name, service)| service_view(agent, name, service))
        .collect();
    list(agent, "ServiceList", services.map_err(|error| unreadable(&error))?)
}

/// One service.
pub(super) fn service(agent: &Agent, name: &str) -> Answer {
    let known = &agent.desired.services;
    let service = known.get(name).ok_or_else(|| not_found("service", name, known.keys()))?;
    let view = service_view(agent, name, service).map_err(|error| unreadable(&error))?;
    item(agent, "Service", view)
}

fn service_view(
    agent: &Agent,
    name: &str,
    service: &config::Service,
) -> Result<Service, MapsError> {
    let counter = match agent.derived.naming.ids.service(name) {
        Some(index) => agent.datapath.maps.service_counter(index)?,
        None => Counter::default(),
    };
    let pool = agent.derived.effective().get(&service.pool);
    Ok(Service {
        name: name.to_owned(),
        vip: service.vip,
        protocol: service.protocol.name().to_owned(),
        ports: service.ports.clone(),
        pool: service.pool.clone(),
        backends_active: active(pool),
        backends_total: pool.map_or(0, BTreeMap::len),
        traffic: traffic(counter),
    })
}

/// Refuses a pool that the configuration does not have.
pub(super) fn known_pool(agent: &Agent, pool: Option<&str>) -> Result<(), Problem> {
    let pools = &agent.desired.pools;
    match pool {
        Some(pool) if !pools.contains_key(pool) => Err(not_found("pool", pool, pools.keys())),
        _ => Ok(()),
    }
}

/// All backends, or those of one pool.
pub(super) fn backends(agent: &Agent, only: Option<&str>) -> Answer {
    let pools = &agent.desired.pools;
    known_pool(agent, only)?;
    let mut views = Vec::new();
    let leaving: Vec<_> = agent.leaving().collect();
    for (name, pool) in pools.iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        let shares = agent.derived.tables.shares(name);
        for (backend_name, backend) in &pool.backends {
            let view = backend_view(agent, &shares, (name, backend_name), backend);
            views.push(view.map_err(|error| unreadable(&error))?);
        }
        views.extend(flows::leaving(agent, &leaving, name).map_err(|error| unreadable(&error))?);
    }
    list(agent, "BackendList", views)
}

/// One backend.
pub(super) fn backend(agent: &Agent, pool: &str, name: &str) -> Answer {
    let backend = known_backend(agent, pool, name)?;
    let shares = agent.derived.tables.shares(pool);
    let view = backend_view(agent, &shares, (pool, name), backend);
    item(agent, "Backend", view.map_err(|error| unreadable(&error))?)
}

/// The configuration of a backend.
pub(super) fn known_backend<'a>(
    agent: &'a Agent,
    pool: &str,
    name: &str,
) -> Result<&'a config::Backend, Problem> {
    let pools = &agent.desired.pools;
    let Some(spec) = pools.get(pool) else { return Err(not_found("pool", pool, pools.keys())) };
    let names = || spec.backends.keys().map(|known| format!("{pool}/{known}")).collect::<Vec<_>>();
    let wanted = format!("{pool}/{name}");
    spec.backends.get(name).ok_or_else(|| not_found("backend", &wanted, names().iter()))
}

fn backend_view(
    agent: &Agent,
    shares: &BTreeMap<BackendIndex, f64>,
    (pool, name): (&str, &str),
    backend: &config::Backend,
) -> Result<Backend, MapsError> {
    let index = agent.derived.naming.ids.backend(pool, name);
    let counter = match index {
        Some(index) => agent.datapath.maps.backend_counter(index)?,
        None => Counter::default(),
    };
    let effective = agent.derived.effective().get(pool).and_then(|pool| pool.get(name));
    let by_command = agent.state.overrides.of(pool, name);
    Ok(Backend {
        pool: pool.to_owned(),
        name: name.to_owned(),
        address: backend.address,
        tier: backend.tier,
        state: effective.map_or("", |effective| effective.state.name()).to_owned(),
        health: health::condition_name(agent, pool, name).to_owned(),
        weight_configured: u32::from(backend.weight.value()),
        weight_effective: effective.map_or(0, |effective| u32::from(effective.weight.value())),
        operator: Operator {
            weight: by_command.weight.map(u32::from),
            drain: by_command.drain.is_some(),
        },
        share: index.and_then(|index| shares.get(&index)).copied().unwrap_or(0.0),
        drain: drain::status(agent, pool, name),
        flows: flows::flows_of(agent, index),
        next_hop: next_hop(agent, pool, backend.address),
        traffic: traffic(counter),
    })
}

/// The way to a backend of a pool, as the operator sees it.
pub(super) fn next_hop(agent: &Agent, pool: &str, backend: IpAddr) -> NextHop {
    match agent.ways.get(&backend) {
        Some(Way::Known { gateway, link, mac, mtu_bytes }) => {
            let problem = way_problem(agent, pool, (backend, *gateway), link);
            NextHop {
                state: match problem {
                    None => NextHopState::Resolved,
                    Some(_) => NextHopState::Unresolved,
                },
                gateway: Some(*gateway),
                interface: Some(link.name.clone()),
                mac: Some(mac_text(*mac)),
                mtu_bytes: Some(*mtu_bytes),
                problem,
            }
        }
        Some(Way::Unknown { gateway, link, problem }) => NextHop {
            state: NextHopState::Unresolved,
            gateway: *gateway,
            interface: link.as_ref().map(|link| link.name.clone()),
            mac: None,
            mtu_bytes: None,
            problem: Some(problem.clone()),
        },
        None => NextHop {
            state: NextHopState::Unresolved,
            gateway: None,
            interface: None,
            mac: None,
            mtu_bytes: None,
            problem: Some(format!("the way to {backend} has not been looked up")),
        },
    }
}

/// Why the program does not send a pool's packets by a way that the kernel knows.
fn way_problem(
    agent: &Agent,
    pool: &str,
    (backend, gateway): (IpAddr, IpAddr),
    link: &Link,
) -> Option<String> {
    let is_l2 = |pool: &config::Pool| pool.encapsulation == config::Encapsulation::L2;
    if gateway != backend && agent.desired.pools.get(pool).is_some_and(is_l2) {
        return Some(format!(
            "{backend} is behind {gateway}, and frames of encapsulation l2 go no further than the link"
        ));
    }
    let redirects = agent.settings.features.has(Features::REDIRECT);
    let below = match link.kind {
        LinkKind::Vlan { parent } => parent.is_some_and(|parent| agent.attachments.on(parent)),
        LinkKind::Plain | LinkKind::Veth | LinkKind::Bond { .. } => false,
    };
    let leaves = agent.attachments.on(link.index)
        || below
        || redirects && agent.observed.egress.contains(&link.index);
    (!leaves).then(|| format!("{backend} is reached through {}, which is not attached", link.name))
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn traffic(Counter { packets, bytes }: Counter) -> Traffic {
    Traffic { packets, bytes }
}

/// The running configuration.
pub(super) fn config(agent: &Agent) -> Answer {
    let file = agent.options.config.display().to_string();
    item(agent, "Config", ConfigText { file, text: agent.text.clone() })
}

/// Wraps one thing.
pub(super) fn item<T: Serialize>(agent: &Agent, kind: &str, item: T) -> Answer {
    item_of(agent.state.generation, kind, item)
}

/// The same when the agent is busy with other things.
pub(super) fn item_of<T: Serialize>(generation: u64, kind: &str, item: T) -> Answer {
    let (api_version, kind) = (API_VERSION.to_owned(), kind.to_owned());
    document(Item { api_version, kind, generation, item })
}

/// Wraps many things.
pub(super) fn list<T: Serialize>(agent: &Agent, kind: &str, items: Vec<T>) -> Answer {
    document(List {
        api_version: API_VERSION.to_owned(),
        kind: kind.to_owned(),
        generation: agent.state.generation,
        items,
    })
}

fn document<T: Serialize>(document: T) -> Answer {
    serde_json::to_value(document).map_err(|error| problem("internal", 500, error.to_string()))
}

/// A problem document without further detail.
pub(super) fn problem(kind: &str, status: u16, title: impl Into<String>) -> Problem {
    Problem {
        kind: kind.to_owned(),
        title: title.into(),
        status,
        detail: None,
        did_you_mean: Vec::new(),
        errors: Vec::new(),
    }
}

fn not_found<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a String>) -> Problem {
    Problem {
        did_you_mean: similar(name, known),
        ..problem("not_found", 404, format!("there is no {kind} {name}"))
    }
}

/// The known names that are at most a third of their letters away from `name`, nearest first.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut near: Vec<_> = known
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(slips, known)| slips * 3 <= known.chars().count().max(3))
        .collect();
    near.sort();
    near.into_iter().map(|(_, known)| known.clone()).collect()
}

pub(super) fn unreadable(error: &MapsError) -> Problem {
    problem("internal", 500, error.to_string())
}

/// A time of day as RFC 3339 in UTC, to the second.
pub(super) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}
