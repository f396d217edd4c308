//! The keyed flow hash: the same 64 bits for a flow on every balancer of a cluster.
//!
//! It is built for the BPF target, which multiplies 64 by 64 bits but keeps only the low half: each
//! word is mixed in by xor, multiplication and a shift, each step a bijection of the state, so two
//! flows that differ in one word never collide before the finish. With a secret seed a client
//! cannot aim at a slot without watching where its packets go; this is no cryptographic hash.

#![expect(clippy::inline_always, reason = "once for every packet")]

/// Odd multiplier of the per-word step: 2^64 divided by the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
/// First multiplier of the finish (`MurmurHash3`'s 64-bit finaliser).
const FINISH_1: u64 = 0xff51_afd7_ed55_8ccd;
/// Second multiplier of the finish.
const FINISH_2: u64 = 0xc4ce_b9fe_1a85_ec53;

/// Hashes `words` under `seed`.
#[inline(always)]
pub fn keyed<const N: usize>(seed: [u64; 2], words: [u64; N]) -> u64 {
    let [first, second] = seed;
    let mut state = first;
    for word in words {
        state = (state ^ word).wrapping_mul(STEP);
        state ^= state >> 32;
    }
    finish(state ^ second)
}

/// A number that is as good as chance: of a flow's hash and how many flows came before it.
#[inline(always)]
pub const fn by_chance(hash: u64, turn: u32) -> u64 {
    finish(hash ^ (turn as u64).wrapping_mul(STEP))
}

/// Spreads every bit of the state over the whole word.
#[inline(always)]
const fn finish(mut state: u64) -> u64 {
    state ^= state >> 33;
    state = state.wrapping_mul(FINISH_1);
    state ^= state >> 33;
    state = state.wrapping_mul(FINISH_2);
    state ^ state >> 33
}

/// The high half of a hash, scaled to a number below `range`.
///
/// Scaling by multiplication needs no division and gives the verifier nothing to doubt.
#[inline(always)]
pub const fn scaled(hash: u64, range: u32) -> u32 {
    (((hash >> 32) * range as u64) >> 32) as u32
}

#[cfg(test)]
mod tests;
