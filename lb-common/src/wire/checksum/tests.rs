//! Against sums made the slow way.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn slow(words: &[u16]) -> u16 {
    let mut sum = 0_u32;
    for word in words {
        sum += u32::from(*word);
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    !u16::try_from(sum).unwrap()
}

proptest! {
    #[test]
    fn a_sum_of_words_is_folded_to_the_end(words in prop::collection::vec(any::<u16>(), 0..700)) {
        let sum = words.iter().copied().map(u64::from).sum();
        prop_assert_eq!(finish(sum).get(), slow(&words));
    }

    #[test]
    fn an_adjusted_checksum_is_that_of_the_changed_words(
        words in prop::collection::vec(any::<u16>(), 1..40),
        new: u16,
    ) {
        let mut changed = words.clone();
        changed[0] = new;
        let adjusted = adjusted(U16::new(slow(&words)), words[0], new).get();
        let sum: Vec<u16> = changed.into_iter().chain([adjusted]).collect();
        prop_assert_eq!(slow(&sum), 0, "what is covered and its checksum add up to nothing");
    }
}

#[test]
fn the_largest_sum_is_folded() {
    assert_eq!(finish(u64::MAX).get(), 0);
}
