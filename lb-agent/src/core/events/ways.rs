//! Next hops that become known or unknown: one event for each, however many backends are behind it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lb_common::api::EventKind;

use super::Occurrence;
use crate::core::way::{Way, Ways};

/// As many backends are named; of the others there is the number.
const NAMED: usize = 4;

/// What has become of the next hops. Backends with the same change of the same one share an event,
/// and so do all that have no route.
pub fn of_ways(before: &Ways, after: &Ways) -> Vec<Occurrence> {
    let mut changes: BTreeMap<Change, Behind<'_>> = BTreeMap::new();
    for (address, way) in after {
        let was = before.get(address);
        if was != Some(way) {
            let behind = changes.entry(Change::of(was, way)).or_default();
            behind.backends.push(*address);
            if let Way::Unknown { problem, .. } = way {
                behind.problem.get_or_insert(problem);
            }
        }
    }
    changes.into_iter().map(|(change, behind)| occurrence(change, &behind)).collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    /// None without a route.
    next_hop: Option<IpAddr>,
    from: Option<String>,
    to: String,
    is_known: bool,
}

/// The backends of a change, and why the first of them cannot be reached.
#[derive(Default)]
struct Behind<'w> {
    backends: Vec<IpAddr>,
    problem: Option<&'w str>,
}

impl Change {
    fn of(was: Option<&Way>, is: &Way) -> Self {
        let (next_hop, is_known) = match is {
            Way::Known { gateway, .. } => (Some(*gateway), true),
            Way::Unknown { gateway, .. } => (*gateway, false),
        };
        Self { next_hop, from: was.map(place), to: place(is), is_known }
    }
}

fn occurrence(change: Change, Behind { backends, problem }: &Behind<'_>) -> Occurrence {
    let Change { next_hop, from, to, is_known } = change;
    let named: Vec<_> = backends.iter().take(NAMED).map(ToString::to_string).collect();
    let more = match backends.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let whose = format!("the way to {}{more}", named.join(", "));
    let reason = problem.map_or_else(|| whose.clone(), |problem| format!("{whose}: {problem}"));
    let kind = if is_known { EventKind::NextHopKnown } else { EventKind::NextHopUnknown };
    let name = next_hop.map_or_else(|| "none".to_owned(), |next_hop| next_hop.to_string());
    Occurrence { kind, object: format!("next_hop {name}"), from, to: Some(to), reason }
}

/// `02:00:00:00:00:01 on eth0, MTU 1600`, or `unknown`
fn place(way: &Way) -> String {
    match way {
        Way::Known { link, mac, mtu_bytes, .. } => {
            let mac = mac.map(|byte| format!("{byte:02x}")).join(":");
            format!("{mac} on {}, MTU {mtu_bytes}", link.name)
        }
        Way::Unknown { .. } => "unknown".to_owned(),
    }
}
