//! `status` and `version`.

use lb_common::api::{HealthCounts, Item, PinStatus, ReasonCount, Status};
use serde::Serialize;

use super::number::{bytes, count, exact};
use super::table::{Cell, Palette, Table, Tone, facts};
use super::{LocalItem, View};
use crate::error::plural;

/// A loop that is so late is worth a word: a command may wait as long.
const LATE_MS: u64 = 100;

impl View for Item<Status> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        let status = &self.item;
        let mut sections = vec![header(status, self.generation)];
        if !status.interfaces.is_empty() {
            let mut table = Table::new(&["INTERFACE", "IFINDEX", "MODE", "PROGRAM"]);
            for interface in &status.interfaces {
                let slow = interface.mode == "generic";
                let tone = if slow { Tone::Warn } else { Tone::Plain };
                table.row(vec![
                    interface.name.as_str().into(),
                    interface.ifindex.to_string().into(),
                    Cell::toned(interface.mode.as_str(), tone),
                    interface.program_id.to_string().into(),
                ]);
            }
            sections.push(table.text(palette));
        }
        sections.push(reasons(&status.reasons, wide, palette));
        if !status.warnings.is_empty() {
            let mut text = palette.paint(Tone::Warn, "Warnings:");
            for warning in &status.warnings {
                text.push_str("\n  - ");
                text.push_str(warning);
            }
            sections.push(text + "\n");
        }
        sections.join("\n")
    }

    fn names(&self) -> Vec<String> {
        vec![format!("node/{}", self.item.node)]
    }
}

/// `3 up, 1 down`
fn health(HealthCounts { up, down, unknown }: HealthCounts) -> String {
    if up + down + unknown == 0 {
        return "none configured".to_owned();
    }
    let unknown = if unknown > 0 { format!(", {unknown} unknown") } else { String::new() };
    format!("{up} up, {down} down{unknown}")
}

fn header(status: &Status, generation: u64) -> String {
    let adopted = if status.adopted { ", adopted the maps of an earlier agent" } else { "" };
    let late = match status.loop_lag_ms {
        0..LATE_MS => String::new(),
        late => format!(", its loop up to {late} ms late"),
    };
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", plural(count));
    facts(&[
        ("Node", status.node.clone()),
        ("Agent", format!("{}, pid {}{late}", status.agent_version, status.pid)),
        ("Started", format!("{}{adopted}", status.started_at)),
        ("Configuration", format!("{}, generation {generation}", status.config_file)),
        (
            "Objects",
            [
                counted(status.services, "service"),
                counted(status.pools, "pool"),
                counted(status.backends, "backend"),
            ]
            .join(", "),
        ),
        ("Health checks", health(status.health)),
        (
            "Maps",
            format!(
                "{}, layout {}, pinned in {}",
                bytes(status.map_memory_bytes),
                status.layout_version,
                status.pin_dir
            ),
        ),
        ("Flow pins", pins(&status.pins)),
    ])
}

/// What is wrong is told only when it is.
fn pins(pins: &PinStatus) -> String {
    let PinStatus { capacity, used, evicted, full, slots_in_transition } = *pins;
    let slots = if slots_in_transition == 1 { "slot" } else { "slots" };
    let always = format!(
        "{} of {}, {} {slots} in transition",
        exact(used),
        exact(capacity),
        exact(slots_in_transition)
    );
    let lost = [(evicted, "evicted"), (full, "found no room")];
    let lost = lost.into_iter().filter(|(count, _)| *count > 0);
    let lost = lost.map(|(count, what)| format!("{} {what}", exact(count)));
    [always].into_iter().chain(lost).collect::<Vec<_>>().join(", ")
}

fn reasons(reasons: &[ReasonCount], wide: bool, palette: Palette) -> String {
    let shown: Vec<_> = reasons.iter().filter(|reason| wide || reason.packets > 0).collect();
    if shown.is_empty() {
        return "No packet has been seen yet.\n".to_owned();
    }
    let mut header = vec!["REASON", "VERDICT", "PACKETS", "BYTES"];
    if wide {
        header.push("MEANING");
    }
    let mut table = Table::new(&header);
    for reason in shown {
        let dropping = reason.verdict == "drop" && reason.packets > 0;
        let tone = if dropping { Tone::Warn } else { Tone::Plain };
        let mut row = vec![
            Cell::toned(reason.reason.as_str(), tone),
            reason.verdict.as_str().into(),
            count(reason.packets).into(),
            bytes(reason.bytes).into(),
        ];
        if wide {
            row.push(reason.help.as_str().into());
        }
        table.row(row);
    }
    table.text(palette)
}

/// Who runs which version.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the document")]
pub(crate) struct Versions {
    /// Version of `lb-ctl`.
    pub(crate) client_version: &'static str,
    /// Version of the agent; absent when none answers.
    pub(crate) agent_version: Option<String>,
    /// Layout version of the agent's maps.
    pub(crate) layout_version: Option<u32>,
}

impl View for LocalItem<Versions> {
    fn text(&self, _wide: bool, _palette: Palette) -> String {
        let agent = match (&self.item.agent_version, self.item.layout_version) {
            (Some(version), Some(layout)) => format!("{version}, map layout {layout}"),
            _ => "does not answer".to_owned(),
        };
        facts(&[
            ("lb-ctl", format!("{}, API {}", self.item.client_version, self.api_version)),
            ("agent", agent),
        ])
    }

    fn names(&self) -> Vec<String> {
        let client = format!("lb-ctl/{}", self.item.client_version);
        let agent = self.item.agent_version.as_ref().map(|version| format!("lb-agent/{version}"));
        [client].into_iter().chain(agent).collect()
    }
}
