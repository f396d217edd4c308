//! What a name of a node, pool, backend or service may look like.
//!
//! Callers: `validate`, and `lb-ctl` for names on its command line.

/// Longest name, bytes.
pub const NAME_MAX_BYTES: usize = 63;

/// Whether `text` can be a name: safe in paths, metrics and URLs without escaping.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}
