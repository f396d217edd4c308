//! `health list`, `health show` and `health check`.

use lb_common::api::{Health, HealthHistory, HealthTrial, Item, List};

use super::View;
use super::table::{Cell, Palette, Table, Tone, facts};

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
                last_result(health),
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

impl View for List<HealthHistory> {
    fn text(&self, _wide: bool, palette: Palette) -> String {
        let sections: Vec<_> = self.items.iter().map(|item| history(item, palette)).collect();
        sections.join("\n")
    }

    fn names(&self) -> Vec<String> {
        self.items.iter().map(|item| format!("backend/{}", full_name(&item.health))).collect()
    }
}

fn history(history: &HealthHistory, palette: Palette) -> String {
    let health = &history.health;
    let next = health.next_ms.map_or("is under way".to_owned(), |wait| format!("in {wait} ms"));
    // More than are needed come in while it is held.
    let results = match health.needed {
        needed if health.against <= needed => format!("{} of {needed} results", health.against),
        _ => format!("{} results", health.against),
    };
    let mut head = vec![
        ("Backend", full_name(health)),
        ("Check", health.check.clone()),
        ("Health", format!("{} since {}, {} against it", health.condition, health.since, results)),
        ("Next check", next),
    ];
    if let Some(held_ms) = health.held_ms {
        let seconds = held_ms.div_ceil(1000);
        head.push(("Held", format!("down for {seconds} s more: it failed soon after it came up")));
    }
    if let Some(percent) = health.reported_percent {
        let drain = if health.reported_drain { ", and wants no new flows" } else { "" };
        head.push(("Report", format!("can take {percent}% of its weight{drain}")));
    }
    if let Some(average_us) = health.average_us {
        head.push(("Answers in", format!("{}, averaged", milliseconds(average_us))));
    }
    if let Some(reason) = &health.not_asked {
        head.push(("Not asked", reason.clone()));
    }
    if let (Some(end), Some(days)) = (&health.certificate_ends, health.certificate_days_left) {
        head.push(("Certificate", format!("ends {end}, {days} days left")));
    }
    let mut table = Table::new(&["AT", "RESULT", "TOOK", "DETAIL"]);
    for result in &history.results {
        let (word, tone) =
            if result.passed { ("passed", Tone::Good) } else { ("failed", Tone::Bad) };
        table.row(vec![
            result.at.as_str().into(),
            Cell::toned(word, tone),
            milliseconds(result.took_us).into(),
            result.detail.as_str().into(),
        ]);
    }
    format!("{}\n{}", facts(&head), table.text(palette))
}

impl View for Item<HealthTrial> {
    fn text(&self, _wide: bool, palette: Palette) -> String {
        let trial = &self.item;
        let (word, tone) = match trial.passed {
            Some(true) => ("passes", Tone::Good),
            Some(false) => ("fails", Tone::Bad),
            None => ("unknown", Tone::Warn),
        };
        let head = facts(&[
            ("Backend", format!("{}/{}", trial.pool, trial.name)),
            ("Check", format!("{}, within {} ms", trial.check, trial.timeout_ms)),
        ]);
        let mut table = Table::new(&["STEP", "TOOK", "RESULT"]);
        for step in &trial.steps {
            table.row(vec![
                step.step.as_str().into(),
                milliseconds(step.took_us).into(),
                step.detail.as_str().into(),
            ]);
        }
        let verdict = palette.paint(tone, word);
        let took = milliseconds(trial.took_us);
        format!(
            "{head}\n{}\nVerdict: {verdict} after {took}: {}\n",
            table.text(palette),
            trial.detail
        )
    }

    fn names(&self) -> Vec<String> {
        vec![format!("backend/{}/{}", self.item.pool, self.item.name)]
    }
}

/// What the last probe came to, or why it came to nothing.
fn last_result(health: &Health) -> Cell {
    match &health.not_asked {
        Some(reason) => Cell::toned(reason.as_str(), Tone::Warn),
        None => Cell::optional(health.last.as_ref().map(|last| &last.detail)),
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
