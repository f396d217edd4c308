//! Claims about the table builder: deterministic, complete, proportional, hardly disruptive.

use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::{BuildError, Entry, TableInput, build, is_prime};

const SLOTS: u32 = 65_521;
const SEED: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];

/// Owners by name, so that tables of different inputs can be compared.
fn owners<'a>(slots: u32, backends: &[(&'a str, u16)]) -> Vec<&'a str> {
    owners_in("web", slots, backends)
}

fn owners_in<'a>(pool: &str, slots: u32, backends: &[(&'a str, u16)]) -> Vec<&'a str> {
    let entries: Vec<_> = backends.iter().map(|&(name, weight)| Entry { name, weight }).collect();
    let input = TableInput { pool, slots, seed: SEED, entries: &entries };
    let table = build(&input).unwrap();
    table.into_iter().map(|position| entries[position as usize].name).collect()
}

fn refs(backends: &[(String, u16)]) -> Vec<(&str, u16)> {
    backends.iter().map(|(name, weight)| (name.as_str(), *weight)).collect()
}

fn named(weights: &[u16]) -> Vec<(String, u16)> {
    (0..).zip(weights).map(|(number, weight)| (format!("web-{number}"), *weight)).collect()
}

fn moved(before: &[&str], after: &[&str]) -> usize {
    assert_eq!(before.len(), after.len());
    before.iter().zip(after).filter(|(a, b)| a != b).count()
}

fn share(table: &[&str], name: &str) -> f64 {
    let slots = table.iter().filter(|owner| **owner == name).count();
    to_f64(slots) / to_f64(table.len())
}

fn to_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// Weights that look random, the same in every run.
fn mixed_weights(count: u32) -> Vec<u16> {
    (0..count).map(|n| u16::try_from(1 + n.wrapping_mul(2_654_435_761) % 1000).unwrap()).collect()
}

#[test]
fn the_table_of_a_known_input_never_changes() {
    let table = owners(23, &[("a", 100), ("b", 200), ("c", 50), ("off", 0)]).concat();
    assert_eq!(table, "bcabbacbbbaabbbcaabbbab");
}

/// The algorithm of the paper, §3.4, word for word: the oracle for equal weights.
fn classic_maglev(walks: &[(usize, usize)], slots: usize) -> Vec<usize> {
    let mut next = vec![0; walks.len()];
    let mut entry = vec![usize::MAX; slots];
    let mut filled = 0;
    loop {
        for (i, (offset, skip)) in walks.iter().enumerate() {
            let mut c = (offset + next[i] * skip) % slots;
            while entry[c] != usize::MAX {
                next[i] += 1;
                c = (offset + next[i] * skip) % slots;
            }
            entry[c] = i;
            next[i] += 1;
            filled += 1;
            if filled == slots {
                return entry;
            }
        }
    }
}

#[test]
fn equal_weights_give_the_table_of_the_paper() {
    for weight in [1, 100, 1000] {
        let names = ["a", "b", "c", "d", "e"];
        let entries = names.map(|name| Entry { name, weight });
        let input = TableInput { pool: "web", slots: 251, seed: SEED, entries: &entries };
        let walks = names.map(|name| {
            let walk = super::Walks::new(&input).of(name);
            (walk.next as usize, walk.skip as usize)
        });
        let table: Vec<_> =
            build(&input).unwrap().into_iter().map(|position| position as usize).collect();
        assert_eq!(table, classic_maglev(&walks, 251), "weight {weight}");
    }
}

#[test]
fn a_weight_of_one_to_ten_gives_one_slot_to_ten() {
    let table = owners(SLOTS, &[("small", 1), ("large", 10)]);
    assert!((share(&table, "small") - 1.0 / 11.0).abs() < 0.0001);
    assert!((share(&table, "large") - 10.0 / 11.0).abs() < 0.0001);
}

#[test]
fn a_hundred_mixed_weights_are_met_within_one_percent_of_the_table() {
    let backends = named(&mixed_weights(100));
    let total: u32 = backends.iter().map(|(_, weight)| u32::from(*weight)).sum();
    let refs = refs(&backends);
    let table = owners(SLOTS, &refs);
    for (name, weight) in refs {
        let wanted = f64::from(weight) / f64::from(total);
        let got = share(&table, name);
        assert!((got - wanted).abs() < 0.0005, "{name}: {got} instead of {wanted}");
    }
}

#[test]
fn only_the_ratio_of_weights_matters() {
    let small = owners(SLOTS, &[("a", 1), ("b", 3), ("c", 7)]);
    assert_eq!(small, owners(SLOTS, &[("a", 100), ("b", 300), ("c", 700)]));
}

#[test]
fn the_smallest_weight_still_has_a_slot() {
    let mut backends = named(&[1000; 200]);
    backends.push(("tiny".into(), 1));
    let table = owners(251, &refs(&backends));
    assert!(table.contains(&"tiny"));
}

#[test]
fn no_weight_at_all_gives_an_empty_table() {
    assert!(owners(251, &[]).is_empty());
    assert!(owners(251, &[("a", 0), ("b", 0)]).is_empty());
}

#[test]
fn pool_seed_and_size_each_change_the_table() {
    let entries = ["a", "b", "c"].map(|name| Entry { name, weight: 1 });
    let base = TableInput { pool: "web", slots: 251, seed: SEED, entries: &entries };
    let table = build(&base).unwrap();
    assert_ne!(table, build(&TableInput { pool: "api", ..base }).unwrap());
    assert_ne!(table, build(&TableInput { seed: [SEED[0], 1], ..base }).unwrap());
    assert_ne!(table, build(&TableInput { seed: [1, SEED[1]], ..base }).unwrap());
    assert_ne!(table, build(&TableInput { slots: 257, ..base }).unwrap()[..251]);
}

#[test]
fn impossible_inputs_are_refused() {
    let two = ["a", "b"].map(|name| Entry { name, weight: 1 });
    let same = ["a", "a"].map(|name| Entry { name, weight: 1 });
    let many = ["a", "b", "c"].map(|name| Entry { name, weight: 1 });
    let of = |slots, entries| build(&TableInput { pool: "web", slots, seed: SEED, entries });
    for slots in [0, 1, 4, 65_536] {
        assert_eq!(of(slots, &two), Err(BuildError::NotPrime { slots }));
    }
    assert_eq!(of(251, &same), Err(BuildError::DuplicateName { name: "a".into() }));
    assert_eq!(of(2, &many), Err(BuildError::TooFewSlots { slots: 2, entries: 3 }));
}

#[test]
fn primes_are_told_from_other_numbers() {
    let mut sieve = vec![true; 20_000];
    for factor in 2..20_000 {
        for multiple in (2 * factor..20_000).step_by(factor) {
            sieve[multiple] = false;
        }
    }
    for (number, is_left) in (0..).zip(sieve).skip(2) {
        assert_eq!(is_prime(number), is_left, "{number}");
    }
    assert!(!is_prime(0) && !is_prime(1));
    assert!(is_prime(16_777_213) && is_prime(4_294_967_291));
    assert!(!is_prime(16_777_215) && !is_prime(4_294_836_225));
}

#[test]
fn removing_one_backend_moves_little_more_than_its_share() {
    let sizes = [2, 3, 10, 100, 1000];
    for (count, mixed) in sizes.into_iter().flat_map(|count| [(count, false), (count, true)]) {
        let weights = if mixed { mixed_weights(count) } else { vec![100; count as usize] };
        let all = named(&weights);
        let before = owners(SLOTS, &refs(&all));
        for removed in [0, all.len() / 2, all.len() - 1] {
            let mut rest = all.clone();
            let (gone, _) = rest.remove(removed);
            let ratio = to_f64(moved(&before, &owners(SLOTS, &refs(&rest)))) / f64::from(SLOTS);
            let own = share(&before, &gone);
            assert!(ratio <= own + 0.02, "{gone} of {count} (mixed: {mixed}) moves {ratio}");
        }
    }
}

#[test]
fn changing_one_weight_moves_little_more_than_the_difference() {
    let cases = [
        (2, 100, 90),
        (10, 100, 50),
        (10, 100, 200),
        (100, 100, 1),
        (100, 100, 1000),
        (1000, 100, 50),
    ];
    for (count, from, to) in cases {
        let mut backends = named(&vec![from; count]);
        let unchanged = backends.clone();
        let before = owners(SLOTS, &refs(&unchanged));
        backends[count / 2].1 = to;
        let after = owners(SLOTS, &refs(&backends));
        let name = backends[count / 2].0.as_str();
        let difference = (share(&before, name) - share(&after, name)).abs();
        let ratio = to_f64(moved(&before, &after)) / f64::from(SLOTS);
        assert!(ratio <= difference + 0.02, "{count} x {from}, one to {to}: moves {ratio}");
    }
}

fn arbitrary_backends() -> impl Strategy<Value = Vec<(String, u16)>> {
    proptest::collection::btree_map("[a-z]{1,6}", 0..=1000_u16, 1..40)
        .prop_map(|backends| backends.into_iter().collect())
}

proptest! {
    #[test]
    fn the_order_of_the_input_does_not_matter(
        (backends, shuffled) in arbitrary_backends()
            .prop_flat_map(|backends| (Just(backends.clone()), Just(backends).prop_shuffle())),
    ) {
        prop_assert_eq!(owners(1021, &refs(&backends)), owners(1021, &refs(&shuffled)));
    }

    #[test]
    fn every_slot_is_filled_in_proportion_to_the_weights(backends in arbitrary_backends()) {
        let total: u32 = backends.iter().map(|(_, weight)| u32::from(*weight)).sum();
        let table = owners(10_007, &refs(&backends));
        prop_assert_eq!(table.len(), if total == 0 { 0 } else { 10_007 });
        for (name, weight) in &backends {
            let slots = table.iter().filter(|owner| *owner == name).count();
            if *weight == 0 {
                prop_assert_eq!(slots, 0);
            } else {
                // Rounded up, and never more than the number of entries away from the exact share.
                let exact = 10_007.0 * f64::from(*weight) / f64::from(total);
                prop_assert!(slots >= 1);
                prop_assert!((to_f64(slots) - exact).abs() <= 40.0, "{slots} for {exact}");
            }
        }
    }

    /// In nearly every pool: where the walks of two of very few backends happen to keep step, a
    /// third that goes moves a good part of theirs.
    #[test]
    fn removing_any_backend_is_hardly_disruptive(
        backends in arbitrary_backends(), removed: prop::sample::Index,
    ) {
        let mut rest = backends.clone();
        let (gone, _) = rest.remove(removed.index(rest.len()));
        let excess = |pool: &str| {
            let before = owners_in(pool, 10_007, &refs(&backends));
            let after = owners_in(pool, 10_007, &refs(&rest));
            let is_some = !after.is_empty();
            is_some.then(|| to_f64(moved(&before, &after)) / 10_007.0 - share(&before, &gone))
        };
        let mut all: Vec<_> =
            ["web", "api", "img", "dns", "mail"].into_iter().filter_map(excess).collect();
        all.sort_by(f64::total_cmp);
        if let Some(median) = all.get(2) {
            prop_assert!(*median <= 0.06, "without {gone}: {all:?}");
        }
    }
}
