//! `events`: a table of those that were, a line for each that comes.

use lb_common::api::{Event, List, Severity};

use super::View;
use super::table::{Cell, Palette, Table, Tone};

/// Widths of the first columns of a line, whatever comes later.
const WIDTHS: [usize; 3] = [24, 22, 24];
const HEADER: [&str; 5] = ["AT", "EVENT", "OBJECT", "CHANGE", "REASON"];

impl View for List<Event> {
    fn text(&self, wide: bool, palette: Palette) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        let mut header = Vec::from(HEADER);
        if wide {
            header.extend(["SEQUENCE", "GENERATION"]);
        }
        let mut table = Table::new(&header);
        for event in &self.items {
            let mut row = vec![
                event.at.as_str().into(),
                Cell::toned(event.kind.name(), tone(event)),
                event.object.as_str().into(),
                change(event).into(),
                one_line(&event.reason).into(),
            ];
            if wide {
                row.push(event.sequence.to_string().into());
                row.push(event.generation.to_string().into());
            }
            table.row(row);
        }
        table.text(palette)
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|event| event.object.replacen(' ', "/", 1)).collect()
    }
}

/// The names of the columns of [`event_line`].
pub(crate) fn event_header() -> String {
    let [at, kind, object, change, reason] = HEADER;
    let [first, second, third] = WIDTHS;
    format!("{at:first$}   {kind:second$}   {object:third$}   {change}: {reason}")
}

/// An event as a line of its own, in columns that do not wait for others.
pub(crate) fn event_line(event: &Event, palette: Palette) -> String {
    let [first, second, third] = WIDTHS;
    let kind = palette.paint(tone(event), &format!("{:second$}", event.kind.name()));
    let (at, object, change) = (&event.at, &event.object, change(event));
    let change = if change == "-" { String::new() } else { format!("{change}: ") };
    format!("{at:first$}   {kind}   {object:third$}   {change}{}", one_line(&event.reason))
}

/// `up -> down`, or as much of it as there is
fn change(event: &Event) -> String {
    match (&event.from, &event.to) {
        (Some(from), Some(to)) => format!("{from} -> {to}"),
        (None, Some(to)) => to.clone(),
        (Some(from), None) => format!("{from} ->"),
        (None, None) => "-".to_owned(),
    }
}

fn one_line(reason: &str) -> String {
    reason.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

fn tone(event: &Event) -> Tone {
    match event.kind.severity() {
        Severity::Ok => Tone::Plain,
        Severity::Warning => Tone::Warn,
        Severity::Error => Tone::Bad,
    }
}
