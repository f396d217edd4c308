//! The shape of the JSON document and of the table.

use super::*;
use crate::bench::workloads::{catalogue, select};

fn row() -> Row {
    Row {
        name: "ipv4-tcp/ipip/syn".to_owned(),
        ns_min: 27.123_456,
        ns_median: 28.0,
        ratio_to_null: Some(3.25),
        ratio_to_lru_baseline: None,
        more: Vec::new(),
    }
}

#[test]
fn a_row_is_an_object_of_five_fields_in_which_null_means_not_compared() {
    let expected = json!([{
        "name": "ipv4-tcp/ipip/syn",
        "ns_min": 27.123,
        "ns_median": 28.0,
        "ratio_to_null": 3.25,
        "ratio_to_lru_baseline": null,
    }]);
    assert_eq!(json(&[row()]), expected);
}

#[test]
fn figures_that_only_some_rows_have_come_after_the_others() {
    let row = Row { more: vec![("packets_per_second", 4_999_999.6)], ..row() };
    assert_eq!(row.json().get("packets_per_second"), Some(&json!(4_999_999.6)));
    assert!(table(&[row]).ends_with("packets_per_second 5,000,000\n"));
}

#[test]
fn rows_are_compared_within_rounds() {
    let workloads = select(catalogue(), "ipip/syn");
    let costs_of = |name: &str| match name {
        "null/ipv4" => [10.0, 20.0, 10.0],
        "lru/ipv4-tcp/syn" => [800.0, 1_600.0, 400.0],
        _ => [30.0, 60.0, 31.0],
    };
    // The driver costs 40 ns, and 80 in the second round, in which the machine was half as fast.
    let driver = Series::new(vec![40.0, 80.0, 40.0]);
    let cost = |workload: &Workload| {
        let gross = costs_of(&workload.name).into_iter().zip([40.0, 80.0, 40.0]);
        let gross = Series::new(gross.map(|(net, driver)| net + driver).collect());
        Cost { gross, driver: driver.clone() }
    };
    let costs: Vec<_> = workloads.iter().map(cost).collect();
    let rows = rows(&workloads, &costs);
    let syn = rows.iter().find(|row| row.name == "ipv4-tcp/ipip/syn").unwrap();
    assert_eq!(syn.ratio_to_null, Some(3.0));
    assert_eq!(syn.ratio_to_lru_baseline, Some(0.0375));
    assert_eq!((syn.ns_min, syn.ns_median), (30.0, 31.0));
}

#[test]
fn large_numbers_are_grouped() {
    assert_eq!(grouped(999.4), "999");
    assert_eq!(grouped(1_000.0), "1,000");
    assert_eq!(grouped(12_345_678.0), "12,345,678");
    assert_eq!(figure(999.94), "999.9");
    assert_eq!(figure(14_000_000.0), "14,000,000");
}
