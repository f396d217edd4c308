//! What becomes of a congestion mark when a tunnel ends (RFC 6040 §4.2).

/// Mask of the ECN field in a traffic class.
const MASK: u8 = 0b11;
/// The sender does not know ECN.
const NOT_CAPABLE: u8 = 0b00;
/// The sender knows ECN, first code.
const CAPABLE_1: u8 = 0b01;
/// Congestion was met.
const CONGESTED: u8 = 0b11;

/// The inner traffic class once the outer one has been taken off; `None` for a packet that must be
/// dropped, because it met congestion and its sender could not be told in another way.
#[inline]
pub(super) const fn combined(inner: u8, outer: u8) -> Option<u8> {
    let mark = match (inner & MASK, outer & MASK) {
        (NOT_CAPABLE, CONGESTED) => return None,
        (NOT_CAPABLE, _) => NOT_CAPABLE,
        (_, CONGESTED) | (CONGESTED, _) => CONGESTED,
        (_, CAPABLE_1) => CAPABLE_1,
        (inner, _) => inner,
    };
    Some(inner & !MASK | mark)
}

#[cfg(test)]
mod tests;
