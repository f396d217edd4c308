//! The chart is drawn from whole sets of figures only, inside its frame.

use super::*;

fn row(name: String, ns_median: f64) -> Row {
    Row {
        name,
        ns_min: ns_median,
        ns_median,
        ratio_to_null: None,
        ratio_to_lru_baseline: None,
        more: Vec::new(),
    }
}

fn rows() -> Vec<Row> {
    let both = FLOWS.into_iter().flat_map(|flows| {
        let ours = row(format!("ipv4-tcp/ipip/flows={flows}"), 30.0);
        [ours, row(format!("lru/ipv4-tcp/flows={flows}"), 238.0)]
    });
    both.chain([row(NULL_V4.to_owned(), 8.0)]).collect()
}

#[test]
fn all_three_lines_are_there() {
    let svg = svg(&rows()).unwrap();
    assert_eq!(svg.matches("<polyline").count(), 3);
    assert_eq!(svg.matches("<circle").count(), 3 * FLOWS.len());
    for label in ["LRU baseline", "this balancer", "constant outer header", ">512 Ki<"] {
        assert!(svg.contains(label), "{label}");
    }
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn a_figure_that_is_missing_means_no_chart() {
    let mut rows = rows();
    rows.retain(|row| row.name != "lru/ipv4-tcp/flows=16384");
    assert_eq!(svg(&rows), None);
}

#[test]
fn the_grid_is_of_round_numbers() {
    for (largest, step) in [(238.0, 50.0), (5.0, 1.0), (900.0, 200.0), (1_200.0, 200.0)] {
        assert!((grid_step(largest) - step).abs() < 1e-9, "{largest}: {}", grid_step(largest));
    }
}
