//! Checks of health checks: what all types share here, what each has of its own in [`kind`].

mod exec;
mod kind;
mod text;
mod tls;
mod tunnel;

use std::format;

use super::values;
use crate::config::desired::HealthCheck;
use crate::config::error::Findings;
use crate::config::file::{HealthFile, limit};
use crate::config::host::Host;
use crate::config::position::Path;

pub(super) use tunnel::questions;

/// The health check of a pool.
pub(super) fn check(
    host: &dyn Host,
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<HealthCheck> {
    let kind = kind::kind(host, file, path, findings);
    tunnel::refuse_types(file, path, findings);
    let port = file.port.map(|port| {
        let port = values::in_range(port, &limit::PORT, &path.field("port"), findings);
        port.and_then(|port| u16::try_from(port).ok())
    });
    let range = &limit::CHECK_TIME_MS;
    let interval = values::duration(&file.interval, range, &path.field("interval"), findings);
    let timeout = values::duration(&file.timeout, range, &path.field("timeout"), findings);
    if let (Some(interval), Some(timeout)) = (interval, timeout)
        && timeout >= interval
    {
        let message = format!("{timeout:?} is not shorter than the interval, {interval:?}");
        findings.add(&path.field("timeout"), message);
    }
    let rise = values::in_range(file.rise, &limit::STREAK, &path.field("rise"), findings);
    let fall = values::in_range(file.fall, &limit::STREAK, &path.field("fall"), findings);
    let path_of_threshold = path.field("panic_threshold");
    let panic_threshold =
        values::in_range(file.panic_threshold, &limit::PERCENT, &path_of_threshold, findings);
    Some(HealthCheck {
        kind: kind?,
        port: port.flatten(),
        interval: interval?,
        timeout: timeout?,
        rise: rise?,
        fall: fall?,
        panic_threshold: u8::try_from(panic_threshold?).ok()?,
        via: file.via,
    })
}
