//! `backend list`, `backend show` and what a changed backend is reported as.

use lb_common::api::{Backend, DrainStatus, Item, List, NextHop, NextHopState};

use super::View;
use super::number::{bytes, count, share};
use super::table::{Cell, Palette, Table, Tone, facts};

impl View for List<Backend> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        table(&self.items, wide, palette)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(name).collect()
    }
}

impl View for Item<Backend> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        if wide {
            return table(std::slice::from_ref(&self.item), true, palette);
        }
        let backend = &self.item;
        let state = palette.paint(tone(&backend.state), &backend.state);
        let mut known = vec![
            ("Backend", full_name(backend)),
            ("Address", backend.address.to_string()),
            ("State", state),
            ("Health", backend.health.clone()),
            ("Weight", weight(backend)),
            ("Share", format!("{} of new flows", share(backend.share))),
            ("Flows", format!("{} pinned to it", count(backend.flows))),
            ("Tier", backend.tier.to_string()),
            ("Operator", operator(backend)),
            ("Next hop", next_hop_words(&backend.next_hop, palette)),
            (
                "Forwarded",
                format!(
                    "{} packets, {}",
                    count(backend.traffic.packets),
                    bytes(backend.traffic.bytes)
                ),
            ),
        ];
        known.extend(backend.drain.iter().map(|drain| ("Drain", drain_whole(drain))));
        facts(&known)
    }

    fn names(&self) -> Vec<String> {
        vec![name(&self.item)]
    }
}

/// What a change has made of a backend, in one line.
pub(crate) fn change_line(backend: &Backend, palette: Palette) -> String {
    let drain = backend.drain.iter().map(|drain| format!("; {}", drain_words(drain)));
    format!(
        "{} is {}: weight {}, {} of new flows{}",
        name(backend),
        palette.paint(tone(&backend.state), &backend.state),
        weight(backend),
        share(backend.share),
        drain.collect::<String>()
    )
}

/// How far a drain is, in a few words.
pub(crate) fn drain_words(drain: &DrainStatus) -> String {
    let flows = drain.flows_left.map_or_else(
        || "flows are being counted".to_owned(),
        |left| format!("{} left", flows(left)),
    );
    match (drain.state.as_str(), &drain.estimated_end) {
        ("done", _) => "done: nothing leads to it any more".to_owned(),
        ("forced", _) => "done by force: the flows left at the deadline were ended".to_owned(),
        ("overdue", _) => format!("{flows}, and the deadline has passed"),
        (_, Some(end)) => format!("{flows}, done at about {end}"),
        (_, None) => flows,
    }
}

fn flows(number: u64) -> String {
    if number == 1 { "1 flow".to_owned() } else { format!("{} flows", count(number)) }
}

fn drain_whole(drain: &DrainStatus) -> String {
    let since = drain.since.iter().map(|since| format!("since {since}"));
    let force = if drain.force_at_deadline { ", then by force" } else { "" };
    let deadline = drain.deadline.iter().map(|deadline| format!("deadline {deadline}{force}"));
    let words = [drain_words(drain)].into_iter().chain(since).chain(deadline);
    words.collect::<Vec<_>>().join("; ")
}

fn full_name(backend: &Backend) -> String {
    format!("{}/{}", backend.pool, backend.name)
}

fn name(backend: &Backend) -> String {
    format!("backend/{}", full_name(backend))
}

fn table(backends: &[Backend], wide: bool, palette: Palette) -> String {
    if backends.is_empty() {
        return String::new();
    }
    let mut header = vec!["BACKEND", "ADDRESS", "TIER", "STATE", "HEALTH", "WEIGHT", "SHARE"];
    header.extend(["NEXT HOP", "PACKETS"]);
    if wide {
        header.extend(["BYTES", "FLOWS", "OPERATOR", "INTERFACE", "MAC", "MTU", "PROBLEM"]);
    }
    let mut table = Table::new(&header);
    for backend in backends {
        let mut row = vec![
            full_name(backend).into(),
            backend.address.to_string().into(),
            backend.tier.to_string().into(),
            Cell::toned(backend.state.as_str(), tone(&backend.state)),
            backend.health.as_str().into(),
            weight(backend).into(),
            share(backend.share).into(),
            next_hop(&backend.next_hop),
            count(backend.traffic.packets).into(),
        ];
        if wide {
            row.extend(wide_cells(backend));
        }
        table.row(row);
    }
    table.text(palette)
}

fn wide_cells(backend: &Backend) -> [Cell; 7] {
    let hop = &backend.next_hop;
    [
        bytes(backend.traffic.bytes).into(),
        count(backend.flows).into(),
        operator(backend).into(),
        Cell::optional(hop.interface.as_ref()),
        Cell::optional(hop.mac.as_ref()),
        Cell::optional(hop.mtu_bytes),
        Cell::optional(hop.problem.as_ref()),
    ]
}

fn tone(state: &str) -> Tone {
    match state {
        "active" => Tone::Good,
        "draining" | "drained" | "leaving" | "disabled" => Tone::Warn,
        "down" => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// The weight in force, and the file's where that differs.
fn weight(backend: &Backend) -> String {
    let (effective, configured) = (backend.weight_effective, backend.weight_configured);
    if effective == configured {
        effective.to_string()
    } else {
        format!("{effective} (file: {configured})")
    }
}

fn operator(backend: &Backend) -> String {
    let weight = backend.operator.weight.map(|weight| format!("weight={weight}"));
    let drain = backend.operator.drain.then(|| "drain".to_owned());
    let changes: Vec<String> = weight.into_iter().chain(drain).collect();
    if changes.is_empty() { "-".to_owned() } else { changes.join(",") }
}

fn next_hop(hop: &NextHop) -> Cell {
    match hop.state {
        NextHopState::Resolved => Cell::optional(hop.gateway),
        NextHopState::Unresolved => Cell::toned("unresolved", Tone::Bad),
    }
}

fn next_hop_words(hop: &NextHop, palette: Palette) -> String {
    let gateway = hop.gateway.map(|gateway| gateway.to_string());
    let interface = hop.interface.as_ref().map(|interface| format!("on {interface}"));
    let mac = hop.mac.as_ref().map(|mac| format!("at {mac}"));
    let mtu = hop.mtu_bytes.map(|mtu| format!("MTU {mtu}"));
    let known: Vec<String> = [gateway, interface, mac, mtu].into_iter().flatten().collect();
    match hop.state {
        NextHopState::Resolved => known.join(" "),
        NextHopState::Unresolved => {
            let problem = hop.problem.as_deref().unwrap_or("no reason given");
            format!("{}: {problem}", palette.paint(Tone::Bad, "unresolved"))
        }
    }
}
