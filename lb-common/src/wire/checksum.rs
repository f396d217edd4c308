//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use zerocopy::big_endian::U16;

/// The checksum of network-order words that add up to `sum`: carries added back in, then the
/// complement.
#[inline]
pub const fn finish(sum: u64) -> U16 {
    U16::new(!folded(sum))
}

/// The same of native words.
#[inline]
pub const fn finish_native(sum: u64) -> U16 {
    U16::from_bytes((!folded(sum)).to_ne_bytes())
}

#[inline]
const fn folded(sum: u64) -> u16 {
    let folded = (sum & 0xffff_ffff) + (sum >> 32);
    let folded = (folded & 0xffff) + (folded >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    // The folds before leave at most one carry.
    #[expect(clippy::cast_possible_truncation, reason = "the low half, and the last carry")]
    let low = (folded + (folded >> 16)) as u16;
    low
}

/// A checksum once one word it covers has changed from `old` to `new` (RFC 1624, equation 3).
#[inline]
pub fn adjusted(checksum: U16, old: u16, new: u16) -> U16 {
    finish(u64::from(!checksum.get()) + u64::from(!old) + u64::from(new))
}

#[cfg(test)]
mod tests;
