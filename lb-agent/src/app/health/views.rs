//! Checks in the words of the API.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lb_common::api::{Health, HealthCounts, HealthHistory, HealthResult};
use lb_common::config::HealthKind;

use crate::app::agent::Agent;
use crate::app::views;
use crate::core::health::{Checked, Condition, Last};
use crate::core::steering::is_panic_in_force;
use crate::io::api_server::Answer;
use crate::io::clock;
use crate::io::probes::days_left;

/// Certificates that end sooner are warned of.
const CERTIFICATE_WARNING_DAYS: i64 = 14;

/// The checks of all backends, or of one pool's.
pub(in crate::app) fn list(agent: &Agent, only: Option<&str>) -> Answer {
    views::known_pool(agent, only)?;
    let now = Now::read();
    let wanted = |pool: &str| only.is_none_or(|only| only == pool);
    let checks = agent.health.iter().filter(|(pool, _, _)| wanted(pool));
    let views = checks.map(|(pool, name, checked)| view(agent, &now, (pool, name), checked));
    views::list(agent, "HealthList", views.collect())
}

fn view(agent: &Agent, now: &Now, (pool, name): (&str, &str), checked: &Checked) -> Health {
    let condition = checked.machine.condition();
    let effective = agent.derived.effective().get(pool).and_then(|pool| pool.get(name));
    let usable = effective.is_some_and(|effective| effective.usable);
    Health {
        pool: pool.to_owned(),
        name: name.to_owned(),
        check: asked(checked),
        condition: condition.name().to_owned(),
        believed: !usable || condition == Condition::Up,
        since: now.at(checked.since_ns),
        against: checked.machine.against(),
        needed: match condition {
            Condition::Unknown => 1,
            Condition::Up => checked.check.fall,
            Condition::Down => checked.check.rise,
        },
        last: checked.last().map(|last| result(now, last)),
        not_asked: checked.not_asked.clone(),
        certificate_ends: checked.certificate_end_s.map(certificate_end),
        certificate_days_left: checked.certificate_end_s.map(|end_s| now.days_until(end_s)),
        next_ms: agent.health.is_waiting(checked).then(|| now.until_ms(checked.next_ns)),
        held_ms: checked.held_ns(now.monotonic_ns).map(|held_ns| held_ns / 1_000_000),
        reported_percent: checked.reports().then_some(checked.load.percent),
        reported_drain: checked.load.drained,
        average_us: checked.answer_ns.map(|answer_ns| answer_ns / 1000),
    }
}

/// The checks of a pool's backends, with their last results.
pub(in crate::app) fn history(agent: &Agent, pool: &str) -> Answer {
    views::known_pool(agent, Some(pool))?;
    let now = Now::read();
    let checks = agent.health.iter().filter(|(of, _, _)| *of == pool);
    let histories = checks.map(|(pool, name, checked)| HealthHistory {
        health: view(agent, &now, (pool, name), checked),
        results: checked.results.iter().rev().map(|last| result(&now, last)).collect(),
    });
    views::list(agent, "HealthHistoryList", histories.collect())
}

fn result(now: &Now, last: &Last) -> HealthResult {
    HealthResult {
        passed: last.outcome.passed,
        detail: last.outcome.detail.clone(),
        took_us: last.outcome.took_ns / 1000,
        at: now.at(last.at_ns),
    }
}

/// What a check asks, and where; of one through the tunnel, who is to answer.
pub(super) fn asked(checked: &Checked) -> String {
    let address = checked.address;
    let asked = match &checked.check.kind {
        HealthKind::Tcp => format!("tcp {address}"),
        HealthKind::Http(http) => {
            let scheme = if http.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{address}{}", http.path)
        }
        HealthKind::Grpc(grpc) => {
            let tls = if grpc.tls.is_some() { "grpcs" } else { "grpc" };
            format!("{tls} {address} {}", grpc.service).trim_end().to_owned()
        }
        HealthKind::Exec(exec) => {
            let program = exec.command.first().map_or("", String::as_str);
            format!("exec {program} {}", address.ip())
        }
        HealthKind::Icmp => format!("icmp {}", address.ip()),
        HealthKind::Dns(dns) => format!("dns {address} {} {}", dns.query, dns.record.name()),
    };
    match checked.tunnel {
        Some(tunnel) => format!("{asked} via tunnel to {}", tunnel.backend),
        None => asked,
    }
}

/// How many are up, down and unknown.
pub(in crate::app) fn counts(agent: &Agent) -> HealthCounts {
    let mut counts = HealthCounts::default();
    for (_, _, checked) in agent.health.iter() {
        match checked.machine.condition() {
            Condition::Unknown => counts.unknown += 1,
            Condition::Up => counts.up += 1,
            Condition::Down => counts.down += 1,
        }
    }
    counts
}

/// What the checks of a backend say.
pub(in crate::app) fn condition_name(agent: &Agent, pool: &str, name: &str) -> &'static str {
    agent.health.of(pool, name).map_or("unchecked", |checked| checked.machine.condition().name())
}

/// Whether a pool's checks are not believed.
pub(in crate::app) fn is_panic(agent: &Agent, pool: &str) -> bool {
    agent.derived.effective().get(pool).is_some_and(is_panic_in_force)
}

/// How many of a pool fail their checks and are used, because as many as may be are out.
pub(in crate::app) fn spared(agent: &Agent, pool: &str) -> usize {
    let backends = agent.derived.effective().get(pool).into_iter().flat_map(BTreeMap::values);
    backends.filter(|backend| backend.spared).count()
}

/// Pools whose certificates end soon: one sentence each, about the one that ends first.
pub(in crate::app) fn certificate_warnings(agent: &Agent) -> Vec<String> {
    let now = Now::read();
    let mut ending: BTreeMap<&str, (i64, &str, usize)> = BTreeMap::new();
    for (pool, name, checked) in agent.health.iter() {
        let days = checked.certificate_end_s.map(|end_s| now.days_until(end_s));
        let Some(days) = days.filter(|days| *days < CERTIFICATE_WARNING_DAYS) else { continue };
        let (first, who, count) = ending.entry(pool).or_insert((days, name, 0));
        *count += 1;
        if days < *first {
            (*first, *who) = (days, name);
        }
    }
    let told = ending.into_iter().map(|(pool, (days, name, count))| {
        let when = match days {
            ..=-1 => "has ended".to_owned(),
            0 => "ends within a day".to_owned(),
            1 => "ends in 1 day".to_owned(),
            _ => format!("ends in {days} days"),
        };
        let others = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        format!("the certificate of backend {pool}/{name}{others} {when}")
    });
    told.collect()
}

/// A moment in seconds since 1970, as people read it.
fn certificate_end(end_s: i64) -> String {
    let since = Duration::from_secs(u64::try_from(end_s).unwrap_or(0));
    views::rfc3339(UNIX_EPOCH + since)
}

/// Both clocks at one moment.
struct Now {
    monotonic_ns: u64,
    of_day: SystemTime,
}

impl Now {
    #[expect(clippy::disallowed_methods, reason = "shown to people; nothing is decided by it")]
    fn read() -> Self {
        Self { monotonic_ns: clock::precise_ns(), of_day: SystemTime::now() }
    }

    /// A moment of the past as a time of day.
    fn at(&self, monotonic_ns: u64) -> String {
        let ago = Duration::from_nanos(self.monotonic_ns.saturating_sub(monotonic_ns));
        views::rfc3339(self.of_day.checked_sub(ago).unwrap_or(self.of_day))
    }

    /// Whole days until a moment in seconds since 1970.
    fn days_until(&self, end_s: i64) -> i64 {
        let since_1970 = self.of_day.duration_since(UNIX_EPOCH).unwrap_or_default();
        days_left(end_s, i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX))
    }

    /// Milliseconds until a moment to come.
    const fn until_ms(&self, monotonic_ns: u64) -> u64 {
        monotonic_ns.saturating_sub(self.monotonic_ns) / 1_000_000
    }
}
