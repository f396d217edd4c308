//! Step 2: from a flow to its service, exact port first, then "any port".

use super::Flow;
use crate::abi::{Family, ServiceEntry, ServiceKey};
use crate::tables::Tables;
use crate::wire::protocol;

/// The service a flow is for, if any.
#[inline(always)]
pub(super) fn service<'t, T: Tables>(tables: &'t T, flow: &Flow) -> Option<&'t ServiceEntry> {
    let key = ServiceKey::from_words(
        flow.destination,
        flow.family,
        flow.protocol,
        flow.destination_port_be,
    );
    match tables.service(&key) {
        Some(entry) => Some(entry),
        None => tables.service(&key.any_port()),
    }
}

/// Whether a flow's destination is a VIP, of whatever service: every VIP has an entry for its
/// version of ICMP.
#[inline(always)]
pub(super) fn is_for_a_vip<T: Tables>(tables: &T, flow: &Flow) -> bool {
    let protocol = match flow.family {
        Family::V4 => protocol::ICMP,
        Family::V6 => protocol::ICMPV6,
    };
    tables.service(&ServiceKey::from_words(flow.destination, flow.family, protocol, 0)).is_some()
}
