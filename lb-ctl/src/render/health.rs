//! `health list`.

use lb_common::api::{Health, List};

use super::View;
use super::table::{Cell, Palette, Table, Tone};

/// As many days before its end a certificate is coloured.
const CERTIFICATE_WARNING_DAYS: i64 = 14;

impl View for List<Health> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        let mut header = vec!["BACKEND", "HEALTH", "SINCE", "LAST RESULT", "TOOK"];
        if wide {
            header.extend(["CHECK", "AGAINST", "AT", "NEXT", "BELIEVED", "CERTIFICATE"]);
        }
        let mut table = Table::new(&header);
        for health in &self.items {
            let last = health.last.as_ref();
            let mut row = vec![
                full_name(health).into(),
                Cell::toned(health.condition.as_str(), tone(&health.condition)),
                health.since.as_str().into(),
                Cell::optional(last.map(|last| &last.detail)),
                Cell::optional(last.map(|last| milliseconds(last.took_us))),
            ];
            if wide {
                row.push(health.check.as_str().into());
                row.push(format!("{} of {}", health.against, health.needed).into());
                row.push(Cell::optional(last.map(|last| &last.at)));
                row.push(Cell::optional(health.next_ms.map(|wait| format!("in {wait} ms"))));
                row.push(if health.believed { "yes".into() } else { "no".into() });
                row.push(certificate(health.certificate_days_left));
            }
            table.row(row);
        }
        table.text(palette)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|health| format!("backend/{}", full_name(health))).collect()
    }
}

fn full_name(health: &Health) -> String {
    format!("{}/{}", health.pool, health.name)
}

fn tone(condition: &str) -> Tone {
    match condition {
        "up" => Tone::Good,
        "down" => Tone::Bad,
        _ => Tone::Warn,
    }
}

/// `34 days`
fn certificate(days_left: Option<i64>) -> Cell {
    let Some(days) = days_left else { return Cell::optional(None::<&String>) };
    let text = match days {
        ..=-1 => "ended".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{days} days"),
    };
    let tone = if days < CERTIFICATE_WARNING_DAYS { Tone::Warn } else { Tone::Plain };
    Cell::toned(text, tone)
}

/// `0.4 ms`
fn milliseconds(microseconds: u64) -> String {
    let tenths = microseconds.div_ceil(100);
    format!("{}.{} ms", tenths / 10, tenths % 10)
}
