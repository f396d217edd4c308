//! `trace`.

use lb_common::api::{Item, Trace};

use super::View;
use super::table::{Palette, Table, Tone};

impl View for Item<Trace> {
    fn text(&self, _wide: bool, palette: Palette) -> String {
        let trace = &self.item;
        let tone = match trace.verdict.as_str() {
            "tx" => Tone::Good,
            "drop" => Tone::Bad,
            _ => Tone::Plain,
        };
        let verdict = palette.paint(tone, &trace.verdict);
        let mut text = format!("{verdict} ({}): {}\n", trace.reason, trace.help);
        let service = trace.service.as_ref().map(|name| format!("service {name}"));
        let backend = trace.backend.as_ref().map(|name| format!("backend {name}"));
        let outer = trace.outer_destination.map(|address| format!("outer destination {address}"));
        let found: Vec<String> = [service, backend, outer].into_iter().flatten().collect();
        if !found.is_empty() {
            text.push_str(&found.join(", "));
            text.push('\n');
        }
        if !trace.steps.is_empty() {
            let mut table = Table::new(&["STEP", "DETAIL"]);
            for step in &trace.steps {
                table.row(vec![step.step.as_str().into(), step.detail.as_str().into()]);
            }
            text.push('\n');
            text.push_str(&table.text(palette));
        }
        if !trace.model_agrees {
            let label = palette.paint(Tone::Bad, "Defect:");
            text.push('\n');
            text.push_str(&label);
            text.push_str(" the agent's model of the program disagrees with the kernel. ");
            text.push_str("Please report this output.\n");
        }
        text
    }

    /// Where the packet goes: its backend, else why it has none.
    fn names(&self) -> Vec<String> {
        let backend = self.item.backend.as_ref().map(|name| format!("backend/{name}"));
        vec![backend.unwrap_or_else(|| format!("reason/{}", self.item.reason))]
    }
}
