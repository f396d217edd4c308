//! Statistics of small series, by hand.

use super::*;

fn series<const N: usize>(values: [f64; N]) -> Series {
    Series::new(values.to_vec())
}

fn assert_near(value: Option<f64>, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

#[test]
fn minimum_and_median_do_not_depend_on_the_order_of_rounds() {
    for values in [[3.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 1.0]] {
        assert_near(series(values).minimum(), 1.0);
        assert_near(series(values).median(), 2.0);
    }
    assert_near(series([4.0, 1.0, 2.0, 9.0]).median(), 3.0);
    assert_near(series([7.0]).median(), 7.0);
}

#[test]
fn one_disturbed_round_does_not_move_the_median() {
    assert_near(series([30.0, 31.0, 900.0, 30.0, 29.0]).median(), 30.0);
}

#[test]
fn quantiles_are_interpolated_and_bounded() {
    let hundred = Series::new((1..=101).map(f64::from).collect());
    assert_near(hundred.quantile(0.99), 100.0);
    assert_near(hundred.quantile(0.0), 1.0);
    assert_near(hundred.quantile(2.0), 101.0);
    assert_near(series([10.0, 20.0]).quantile(0.25), 12.5);
}

#[test]
fn ratios_are_taken_within_a_round() {
    // The machine was half as fast in the second round: the ratio does not notice.
    assert_near(series([20.0, 40.0, 22.0]).ratio_to(&series([10.0, 20.0, 10.0])), 2.0);
    assert_near(series([20.0, 40.0]).ratio_to(&series([0.0, 10.0])), 4.0);
    assert_eq!(series([20.0]).ratio_to(&series([-1.0])), None);
}

#[test]
fn a_series_without_rounds_says_nothing() {
    assert_eq!(series([]).minimum(), None);
    assert_eq!(series([]).median(), None);
    assert_eq!(series([]).ratio_to(&series([1.0])), None);
}

#[test]
fn the_driver_is_subtracted_round_by_round() {
    assert_eq!(series([50.0, 70.0]).less(&series([20.0, 30.0])), series([30.0, 40.0]));
}
