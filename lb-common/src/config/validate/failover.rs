//! Checks of what is done with what the checks of a pool say.

use std::format;

use super::values;
use crate::config::desired::{Adapt, Failover};
use crate::config::error::Findings;
use crate::config::file::{AdaptFile, FailoverFile, default, limit};
use crate::config::position::Path;

/// The `failover` of a pool.
pub(super) fn failover(
    file: &FailoverFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Failover> {
    let max_ejected =
        values::in_range(file.max_ejected, &limit::SHARE, &path.field("max_ejected"), findings);
    let mut duration = |text: &str, range, field: &str| {
        values::duration(text, range, &path.field(field), findings)
    };
    let hold_down = duration(&file.hold_down, &limit::SLOW_MS, "hold_down");
    let longest = file.hold_down_max.as_deref();
    let longest = longest.map(|text| duration(text, &limit::DELAY_MS, "hold_down_max"));
    let failback_delay = duration(&file.failback_delay, &limit::DELAY_MS, "failback_delay");
    let slow_start = duration(&file.slow_start, &limit::SLOW_MS, "slow_start");
    let hold_down = hold_down?;
    let hold_down_max = longest.unwrap_or_else(|| Some(hold_down.max(default::HOLD_DOWN_MAX)))?;
    if hold_down_max < hold_down {
        let message = format!("{hold_down_max:?} is shorter than hold_down, {hold_down:?}");
        findings.add(&path.field("hold_down_max"), message);
        return None;
    }
    Some(Failover {
        max_ejected: u8::try_from(max_ejected?).ok()?,
        hold_down,
        hold_down_max,
        failback_delay: failback_delay?,
        slow_start: slow_start?,
        at_start: file.at_start,
    })
}

/// The `adapt` of a pool that is checked, or not.
pub(super) fn adapt(
    file: &AdaptFile,
    is_checked: bool,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<Adapt> {
    let mut share = |value, range, field: &str| {
        let number = values::in_range(value, range, &path.field(field), findings);
        number.and_then(|number| u8::try_from(number).ok())
    };
    let floor = share(file.floor, &limit::SHARE, "floor");
    let step = share(file.step, &limit::STEP, "step");
    let report_port = file.report_port.map(|port| {
        let port = values::in_range(port, &limit::PORT, &path.field("report_port"), findings);
        port.and_then(|port| u16::try_from(port).ok())
    });
    let every = values::duration(&file.every, &limit::EVERY_MS, &path.field("every"), findings);
    if !is_checked {
        findings.add(path, "weights follow what checks find, and the pool has no health check");
    }
    if report_port.is_none() && !file.response_time {
        findings.add(path, "weights follow nothing: neither report_port nor response_time is set");
    }
    Some(Adapt {
        report_port: report_port.flatten(),
        response_time: file.response_time,
        floor: floor?,
        step: step?,
        every: every?,
    })
}
