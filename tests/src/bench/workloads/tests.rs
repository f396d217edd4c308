//! The table itself: names, what rows are compared with, and the frames.

use std::collections::BTreeSet;

use super::*;

fn find(name: &str) -> Workload {
    let found = catalogue().into_iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no row {name}"))
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let names: BTreeSet<_> = catalogue().into_iter().map(|row| row.name).collect();
    assert_eq!(names.len(), catalogue().len());
}

#[test]
fn every_row_is_compared_with_rows_that_exist_and_get_the_same_traffic() {
    for row in catalogue() {
        let floor = row.floor.map(find);
        assert!(floor.is_none_or(|floor| floor.traffic.family == row.traffic.family));
        if let Some(baseline) = row.baseline.as_deref().map(find) {
            assert_eq!(baseline.traffic, row.traffic, "{}", row.name);
        }
    }
}

#[test]
fn a_selection_brings_what_it_is_compared_with() {
    let names = |part| {
        let rows = select(catalogue(), part);
        rows.into_iter().map(|row| row.name).collect::<BTreeSet<_>>()
    };
    let expected = ["ipv4-tcp/ipip/syn", "lru/ipv4-tcp/syn", "null/ipv4"].map(str::to_owned);
    assert_eq!(names("ipip/syn"), expected.into());
    assert_eq!(names("nothing like it"), BTreeSet::new());
    assert_eq!(names("").len(), catalogue().len());
}

#[test]
fn frames_are_as_long_as_the_drivers_templates() {
    for row in catalogue() {
        let frame = row.traffic.frame().unwrap();
        let words = if row.traffic.family == Family::V4 { WORDS_V4 } else { WORDS_V6 };
        assert_eq!(frame.bytes.len(), words * 8, "{}", row.name);
        assert_eq!(frame.template[0].to_ne_bytes(), frame.bytes[..8]);
    }
}
