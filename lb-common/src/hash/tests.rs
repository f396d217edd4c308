//! The hash: fixed for ever, keyed, evenly spread.

use std::collections::BTreeSet;
use std::vec;

use proptest::prelude::*;

use super::*;

const SEED: [u64; 2] = [1, 2];

/// Balancers of one cluster may run different versions, so these numbers never change. They were
/// computed from the module's description in another language.
#[test]
fn the_hash_is_the_same_in_every_version() {
    assert_eq!(keyed(SEED, [0]), 0xa3b0_5ab9_41ce_ab2e);
    assert_eq!(keyed(SEED, [0, 0]), 0x6aa8_772e_d615_5f87);
    assert_eq!(
        keyed([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210], [3, 4, 5, 6, 7]),
        0xf32d_be45_733f_3507
    );
}

proptest! {
    #[test]
    fn flows_that_differ_in_one_word_never_collide(
        seed: [u64; 2], words: [u64; 5], place in 0_usize..5, other: u64,
    ) {
        let mut different = words;
        different[place] = other;
        prop_assert_eq!(keyed(seed, words) == keyed(seed, different), words == different);
    }

    #[test]
    fn each_half_of_the_seed_matters(seed: [u64; 2], words: [u64; 2], half in 0_usize..2, bit in 0..64) {
        let mut other = seed;
        other[half] ^= 1_u64 << bit;
        prop_assert_ne!(keyed(seed, words), keyed(other, words));
    }

    #[test]
    fn a_slot_is_always_inside_its_table(hash: u64, slots in 1_u32..) {
        prop_assert!(scaled(hash, slots) < slots);
    }
}

#[test]
fn slots_begin_and_end_with_the_hash() {
    assert_eq!(scaled(0, 65_521), 0);
    assert_eq!(scaled(u64::MAX, 65_521), 65_520);
    assert_eq!(scaled(u64::MAX, u32::MAX), u32::MAX - 1);
}

/// Ports that count up, as a client's do, reach all slots alike: chi-squared with 250 degrees of
/// freedom is below 350 but once in 30,000 seeds.
#[test]
fn counting_ports_spread_evenly() {
    const SLOTS: u32 = 251;
    let mut counts = vec![0_u32; SLOTS as usize];
    for port in 0..251_000_u64 {
        counts[scaled(keyed(SEED, [0x0a0b_0c0d, port]), SLOTS) as usize] += 1;
    }
    let expected = 1000.0;
    let chi_squared: f64 =
        counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    assert!(chi_squared < 350.0, "{chi_squared}");
}

/// Low bits too: they become the outer flow label.
#[test]
fn one_bit_of_input_changes_half_of_the_output() {
    let base = keyed(SEED, [7, 9]);
    let flips: u32 = (0..64).map(|bit| (keyed(SEED, [7 ^ 1 << bit, 9]) ^ base).count_ones()).sum();
    assert!((64 * 28..64 * 36).contains(&flips), "{flips} of {}", 64 * 64);
    let labels: BTreeSet<_> = (0..4096_u64).map(|port| keyed(SEED, [7, port]) & 0xf_ffff).collect();
    assert!(labels.len() > 4070, "{} labels of 4096 flows", labels.len());
}
