//! `config show`, `diff`, `apply` and `validate`.

use lb_common::api::{
    ChangeKind, ConfigDiff, ConfigText, ConfigVersion, Item, List, Move, StateBackup,
};
use serde::Serialize;

use super::number::{bytes, count, share};
use super::table::{Cell, Palette, Table, Tone};
use super::{LocalItem, View};
use crate::error::plural;

impl View for Item<ConfigText> {
    /// The text alone, so that `config show > FILE` gives a file to apply.
    fn text(&self, wide: bool, _palette: Palette) -> String {
        let text = &self.item.text;
        if wide {
            format!("# {}, generation {}\n{text}", self.item.file, self.generation)
        } else {
            text.clone()
        }
    }

    fn names(&self) -> Vec<String> {
        vec![format!("config/{}", self.item.file)]
    }
}

impl View for List<ConfigVersion> {
    fn text(&self, _wide: bool, palette: Palette) -> String {
        let mut table = Table::new(&["GENERATION", "APPLIED", "BY", "CHANGES", ""]);
        for version in &self.items {
            table.row(vec![
                version.generation.to_string().into(),
                version.applied_at.as_str().into(),
                version.source.as_str().into(),
                version.changes.to_string().into(),
                Cell::toned(if version.running { "running" } else { "" }, Tone::Good),
            ]);
        }
        if self.items.is_empty() { String::new() } else { table.text(palette) }
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|version| format!("generation/{}", version.generation)).collect()
    }
}

impl View for Item<StateBackup> {
    /// A file for `state import`, whatever the form: there is nothing else to do with it.
    fn text(&self, _wide: bool, _palette: Palette) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        vec![format!("state/{}", self.item.node)]
    }
}

impl View for Item<ConfigDiff> {
    fn text(&self, _wide: bool, palette: Palette) -> String {
        plan_text(&self.item, self.generation, palette)
    }

    fn names(&self) -> Vec<String> {
        self.item.changes.iter().map(|change| change.object.replacen(' ', "/", 1)).collect()
    }
}

/// The changes as a table, and their number; then what moves.
pub(crate) fn plan_text(plan: &ConfigDiff, generation: u64, palette: Palette) -> String {
    let changes = &plan.changes;
    if changes.is_empty() {
        return format!("No differences from generation {generation}.\n");
    }
    let mut table = Table::new(&["ACTION", "OBJECT", "DETAIL"]);
    for change in changes {
        let (action, tone) = match change.kind {
            ChangeKind::Add => ("add", Tone::Good),
            ChangeKind::Remove => ("remove", Tone::Bad),
            ChangeKind::Modify => ("modify", Tone::Warn),
        };
        table.row(vec![
            Cell::toned(action, tone),
            change.object.as_str().into(),
            change.detail.as_str().into(),
        ]);
    }
    let number = |kind| changes.iter().filter(|change| change.kind == kind).count();
    format!(
        "{}\nPlan against generation {generation}: {} to add, {} to modify, {} to remove.\n{}",
        table.text(palette),
        number(ChangeKind::Add),
        number(ChangeKind::Modify),
        number(ChangeKind::Remove),
        moves_text(&plan.moves),
    )
}

/// What moves, a line for each pool, and for each service that goes to another.
fn moves_text(moves: &[Move]) -> String {
    let line = |moved: &Move| {
        let fate = if moved.keeps_flows {
            "flows of before stay where they are"
        } else {
            "flows of before move too, and break"
        };
        let pinned = match moved.flows_pinned {
            0 => String::new(),
            flows => format!(" ({} pinned now)", count(flows)),
        };
        let what = match &moved.service {
            None => format!("{} of pool {} moves", share(moved.share), moved.pool),
            Some(service) => format!("service {service} leaves pool {}", moved.pool),
        };
        format!("{what}; {fate}{pinned}.\n")
    };
    moves.iter().map(line).collect()
}

/// What a valid configuration file holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct CheckedConfig {
    /// Name of the file.
    pub(crate) file: String,
    /// Always true: an invalid one is an error.
    pub(crate) valid: bool,
    /// Number of services.
    pub(crate) services: usize,
    /// Number of pools.
    pub(crate) pools: usize,
    /// Number of backends.
    pub(crate) backends: usize,
    /// What the maps of its limits take of a host's memory.
    pub(crate) map_memory_bytes: u64,
    /// And more for each possible CPU.
    pub(crate) map_memory_bytes_per_cpu: u64,
}

impl View for LocalItem<CheckedConfig> {
    fn text(&self, _wide: bool, _palette: Palette) -> String {
        let CheckedConfig { file, services, pools, backends, .. } = &self.item;
        format!(
            "{file} is valid: {services} service{}, {pools} pool{}, {backends} backend{}\n\
             memory of its maps: {}, and {} for each CPU\n",
            plural(*services),
            plural(*pools),
            plural(*backends),
            bytes(self.item.map_memory_bytes),
            bytes(self.item.map_memory_bytes_per_cpu),
        )
    }

    fn names(&self) -> Vec<String> {
        vec![format!("config/{}", self.item.file)]
    }
}
