//! What a health check asks: the fields of its type, and none of another's.

use std::format;
use std::string::ToString;
use std::vec::Vec;

use super::text::{absolute_path, limited, query_name, some_or_wrong};
use super::{exec, tls, values};
use crate::config::desired::{
    DnsCheck, GrpcCheck, HealthKind, HttpCheck, HttpMethod, StatusRange, Statuses,
};
use crate::config::error::Findings;
use crate::config::file::{HealthFile, HealthType, StatusFile, StatusesFile, default, limit};
use crate::config::host::Host;
use crate::config::position::Path;

/// Checks of these types send HTTP requests.
const HTTP: &[HealthType] = &[HealthType::Http, HealthType::Https];
/// And these speak TLS.
const TLS: &[HealthType] = &[HealthType::Https, HealthType::Grpc];
const DNS: &[HealthType] = &[HealthType::Dns];
const GRPC: &[HealthType] = &[HealthType::Grpc];
const EXEC: &[HealthType] = &[HealthType::Exec];
/// These ask a port, or are told one.
const PORT: &[HealthType] = &[
    HealthType::Tcp,
    HealthType::Http,
    HealthType::Https,
    HealthType::Dns,
    HealthType::Grpc,
    HealthType::Exec,
];

/// What `file` asks. `path` is the check's.
pub(super) fn kind(
    host: &dyn Host,
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<HealthKind> {
    refuse_fields_of_other_types(file, path, findings);
    match file.kind {
        HealthType::Tcp => Some(HealthKind::Tcp),
        HealthType::Http => http(file, path, findings).map(HealthKind::Http),
        HealthType::Https => {
            let tls = tls::tls(host, file, path, findings);
            let http = http(file, path, findings)?;
            Some(HealthKind::Http(HttpCheck { tls: Some(tls?), ..http }))
        }
        HealthType::Dns => dns(file, path, findings).map(HealthKind::Dns),
        HealthType::Grpc => grpc(host, file, path, findings).map(HealthKind::Grpc),
        HealthType::Exec => {
            granted(host.may_run_commands(), path, findings)?;
            exec::exec(host, file, path, findings).map(HealthKind::Exec)
        }
        HealthType::Icmp => {
            granted(host.may_ping(), path, findings)?;
            Some(HealthKind::Icmp)
        }
    }
}

/// Refuses a type of check that the host does not grant.
fn granted(grant: Result<(), String>, path: &Path<'_>, findings: &mut Findings) -> Option<()> {
    grant.map_err(|lacking| findings.add(&path.field("type"), lacking)).ok()
}

/// Each field that belongs to some types only: its name, whether it is there, and whose it is.
const fn owned_fields(file: &HealthFile) -> [(&'static str, bool, &'static [HealthType]); 17] {
    [
        ("path", file.path.is_some(), HTTP),
        ("method", file.method.is_some(), HTTP),
        ("host", file.host.is_some(), HTTP),
        ("expect_status", file.expect_status.is_some(), HTTP),
        ("expect_body", file.expect_body.is_some(), HTTP),
        ("server_name", file.server_name.is_some(), TLS),
        ("ca", file.ca.is_some(), TLS),
        ("verify", file.verify.is_some(), TLS),
        ("query", file.query.is_some(), DNS),
        ("record", file.record.is_some(), DNS),
        ("expect_rcode", file.expect_rcode.is_some(), DNS),
        ("service", file.service.is_some(), GRPC),
        ("tls", file.tls.is_some(), GRPC),
        ("command", file.command.is_some(), EXEC),
        ("environment", file.environment.is_some(), EXEC),
        ("user", file.user.is_some(), EXEC),
        ("port", file.port.is_some(), PORT),
    ]
}

fn refuse_fields_of_other_types(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) {
    for (field, is_there, owners) in owned_fields(file) {
        if is_there && !owners.contains(&file.kind) {
            let message = format!("a check of type {} has no {field}", file.kind.name());
            findings.add(&path.field(field), message);
        }
    }
}

/// The value of a field that checks of this type cannot do without.
fn needed<'a>(
    value: Option<&'a str>,
    (field, file): (&str, &HealthFile),
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<&'a str> {
    if value.is_none() {
        let message = format!("a check of type {} needs a {field}", file.kind.name());
        findings.add(&path.field(field), message);
    }
    value
}

fn http(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) -> Option<HttpCheck> {
    let asked = needed(file.path.as_deref(), ("path", file), path, findings)
        .and_then(|text| absolute_path(text, &path.field("path"), findings));
    let host = file.host.as_deref().map(|text| {
        let is_visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let what = "of printable ASCII without blanks";
        limited(text, &limit::HOST_BYTES, (is_visible, what), &path.field("host"), findings)
    });
    let statuses = match &file.expect_status {
        None => Some(Statuses(Vec::from([default::EXPECT_STATUS]))),
        Some(statuses) => expect_status(statuses, &path.field("expect_status"), findings),
    };
    let method = file.method.unwrap_or(HttpMethod::Get);
    let body_path = path.field("expect_body");
    let body = file
        .expect_body
        .as_deref()
        .map(|text| limited(text, &limit::TEXT_BYTES, (|_: &str| true, ""), &body_path, findings));
    if body.is_some() && method == HttpMethod::Head {
        findings.add(&body_path, "an answer to HEAD has no body");
    }
    Some(HttpCheck {
        path: asked?,
        method,
        host: some_or_wrong(host)?,
        expect_status: statuses?,
        expect_body: some_or_wrong(body)?,
        tls: None,
    })
}

fn dns(file: &HealthFile, path: &Path<'_>, findings: &mut Findings) -> Option<DnsCheck> {
    let query = needed(file.query.as_deref(), ("query", file), path, findings)?;
    Some(DnsCheck {
        query: query_name(query, &path.field("query"), findings)?,
        record: file.record.unwrap_or(default::DNS_RECORD),
        expect_rcode: file.expect_rcode.unwrap_or(default::DNS_RCODE),
    })
}

fn grpc(
    host: &dyn Host,
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<GrpcCheck> {
    let service = file.service.as_deref().unwrap_or_default();
    let any = (|_: &str| true, "");
    let service = limited(service, &limit::SERVICE_BYTES, any, &path.field("service"), findings);
    if !file.tls.unwrap_or(false) {
        tls::refuse_without(file, path, findings);
        return Some(GrpcCheck { service: service?, tls: None });
    }
    let tls = tls::tls(host, file, path, findings);
    Some(GrpcCheck { service: service?, tls: Some(tls?) })
}

fn expect_status(
    file: &StatusesFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Statuses> {
    if file.entries().is_empty() {
        findings.add(path, "is empty: no status would pass");
        return None;
    }
    let mut ranges = Vec::new();
    for (index, status) in file.entries().iter().enumerate() {
        let range = status_range(status);
        if range.is_none() {
            let span = values::span(&limit::STATUS);
            let message =
                format!("{status} is not a status in {span}, nor a range such as 200-299");
            match file {
                StatusesFile::One(_) => findings.add(path, message),
                StatusesFile::List(_) => findings.add(&path.item(index), message),
            }
        }
        ranges.push(range);
    }
    ranges.into_iter().collect::<Option<Vec<_>>>().map(Statuses)
}

fn status_range(file: &StatusFile) -> Option<StatusRange> {
    let text = file.to_string();
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let status = |text: &str| text.parse::<u16>().ok().filter(|it| limit::STATUS.contains(it));
    let range = StatusRange { first: status(first)?, last: status(last)? };
    (range.first <= range.last).then_some(range)
}
