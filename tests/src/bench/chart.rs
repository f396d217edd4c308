//! The chart of nanoseconds for a packet against the number of flows, as one plain SVG.
//!
//! Colours are of middle brightness and the background is left alone, so that it reads on light
//! and dark pages; text follows the reader's scheme where the viewer tells it.

use std::fmt::Write as _;

use super::report::Row;
use super::workloads::{FLOWS, NULL_V4};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Margins around the axes: room for labels.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;
/// Lines across, at most.
const GRID_LINES: f64 = 6.0;

/// One line of the chart.
struct Line {
    label: &'static str,
    colour: &'static str,
    /// Nanoseconds at each of [`FLOWS`].
    values: Vec<f64>,
}

/// The chart; nothing if not all of its figures were measured.
pub fn svg(rows: &[Row]) -> Option<String> {
    let lines = [
        Line {
            label: "LRU baseline",
            colour: "#d2691e",
            values: values(rows, |flows| format!("lru/ipv4-tcp/flows={flows}"))?,
        },
        Line {
            label: "this balancer",
            colour: "#2f81f7",
            values: values(rows, |flows| format!("ipv4-tcp/ipip/flows={flows}"))?,
        },
        Line {
            label: "constant outer header",
            colour: "#808a94",
            values: values(rows, |_| NULL_V4.to_owned())?,
        },
    ];
    let largest = lines.iter().flat_map(|line| &line.values).copied().fold(1.0, f64::max);
    let step = grid_step(largest);
    let top_value = (largest / step).ceil() * step;
    let mut text = head();
    axes(&mut text, step, top_value);
    for line in &lines {
        draw(&mut text, line, top_value);
    }
    text.push_str("</svg>\n");
    Some(text)
}

fn values(rows: &[Row], name: impl Fn(u64) -> String) -> Option<Vec<f64>> {
    let median = |flows| Some(rows.iter().find(|row| row.name == name(flows))?.ns_median);
    FLOWS.into_iter().map(median).collect()
}

/// A round number, so that few lines reach up to `largest`.
fn grid_step(largest: f64) -> f64 {
    let rough = largest / GRID_LINES;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough);
    factor.unwrap_or(10.0) * power
}

fn head() -> String {
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" font-family="sans-serif" font-size="13">
<title>Nanoseconds for a packet against the number of flows</title>
<style>
text {{ fill: #6e7781; }}
.grid {{ stroke: #808a94; stroke-opacity: 0.35; }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #a9b4be; }} }}
</style>
<text x="{LEFT}" y="20" font-size="15">Program time, ns for a packet (IPv4 TCP, 64 bytes, 100 backends)</text>
"#
    )
}

fn axes(text: &mut String, step: f64, top_value: f64) {
    let right = WIDTH - RIGHT;
    let mut value = 0.0;
    while value <= top_value {
        let y = y_of(value, top_value);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>
<text x="{:.1}" y="{:.1}" text-anchor="end">{value:.0}</text>"#,
            LEFT - 8.0,
            y + 4.0
        );
        value += step;
    }
    let below = HEIGHT - BOTTOM + 20.0;
    for flows in FLOWS {
        let (x, label) = (x_of(flows), flows_label(flows));
        let _ =
            writeln!(text, r#"<text x="{x:.1}" y="{below}" text-anchor="middle">{label}</text>"#);
    }
    let middle = f64::midpoint(LEFT, right);
    let _ = writeln!(
        text,
        r#"<text x="{middle}" y="{:.1}" text-anchor="middle">flows (logarithmic)</text>"#,
        below + 20.0
    );
}

fn draw(text: &mut String, line: &Line, top_value: f64) {
    let Line { label, colour, values } = line;
    let points: Vec<_> = FLOWS
        .into_iter()
        .zip(values)
        .map(|(flows, value)| (x_of(flows), y_of(*value, top_value), *value))
        .collect();
    let path: Vec<_> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(
        text,
        r#"<polyline fill="none" stroke="{colour}" stroke-width="2.5" points="{}"/>"#,
        path.join(" ")
    );
    for (x, y, value) in &points {
        let _ = writeln!(
            text,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"/>
<text x="{x:.1}" y="{:.1}" text-anchor="middle" font-size="11">{value:.0}</text>"#,
            y - 8.0
        );
    }
    if let Some((x, y, _)) = points.last() {
        let _ = writeln!(
            text,
            r#"<text x="{:.1}" y="{:.1}" style="fill: {colour}">{label}</text>"#,
            x + 14.0,
            y + 4.0
        );
    }
}

/// 1 is at the left, the largest number at the right.
fn x_of(flows: u64) -> f64 {
    let most = FLOWS.into_iter().max().unwrap_or(1);
    let share = f64::from(flows.max(1).ilog2()) / f64::from(most.max(2).ilog2());
    LEFT + 20.0 + share * (WIDTH - LEFT - RIGHT - 40.0)
}

fn y_of(value: f64, top_value: f64) -> f64 {
    HEIGHT - BOTTOM - value / top_value * (HEIGHT - TOP - BOTTOM)
}

/// 131072 as 128 Ki.
fn flows_label(flows: u64) -> String {
    if flows >= 1_024 { format!("{} Ki", flows / 1_024) } else { flows.to_string() }
}

#[cfg(test)]
mod tests;
