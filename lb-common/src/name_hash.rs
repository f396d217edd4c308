//! The stable hash of names: SipHash-2-4, the same on every host, in every version, for ever.
//!
//! Maglev tables, and the entries by which a restarted agent finds its own services, pools and
//! backends in the maps, are derived from hashes of names. A different result would move flows
//! or orphan entries, so this function never changes; golden tests hold it to the reference
//! vectors of its authors. The flow hash of packets is another one (`hash`).
//!
//! Callers: `maglev`, the configuration (text seeds), the agent.

/// Seed for names in the maps, where the cluster's own seed must play no part.
pub const NAME_SEED: [u64; 2] = [0x6c62_2d63_6f6d_6d6f, 0x6e2f_6e61_6d65_2d31];

/// Hash of `bytes` under `seed`; never 0, which marks a free entry in the maps.
///
/// `SipHash-2-4` (Aumasson, Bernstein: "`SipHash`: a fast short-input PRF", 2012), keyed by the two
/// words of `seed`; a result of 0, once in 2^64 names, becomes 1.
#[must_use]
pub fn stable_hash(seed: [u64; 2], bytes: &[u8]) -> u64 {
    let mut state = State::new(seed);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.absorb(u64::from_le_bytes(*word));
    }
    // The last word: what is left of the input, and the length modulo 256 in its top byte.
    let length = (bytes.len() as u64) << 56;
    let last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    state.absorb(length | last);
    match state.finish() {
        0 => 1,
        hash => hash,
    }
}

/// The four words of `SipHash`, with its names.
struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    /// The key, mixed with "somepseudorandomlygeneratedbytes".
    const fn new([k0, k1]: [u64; 2]) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    const fn absorb(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    const fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests;
