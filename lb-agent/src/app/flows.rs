//! What the API says of pinned flows, and of backends that are only there for theirs.

use lb_common::abi::{BackendEntry, BackendIndex};
use lb_common::api::{Backend, Operator, PinStatus, Traffic};
use lb_common::verdict::PinEvent;

use super::agent::Agent;
use super::views::next_hop;
use crate::core::target::outer_destination;
use crate::io::maps::MapsError;

/// The pin table as the last sweep found it.
pub(super) fn pin_status(agent: &Agent) -> Result<PinStatus, MapsError> {
    let maps = &agent.datapath.maps;
    Ok(PinStatus {
        capacity: u64::from(agent.desired.limits.pins),
        used: agent.transitions.flows.values().sum(),
        evicted: maps.pin_events(PinEvent::Evicted)?,
        full: maps.pin_events(PinEvent::Full)?,
        slots_in_transition: agent.transitions.restless as u64,
    })
}

/// Flows pinned to a backend, as the last sweep counted them.
pub(super) fn flows_of(agent: &Agent, index: Option<BackendIndex>) -> u64 {
    index.and_then(|index| agent.transitions.flows.get(&index)).copied().unwrap_or(0)
}

/// Flows pinned to the backends of a pool, those that are leaving included.
pub(super) fn flows_of_pool(agent: &Agent, pool: &str) -> u64 {
    let pool = agent.derived.naming.ids.pool(pool);
    let is_its = |(_, entry): &(&BackendIndex, &BackendEntry)| pool == Some(entry.pool.into());
    let backends = agent.observed.backends.iter().filter(is_its);
    backends.map(|(index, _)| flows_of(agent, Some(*index))).sum()
}

/// Those of the `leaving` backends that are a pool's: they have left the configuration and still
/// have flows. The maps do not hold their names, so each goes by its address.
pub(super) fn leaving(
    agent: &Agent,
    leaving: &[BackendIndex],
    pool: &str,
) -> Result<Vec<Backend>, MapsError> {
    let pool_index = agent.derived.naming.ids.pool(pool);
    let mut views = Vec::new();
    for index in leaving.iter().copied() {
        let Some(entry) = agent.observed.backends.get(&index) else { continue };
        if pool_index != Some(entry.pool.into()) {
            continue;
        }
        let address = outer_destination(entry);
        let counter = agent.datapath.maps.backend_counter(index)?;
        views.push(Backend {
            pool: pool.to_owned(),
            name: address.to_string(),
            address,
            tier: 0,
            state: "leaving".to_owned(),
            health: "unchecked".to_owned(),
            weight_configured: 0,
            weight_effective: 0,
            operator: Operator::default(),
            drain: None,
            share: 0.0,
            flows: flows_of(agent, Some(index)),
            next_hop: next_hop(agent, pool, address),
            traffic: Traffic { packets: counter.packets, bytes: counter.bytes },
        });
    }
    Ok(views)
}
