//! Every seed of every fuzz target, without libFuzzer.

use lb_tests::fuzz::TARGETS;

#[test]
fn every_seed_holds() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        for seed in seeds {
            (target.check)(&seed);
        }
    }
}

/// An input that is cut off anywhere, or has one bit turned, may mean something else, but no claim
/// fails for it.
#[test]
fn every_seed_holds_bent() {
    for target in TARGETS {
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            (target.check)(&seed[..seed.len() * (number % 8) / 8]);
            for bit in (number % 13..seed.len().min(200) * 8).step_by(13) {
                let mut bent = seed.clone();
                bent[bit / 8] ^= 1 << (bit % 8);
                (target.check)(&bent);
            }
        }
    }
}
