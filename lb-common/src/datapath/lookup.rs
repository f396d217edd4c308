//! Step 2: from a flow to its service, exact port first, then "any port".

use super::Flow;
use crate::abi::{ServiceEntry, ServiceKey};
use crate::tables::Tables;

/// The service a flow is for, if any.
#[inline]
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
