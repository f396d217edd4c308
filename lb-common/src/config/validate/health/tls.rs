//! What TLS a health check speaks, and whom it trusts.

use std::sync::Arc;

use super::text::{file_path, host_name, some_or_wrong};
use crate::config::desired::{TlsCheck, Trust};
use crate::config::error::Findings;
use crate::config::file::HealthFile;
use crate::config::host::Host;
use crate::config::position::Path;

/// The fields `server_name`, `ca` and `verify`. `path` is the check's.
pub(super) fn tls(
    host: &dyn Host,
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<TlsCheck> {
    let name = file.server_name.as_deref();
    let name = name.map(|text| host_name(text, &path.field("server_name"), findings));
    let trust = trust(host, file, path, findings);
    Some(TlsCheck { server_name: some_or_wrong(name)?, trust: trust? })
}

/// Refuses those fields of a check that speaks no TLS and could.
pub(super) fn refuse_without(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) {
    let fields = [
        ("server_name", file.server_name.is_some()),
        ("ca", file.ca.is_some()),
        ("verify", file.verify.is_some()),
    ];
    for (field, _) in fields.iter().filter(|(_, is_there)| *is_there) {
        findings.add(&path.field(field), "has no meaning without tls: true");
    }
}

fn trust(
    host: &dyn Host,
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Trust> {
    let ca = path.field("ca");
    match (file.verify.unwrap_or(true), file.ca.as_deref()) {
        (false, None) => Some(Trust::Anybody),
        (false, Some(_)) => {
            findings.add(&ca, "has no meaning with verify: false");
            None
        }
        (true, None) => match host.has_roots() {
            Ok(()) => Some(Trust::System),
            Err(lacking) => {
                findings.add(&ca, lacking);
                None
            }
        },
        (true, Some(text)) => {
            let text = file_path(text, &ca, findings)?;
            match host.certificates(&text) {
                Ok(certificates) => {
                    Some(Trust::File { path: text, certificates: Arc::new(certificates) })
                }
                Err(wrong) => {
                    findings.add(&ca, wrong);
                    None
                }
            }
        }
    }
}
