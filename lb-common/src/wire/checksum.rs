//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use zerocopy::big_endian::U16;

/// The checksum of words that add up to `sum`: carries added back in, then the complement.
#[inline]
pub const fn finish(sum: u64) -> U16 {
    let folded = (sum & 0xffff_ffff) + (sum >> 32);
    let folded = (folded & 0xffff) + (folded >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    // The folds before leave at most one carry.
    let folded = (folded & 0xffff) + (folded >> 16);
    #[expect(clippy::cast_possible_truncation, reason = "folded to 16 bits")]
    U16::new(!(folded as u16))
}

/// A checksum once one word it covers has changed from `old` to `new` (RFC 1624, equation 3).
#[inline]
pub fn adjusted(checksum: U16, old: u16, new: u16) -> U16 {
    finish(u64::from(!checksum.get()) + u64::from(!old) + u64::from(new))
}

#[cfg(test)]
mod tests;
