//! What a run found: a table for people, JSON for programs.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::rounds::Cost;
use super::statistics::Series;
use super::workloads::Workload;

/// One measurement.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Smallest value of all rounds, nanoseconds.
    pub ns_min: f64,
    /// Median of all rounds, nanoseconds.
    pub ns_median: f64,
    /// Median of the ratio to the constant encapsulation of the same IP version.
    pub ratio_to_null: Option<f64>,
    /// Median of the ratio to the baseline that keeps every flow, under the same traffic.
    pub ratio_to_lru_baseline: Option<f64>,
    /// Figures that only some rows have.
    pub more: Vec<(&'static str, f64)>,
}

impl Row {
    /// A row that is compared with nothing; nothing if there were no rounds.
    pub fn alone(name: impl Into<String>, series: &Series) -> Option<Self> {
        Some(Self {
            name: name.into(),
            ns_min: series.minimum()?,
            ns_median: series.median()?,
            ratio_to_null: None,
            ratio_to_lru_baseline: None,
            more: Vec::new(),
        })
    }

    /// The row as a JSON object.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), json!(self.name));
        let figures = [
            ("ns_min", Some(self.ns_min)),
            ("ns_median", Some(self.ns_median)),
            ("ratio_to_null", self.ratio_to_null),
            ("ratio_to_lru_baseline", self.ratio_to_lru_baseline),
        ];
        let more = self.more.iter().map(|(name, value)| (*name, Some(*value)));
        for (name, figure) in figures.into_iter().chain(more) {
            object
                .insert(name.to_owned(), figure.map_or(Value::Null, |value| json!(rounded(value))));
        }
        Value::Object(object)
    }
}

/// The rows of what was measured with the driver.
pub fn rows(workloads: &[Workload], costs: &[Cost]) -> Vec<Row> {
    let net: Vec<Series> = costs.iter().map(Cost::net).collect();
    let series_of = |name: &str| {
        let place = workloads.iter().position(|workload| workload.name == name)?;
        net.get(place)
    };
    let row = |((workload, cost), series): ((&Workload, &Cost), &Series)| {
        let ratio =
            |name: Option<&str>| name.and_then(series_of).and_then(|to| series.ratio_to(to));
        Some(Row {
            ns_min: cost.minimum()?,
            ratio_to_null: ratio(workload.floor),
            ratio_to_lru_baseline: ratio(workload.baseline.as_deref()),
            ..Row::alone(&workload.name, series)?
        })
    };
    workloads.iter().zip(costs).zip(&net).filter_map(row).collect()
}

/// All rows as one JSON document: an array of objects.
pub fn json(rows: &[Row]) -> Value {
    rows.iter().map(Row::json).collect()
}

/// All rows as a table.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
    let mut text = format!(
        "{:<width$} {:>12} {:>12} {:>8} {:>8}\n",
        "", "ns min", "ns median", "x null", "x LRU"
    );
    for row in rows {
        let ratio =
            |ratio: Option<f64>| ratio.map_or_else(String::new, |value| format!("{value:.2}"));
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{:<width$} {:>12} {:>12} {:>8} {:>8}",
            row.name,
            figure(row.ns_min),
            figure(row.ns_median),
            ratio(row.ratio_to_null),
            ratio(row.ratio_to_lru_baseline)
        );
        for (name, value) in &row.more {
            let _ = write!(text, "  {name} {}", figure(*value));
        }
        text.push('\n');
    }
    text
}

/// One decimal below a thousand, whole numbers with separators above.
fn figure(value: f64) -> String {
    if value < 1_000.0 { format!("{value:.1}") } else { grouped(value) }
}

/// A whole number in groups of three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three decimals are more than a machine repeats.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
