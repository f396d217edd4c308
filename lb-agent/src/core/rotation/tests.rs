//! Who takes turns, how often, and in what order.

use proptest::prelude::*;

use super::*;

fn index(number: usize) -> BackendIndex {
    BackendIndex::new(u16::try_from(number).unwrap()).unwrap()
}

/// The rotation of backends 1, 2, ... with these weights.
fn rotation(scheduler: Scheduler, weights: &[u16], table_slots: u32) -> Rotation {
    let weights = weights.iter().enumerate().map(|(place, weight)| (index(place + 1), *weight));
    Rotation::of(scheduler, weights, table_slots)
}

fn order(rotation: &Rotation) -> Vec<u16> {
    let Rotation::Own(slots) = rotation else { panic!("{rotation:?}") };
    assert!(slots.iter().all(|slot| *slot == Slot::clean(slot.current())));
    slots.iter().map(|slot| slot.current().value()).collect()
}

/// nginx's algorithm as it is written there.
fn nginx(weights: &[u16]) -> Vec<u16> {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, u64::from(*b)));
    let weights: Vec<_> = weights.iter().map(|weight| i64::from(*weight)).collect();
    let sum: i64 = weights.iter().sum();
    let mut current = vec![0; weights.len()];
    let steps = sum / i64::try_from(divisor.max(1)).unwrap();
    let mut turns = Vec::new();
    for _ in 0..steps {
        let mut best = None;
        for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
            current[place] += weight;
            if best.is_none_or(|best: usize| current[place] > current[best]) {
                best = Some(place);
            }
        }
        let best = best.unwrap();
        current[best] -= sum;
        turns.push(u16::try_from(best + 1).unwrap());
    }
    turns
}

#[test]
fn round_robin_takes_everybody_once_whatever_the_weight() {
    let turns = rotation(Scheduler::RoundRobin, &[100, 1, 0, 1000], 251);
    assert_eq!(order(&turns), [1, 2, 4]);
}

#[test]
fn weighted_round_robin_takes_turns_smoothly() {
    let turns = rotation(Scheduler::WeightedRoundRobin, &[500, 100, 100], 251);
    assert_eq!(order(&turns), [1, 1, 2, 1, 3, 1, 1]);
    let equal = rotation(Scheduler::WeightedRoundRobin, &[1000, 1000, 0, 1000], 251);
    assert_eq!(order(&equal), [1, 2, 4]);
}

#[test]
fn a_rotation_that_would_be_longer_than_the_table_is_the_table() {
    let weighted = |weights: &[u16]| rotation(Scheduler::WeightedRoundRobin, weights, 251);
    assert_eq!(order(&weighted(&[250, 1])).len(), 251);
    assert_eq!(weighted(&[251, 1]), Rotation::Table);
}

#[test]
fn thousands_of_backends_take_turns_of_their_own() {
    let weights: Vec<u16> = (0..10_000).map(|number| 100 * (1 + number % 3)).collect();
    let turns = order(&rotation(Scheduler::WeightedRoundRobin, &weights, 65_521));
    assert_eq!(turns.len(), 19_999);
}

#[test]
fn nobody_to_take_turns_or_no_use_for_turns_is_no_rotation() {
    assert_eq!(rotation(Scheduler::RoundRobin, &[0, 0], 251), Rotation::None);
    assert_eq!(rotation(Scheduler::WeightedRoundRobin, &[], 251), Rotation::None);
    let others =
        [Scheduler::Maglev, Scheduler::SourceHash, Scheduler::LeastConnections, Scheduler::Random];
    for scheduler in others {
        assert_eq!(rotation(scheduler, &[1, 2], 251), Rotation::None);
    }
}

proptest! {
    #[test]
    fn the_order_is_nginxs(weights in proptest::collection::vec(0..40_u16, 1..9)) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let turns = rotation(Scheduler::WeightedRoundRobin, &weights, 65_521);
        prop_assert_eq!(order(&turns), nginx(&weights));
    }
}
