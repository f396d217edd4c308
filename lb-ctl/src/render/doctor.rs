//! `doctor`.

use lb_common::api::{Finding, List, Severity};

use super::View;
use super::table::{Cell, Palette, Table, Tone};
use crate::error::plural;

impl View for List<Finding> {
    fn text(&self, _wide: bool, palette: Palette) -> String {
        findings_text(&self.items, palette)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|finding| format!("finding/{}", finding.check)).collect()
    }
}

/// A table of findings, the cures below it: they are too long for a column.
fn findings_text(findings: &[Finding], palette: Palette) -> String {
    let mut table = Table::new(&["CHECK", "SEVERITY", "FINDING"]);
    let mut cures = String::new();
    for finding in findings {
        let (severity, tone) = match finding.severity {
            Severity::Ok => ("ok", Tone::Good),
            Severity::Warning => ("warning", Tone::Warn),
            Severity::Error => ("error", Tone::Bad),
        };
        table.row(vec![
            finding.check.as_str().into(),
            Cell::toned(severity, tone),
            finding.message.as_str().into(),
        ]);
        if !finding.cure.is_empty() {
            let check = palette.paint(tone, &finding.check);
            cures.extend(["  ", &check, ": ", &finding.cure, "\n"]);
        }
    }
    if !cures.is_empty() {
        cures.insert_str(0, "\nWhat to do:\n");
    }
    let number = |severity| findings.iter().filter(|one| one.severity == severity).count();
    let (errors, warnings) = (number(Severity::Error), number(Severity::Warning));
    format!(
        "{}{cures}\n{errors} error{}, {warnings} warning{}.\n",
        table.text(palette),
        plural(errors),
        plural(warnings)
    )
}
