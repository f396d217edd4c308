//! Numbers as people read them: three or four digits and a unit.

/// From here on counts are shortened.
const COUNT_EXACT_BELOW: u64 = 10_000;

/// A count: `9999`, then `12.3k`, `4.5M`, ...
pub(super) fn count(value: u64) -> String {
    if value < COUNT_EXACT_BELOW {
        return value.to_string();
    }
    scaled(value, 1000.0, &["k", "M", "G", "T", "P", "E"])
}

/// A count in full, in groups of three: `1,048,576`.
pub(super) fn exact(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes: `512B`, then `1.5KiB`, ...
pub(super) fn bytes(value: u64) -> String {
    if value < 1024 {
        return format!("{value}B");
    }
    scaled(value, 1024.0, &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A share of 0..=1: `33.3%`.
pub(crate) fn share(value: f64) -> String {
    format!("{:.1}%", value * 100.0)
}

#[expect(clippy::cast_precision_loss, reason = "at most four digits are shown")]
fn scaled(value: u64, base: f64, units: &[&str]) -> String {
    let mut rest = value as f64;
    let mut shown = "";
    for unit in units {
        // 999.5 would be rounded up to a fourth digit: the next unit shows it better.
        if !shown.is_empty() && rest < 999.5 {
            break;
        }
        rest /= base;
        shown = unit;
    }
    let decimals = usize::from(rest < 99.95);
    format!("{rest:.decimals$}{shown}")
}
