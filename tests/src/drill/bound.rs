//! What clients may see of a drill, and whether they saw more.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::time::Duration;

use super::Span;
use super::requests::{Ended, Timeline};
use crate::flows::Fates;

/// What clients may see, and how long the balancer may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// Which requests may fail.
    pub failures: Failures,
    /// Whose connections may break.
    pub of: &'static [&'static str],
    /// Time the balancer has until all is as it should be.
    pub settled: Duration,
}

/// Which requests may fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failures {
    /// None.
    Never,
    /// Those that were begun within this time of a harm, or were under way then.
    AfterHarm(Duration),
    /// Those that were begun between a harm and this time after it was mended, or were under way.
    AfterMend(Duration),
}

impl Bound {
    /// Nothing fails, nothing breaks.
    pub const fn nothing(settled: Duration) -> Self {
        Self { failures: Failures::Never, of: &[], settled }
    }

    /// What was seen and may not be, in words; nothing if the bound was kept.
    pub fn excesses(
        &self,
        spans: &[Span],
        timeline: &Timeline,
        fates: &Fates,
        settled: Duration,
    ) -> Vec<String> {
        let mut excesses = Vec::new();
        let refused: Vec<_> =
            timeline.failed().filter(|request| !self.failures.allow(request, spans)).collect();
        if let Some(first) = refused.first() {
            let harm = spans.first().map_or(Duration::ZERO, |span| span.from);
            let after = first.begun.as_secs_f64() - harm.as_secs_f64();
            let cause = first.outcome.as_ref().err().map_or("", String::as_str);
            let count = refused.len();
            excesses.push(format!(
                "{count} requests failed that may not; the first {:.0} ms after the harm: {cause}",
                after * 1000.0
            ));
        }
        let harmed = others(&fates.moved, self.of).chain(others(&fates.broken, self.of));
        excesses.extend(harmed.map(|(what, count)| format!("{count} connections of {what}")));
        if settled > self.settled {
            let (took, limit) = (settled.as_millis(), self.settled.as_millis());
            excesses.push(format!("settled after {took} ms and not {limit} ms"));
        }
        excesses
    }
}

/// Harmed connections that belong to none of these origins. What became of a connection begins
/// with the name of its origin.
fn others<'a>(
    harmed: &'a BTreeMap<String, u64>,
    of: &'a [&str],
) -> impl Iterator<Item = (&'a String, &'a u64)> {
    harmed.iter().filter(|(what, _)| !of.iter().any(|origin| what.starts_with(origin)))
}

impl Failures {
    fn allow(self, request: &Ended, spans: &[Span]) -> bool {
        let within =
            |from: Duration, until: Duration| request.ended >= from && request.begun <= until;
        spans.iter().any(|span| match self {
            Self::Never => false,
            Self::AfterHarm(time) => within(span.from, span.from + time),
            Self::AfterMend(time) => within(span.from, span.until.saturating_add(time)),
        })
    }
}

impl Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures {
            Failures::Never => f.write_str("fail none")?,
            Failures::AfterHarm(time) => write!(f, "fail for {} ms", time.as_millis())?,
            Failures::AfterMend(time) => {
                write!(f, "fail till {} ms after its end", time.as_millis())?;
            }
        }
        match self.of {
            [] => f.write_str(", break none")?,
            of => write!(f, ", break {} only", of.join(", "))?,
        }
        write!(f, ", settle in {} ms", self.settled.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    const DEAD: Bound =
        Bound { failures: Failures::AfterHarm(ms(300)), of: &["origin2"], settled: ms(300) };
    const SPANS: [Span; 1] = [Span { from: ms(1000), until: ms(1500) }];

    fn failed(begun: u64, ended: u64) -> Timeline {
        let outcome = Err("connect: timed out".to_owned());
        Timeline::of(vec![Ended { begun: ms(begun), ended: ms(ended), outcome }])
    }

    fn excesses(bound: Bound, timeline: &Timeline, fates: &Fates, settled: u64) -> usize {
        bound.excesses(&SPANS, timeline, fates, ms(settled)).len()
    }

    #[test]
    fn failures_count_by_when_they_were_under_way() {
        let fates = Fates::default();
        let mended = Bound { failures: Failures::AfterMend(ms(300)), ..DEAD };
        for (begun, ended, after_harm, after_mend) in [
            (900, 950, 1, 1),
            (900, 1001, 0, 0),
            (1300, 2000, 0, 0),
            (1301, 2000, 1, 0),
            (1801, 2000, 1, 1),
        ] {
            let timeline = failed(begun, ended);
            assert_eq!(excesses(DEAD, &timeline, &fates, 0), after_harm, "{begun}");
            assert_eq!(excesses(mended, &timeline, &fates, 0), after_mend, "{begun}");
            assert_eq!(excesses(Bound::nothing(ms(0)), &timeline, &fates, 0), 1, "{begun}");
        }
    }

    #[test]
    fn connections_of_others_may_not_break() {
        let mut fates = Fates::default();
        let none = Timeline::default();
        fates.moved.insert("origin2 -> origin1".to_owned(), 3);
        fates.broken.insert("origin2: reset".to_owned(), 3);
        assert_eq!(excesses(DEAD, &none, &fates, 0), 0);
        assert_eq!(excesses(Bound::nothing(ms(0)), &none, &fates, 0), 2);
        fates.broken.insert("origin1: reset".to_owned(), 1);
        assert_eq!(excesses(DEAD, &none, &fates, 0), 1);
    }

    #[test]
    fn a_late_end_is_an_excess() {
        let (none, fates) = (Timeline::default(), Fates::default());
        assert_eq!(excesses(DEAD, &none, &fates, 300), 0);
        assert_eq!(excesses(DEAD, &none, &fates, 301), 1);
    }
}
