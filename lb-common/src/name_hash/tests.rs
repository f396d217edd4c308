//! Claims about the stable hash: it is SipHash-2-4 and stays what it is.

extern crate std;

use std::vec::Vec;

use proptest::prelude::*;

use super::{NAME_SEED, stable_hash};

/// Key of the reference vectors: bytes 0, 1, ... 15.
const REFERENCE_KEY: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

#[test]
fn stable_hash_equals_the_reference_vectors() {
    let input: Vec<u8> = (0..16).collect();
    let vectors = [
        (0, 0x726f_db47_dd0e_0e31),
        (1, 0x74f8_39c5_93dc_67fd),
        (8, 0x93f5_f579_9a93_2462),
        (15, 0xa129_ca61_49be_45e5),
    ];
    for (length, hash) in vectors {
        assert_eq!(stable_hash(REFERENCE_KEY, &input[..length]), hash, "{length} bytes");
    }
}

#[test]
fn hashes_of_names_never_change() {
    assert_eq!(stable_hash(NAME_SEED, b"web"), 0x0c7b_08e0_c67e_d8fd);
    assert_eq!(stable_hash(NAME_SEED, b"web/web-1"), 0x0f82_873c_f37b_611d);
}

#[test]
fn either_word_of_the_seed_matters() {
    let hash = stable_hash([1, 2], b"web");
    assert_ne!(hash, stable_hash([3, 2], b"web"));
    assert_ne!(hash, stable_hash([1, 3], b"web"));
}

proptest! {
    #[test]
    #[expect(deprecated, reason = "std's keyed SipHash-2-4 is the independent implementation")]
    fn stable_hash_equals_the_standard_library(
        seed: [u64; 2],
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut oracle = std::hash::SipHasher::new_with_keys(seed[0], seed[1]);
        core::hash::Hasher::write(&mut oracle, &bytes);
        prop_assert_eq!(stable_hash(seed, &bytes), core::hash::Hasher::finish(&oracle).max(1));
    }
}
