//! Checks of single values: names, addresses, numbers, durations.
//!
//! Each notes what is wrong at the path it is given and then gives `None`.

use core::ops::RangeInclusive;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::format;
use std::net::{IpAddr, Ipv4Addr};
use std::string::{String, ToString};
use std::time::Duration;

use crate::config::error::Findings;
use crate::config::file::limit;
use crate::config::name::{NAME_MAX_BYTES, is_name};
use crate::config::position::Path;
use crate::config::prefix::{Prefix, PrefixError};

/// Longest name of an interface, bytes: the kernel's IFNAMSIZ less the terminating zero.
const MAX_INTERFACE_NAME_BYTES: usize = 15;

/// A name of a node, pool, backend or service.
pub(super) fn name(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<String> {
    if is_name(text) {
        return Some(text.to_string());
    }
    findings.add(
        path,
        format!(
            "{text:?} is not a name of 1..={NAME_MAX_BYTES} letters, digits, dots, dashes and \
             underscores"
        ),
    );
    None
}

/// A name that the kernel would give an interface.
pub(super) fn interface_name(
    text: &str,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<String> {
    let refused = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    let fits = (1..=MAX_INTERFACE_NAME_BYTES).contains(&text.len());
    if fits && !text.contains(refused) && text != "." && text != ".." {
        return Some(text.to_string());
    }
    findings.add(path, format!("{text:?} is not a name of an interface (15 characters at most)"));
    None
}

/// Reports each of `names`, the field "name" of the items of `list`, that occurred before.
pub(super) fn unique_names<'a>(
    names: impl Iterator<Item = &'a str>,
    list: &Path<'_>,
    findings: &mut Findings,
) {
    let mut seen = BTreeMap::new();
    for (index, name) in names.enumerate() {
        if let Some(first) = seen.get(name) {
            let message =
                format!("\"{name}\" is the name of {} already", list.item(*first).steps());
            findings.add(&list.item(index).field("name"), message);
        } else {
            seen.insert(name, index);
        }
    }
}

/// An IPv4 or IPv6 address of one host.
pub(super) fn address(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<IpAddr> {
    let Ok(address) = text.parse::<IpAddr>() else {
        findings.add(path, format!("{text:?} is not an IPv4 or IPv6 address"));
        return None;
    };
    if let Some(special) = special_use(address) {
        findings.add(path, format!("{text} is {special}, not the address of a host"));
        return None;
    }
    Some(address)
}

/// What IPv4 outer headers say as their source.
pub(super) fn source_v4(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<Prefix> {
    let is_ipv4 = |prefix: &Prefix| prefix.address().is_ipv4();
    source(text, (is_ipv4, "an IPv4"), &limit::SOURCE_BITS_V4, path, findings)
}

/// What IPv6 outer headers say as their source.
pub(super) fn source_v6(text: &str, path: &Path<'_>, findings: &mut Findings) -> Option<Prefix> {
    let is_ipv6 = |prefix: &Prefix| prefix.address().is_ipv6();
    source(text, (is_ipv6, "an IPv6"), &limit::SOURCE_BITS_V6, path, findings)
}

fn source(
    text: &str,
    (is_of_the_family, family): (impl Fn(&Prefix) -> bool, &str),
    bits: &RangeInclusive<u8>,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Prefix> {
    let prefix = match text.parse::<Prefix>() {
        Ok(prefix) if is_of_the_family(&prefix) => prefix,
        Ok(_) | Err(PrefixError::NoPrefix { .. }) => {
            findings.add(path, format!("{text:?} is not {family} address or prefix"));
            return None;
        }
        Err(error @ (PrefixError::TooLong { .. } | PrefixError::HostBits { .. })) => {
            findings.add(path, error.to_string());
            return None;
        }
    };
    if !bits.contains(&prefix.bits()) {
        findings.add(path, format!("the length of {prefix} is not in {}", span(bits)));
        return None;
    }
    if let Some(special) = special_use(prefix.address()).or_else(|| special_use(prefix.last())) {
        let what = if prefix.is_host() { "is" } else { "holds" };
        findings.add(path, format!("{text} {what} {special}, not the address of a host"));
        return None;
    }
    Some(prefix)
}

/// What an address is, if packets cannot be sent to one host by it.
fn special_use(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        return Some("the unspecified address");
    }
    if address.is_multicast() {
        return Some("a multicast address");
    }
    if address.is_loopback() {
        return Some("a loopback address");
    }
    match address {
        IpAddr::V4(Ipv4Addr::BROADCAST) => Some("the broadcast address"),
        IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => Some("an IPv4-mapped address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// A number in `range`.
pub(super) fn in_range(
    value: i64,
    range: &RangeInclusive<u32>,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<u32> {
    let number = u32::try_from(value).ok().filter(|number| range.contains(number));
    if number.is_none() {
        findings.add(path, format!("{value} is not in {}", span(range)));
    }
    number
}

/// A duration such as `500ms`, within `range_ms` milliseconds.
pub(super) fn duration(
    text: &str,
    range_ms: &RangeInclusive<u64>,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Duration> {
    let Some(ms) = milliseconds(text) else {
        findings.add(path, format!("{text:?} is not a duration such as 500ms, 1s or 2m"));
        return None;
    };
    if !range_ms.contains(&ms) {
        findings.add(path, format!("{text} is not in {} ms", span(range_ms)));
        return None;
    }
    Some(Duration::from_millis(ms))
}

fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// A range as messages write it: `0..=1000`.
pub(super) fn span<T: Display>(range: &RangeInclusive<T>) -> String {
    format!("{}..={}", range.start(), range.end())
}
