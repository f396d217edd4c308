//! Long random lives under each scheduler, and one without the rules.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_flow_moves_only_when_its_backend_is_down_or_it_was_silent_too_long(seed: u64) {
        let (stayed, _) = live(seed, 400, true, &["maglev"]).map_err(TestCaseError::fail)?;
        prop_assert!(stayed > 1_000, "only {stayed} packets were looked at");
    }

    #[test]
    fn nor_does_it_move_with_its_client(seed: u64) {
        live(seed, 400, true, &["source-hash"]).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn nor_does_it_move_where_every_flow_is_placed(seed: u64) {
        live(seed, 400, true, &PLACING[..]).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn nor_does_it_move_when_flows_are_placed_from_now_on_or_no_longer(seed: u64) {
        let schedulers = ["maglev", PLACING[(seed % 4) as usize]];
        live(seed, 400, true, &schedulers).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn without_the_rules_flows_are_broken() {
    let broken = (0..10).filter(|seed| live(*seed, 400, false, &["maglev"]).is_err()).count();
    assert_eq!(broken, 10);
}
