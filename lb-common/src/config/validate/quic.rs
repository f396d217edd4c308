//! Checks of QUIC-LB: a pool's configurations, and the server ids of its backends.

use std::collections::BTreeMap;
use std::format;
use std::vec::Vec;

use super::values;
use crate::config::error::Findings;
use crate::config::file::{BackendFile, QuicFile, limit};
use crate::config::position::Path;
use crate::config::quic::ServerId;

/// Bytes of the server id by configuration.
pub(super) fn configurations(
    files: &[QuicFile],
    list: &Path<'_>,
    findings: &mut Findings,
) -> Option<BTreeMap<u8, u8>> {
    let mut bytes_of = Some(BTreeMap::new());
    let mut first_with = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        let path = list.item(index);
        let mut small = |value, range, field| {
            let value = values::in_range(value, range, &path.field(field), findings)?;
            u8::try_from(value).ok()
        };
        let id = small(file.config_id, &limit::QUIC_CONFIG_ID, "config_id");
        let bytes = small(file.server_id_bytes, &limit::QUIC_SERVER_ID_BYTES, "server_id_bytes");
        if let Some(first) = first_with.get(&file.config_id) {
            let first = list.item(*first).steps();
            let message = format!("{} is the configuration of {first} already", file.config_id);
            findings.add(&path.field("config_id"), message);
        } else {
            first_with.insert(file.config_id, index);
        }
        match (bytes_of.as_mut(), id, bytes) {
            (Some(bytes_of), Some(id), Some(bytes)) => {
                bytes_of.insert(id, bytes);
            }
            _ => bytes_of = None,
        }
    }
    bytes_of
}

/// The server ids of a pool's backends, in their order: each has the length that a configuration
/// says, and no two are the same.
pub(super) fn server_ids(
    backends: &[BackendFile],
    configurations: &[QuicFile],
    list: &Path<'_>,
    findings: &mut Findings,
) -> Vec<Option<ServerId>> {
    let mut first_with = BTreeMap::new();
    let mut server_id = |(index, file): (usize, &BackendFile)| {
        let text = file.quic_server_id.as_deref()?;
        let backend = list.item(index);
        let path = backend.field("quic_server_id");
        let Some(id) = ServerId::parse(text) else {
            let message = format!("{text:?} is not 1..=15 bytes of two hexadecimal digits each");
            findings.add(&path, message);
            return None;
        };
        let bytes = id.bytes();
        if !configurations.iter().any(|config| config.server_id_bytes == i64::from(bytes)) {
            let message =
                format!("none of the pool's quic configurations has ids of {bytes} bytes");
            findings.add(&path, message);
        }
        if let Some(first) = first_with.get(&id) {
            let first = list.item(*first).steps();
            findings.add(&path, format!("{id} is the id of {first} already"));
        } else {
            first_with.insert(id.clone(), index);
        }
        Some(id)
    };
    backends.iter().enumerate().map(&mut server_id).collect()
}
