//! Measures rows of the table: all candidates in turn, several rounds.
//!
//! In each round every row is warmed up, so that it finds the caches as its own traffic leaves
//! them, and then timed in batches, whose median is the row's value of the round. The driver alone
//! is timed in the same round, and subtracted. So what disturbs the machine for longer than a batch
//! and shorter than a round moves no median, and what lasts longer moves a row and what it is
//! compared with alike.

use anyhow::{Context as _, Result};
use lb_common::abi::Family;
use lb_common::bench::{ALL_FLOWS, BATCHES, PACKETS_PER_BATCH, Span, program};

use super::kernel::{Kernel, Target};
use super::statistics::Series;
use super::workloads::{Action, Candidate, Frame, Traffic, Workload};

/// Batches of a row that are timed in one round, at least; more if its flows are more than these
/// packets.
const TIMED_BATCHES: u64 = 48;

/// What a row cost, nanoseconds for a packet, round by round.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cost {
    /// With the driver.
    pub gross: Series,
    /// The driver alone.
    pub driver: Series,
}

impl Cost {
    /// Without the driver, round by round.
    pub fn net(&self) -> Series {
        self.gross.less(&self.driver)
    }

    /// The smallest cost without the driver, at its own smallest: the difference of two minima,
    /// since the smallest difference of a round would be that in which the driver was disturbed.
    /// Where few rounds were quiet, it may come out above the median, and is that then.
    pub fn minimum(&self) -> Option<f64> {
        let difference = self.gross.minimum()? - self.driver.minimum()?;
        Some(difference.min(self.net().median()?))
    }
}

/// A candidate with its traffic, and how far it has got.
struct Runner {
    target: Target,
    traffic: Traffic,
    frame: Frame,
    next_packet: u64,
    nanoseconds: Series,
}

/// Measures `workloads` in `rounds` rounds; calls `on_round` after each.
///
/// # Errors
/// The kernel refuses, or a candidate did not do what its row says.
pub fn measure(
    workloads: &[Workload],
    rounds: usize,
    mut on_round: impl FnMut(usize),
) -> Result<Vec<Cost>> {
    let mut kernel = Kernel::load()?;
    let mut drivers = driver_rows(&mut kernel, workloads)?;
    let mut rows = load(&mut kernel, workloads)?;
    for round in 0..rounds {
        // Before and after all others: its cost is in each of theirs.
        let before = drivers.iter_mut().map(|(_, runner)| runner.round(&mut kernel));
        let before = before.collect::<Result<Vec<_>>>().context("the driver by itself")?;
        for (workload, runner) in workloads.iter().zip(&mut rows) {
            let value = runner.round(&mut kernel).with_context(|| workload.name.clone())?;
            runner.nanoseconds.push(value);
        }
        for ((_, runner), before) in drivers.iter_mut().zip(before) {
            let after = runner.round(&mut kernel).context("the driver by itself")?;
            runner.nanoseconds.push(f64::midpoint(before, after));
        }
        on_round(round + 1);
    }
    let cost = |runner: Runner| {
        let own = drivers.iter().find(|(family, _)| *family == runner.traffic.family);
        let driver = own.map(|(_, driver)| driver.nanoseconds.clone()).unwrap_or_default();
        Cost { gross: runner.nanoseconds, driver }
    };
    Ok(rows.into_iter().map(cost).collect())
}

/// A row of the target that does nothing for each IP version that is measured.
fn driver_rows(kernel: &mut Kernel, workloads: &[Workload]) -> Result<Vec<(Family, Runner)>> {
    let target = kernel.add_program(program::PASS)?;
    let mut rows: Vec<(Family, Runner)> = Vec::new();
    for Workload { traffic, .. } in workloads {
        if !rows.iter().any(|(family, _)| *family == traffic.family) {
            let traffic = Traffic { verdict: Action::Pass, ..*traffic };
            rows.push((traffic.family, Runner::new(target, traffic)?));
        }
    }
    Ok(rows)
}

/// Loads every candidate once, and takes each row's prelude through it.
fn load(kernel: &mut Kernel, workloads: &[Workload]) -> Result<Vec<Runner>> {
    let mut loaded: Vec<(Candidate, Target)> = Vec::new();
    let mut rows = Vec::new();
    for workload in workloads {
        let known = loaded.iter().find(|(candidate, _)| *candidate == workload.candidate);
        let target = match (known, workload.candidate) {
            (Some((_, target)), _) => *target,
            (None, Candidate::Program(name)) => kernel.add_program(name)?,
            (None, Candidate::Balancer(setup)) => kernel.add_balancer(setup)?,
            (None, Candidate::Baseline { .. }) => kernel.add_baseline()?,
            (None, Candidate::Part(name)) => kernel.add_part(name)?,
        };
        loaded.push((workload.candidate, target));
        let mut runner = Runner::new(target, workload.traffic)?;
        runner
            .run(kernel, workload.prelude_packets.div_ceil(u64::from(PACKETS_PER_BATCH)))
            .with_context(|| format!("the prelude of {}", workload.name))?;
        rows.push(runner);
    }
    Ok(rows)
}

impl Runner {
    fn new(target: Target, traffic: Traffic) -> Result<Self> {
        let frame = traffic.frame()?;
        Ok(Self { target, traffic, frame, next_packet: 0, nanoseconds: Series::default() })
    }

    /// Warms up and measures: the value of one round.
    fn round(&mut self, kernel: &mut Kernel) -> Result<f64> {
        // New flows have no end, and nothing to be warm.
        let flows =
            if self.traffic.flow_mask == ALL_FLOWS { 0 } else { self.traffic.flow_mask + 1 };
        let round_of_flows = flows.div_ceil(u64::from(PACKETS_PER_BATCH)).max(1);
        let spans = self.run(kernel, round_of_flows + round_of_flows.max(TIMED_BATCHES))?;
        let timed = spans.iter().skip(usize::try_from(round_of_flows).unwrap_or(usize::MAX));
        timed.copied().collect::<Series>().median().context("no batches")
    }

    /// Takes batches through; nanoseconds for a packet of each, driver included.
    fn run(&mut self, kernel: &mut Kernel, batches: u64) -> Result<Vec<f64>> {
        let mut nanoseconds = Vec::new();
        let mut left = batches;
        while left > 0 {
            let now = u32::try_from(left.min(BATCHES as u64)).context("a batch too many")?;
            let range = (self.next_packet, now);
            let (report, _) = kernel.run(self.target, &self.traffic, &self.frame, range)?;
            let packets = u64::from(now * PACKETS_PER_BATCH);
            self.next_packet = self.next_packet.wrapping_add(packets);
            nanoseconds.extend(report.batches.iter().take(now as usize).map(per_packet));
            left -= u64::from(now);
        }
        Ok(nanoseconds)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a batch is over within a second")]
fn per_packet(batch: &Span) -> f64 {
    batch.end_ns.saturating_sub(batch.start_ns) as f64 / f64::from(PACKETS_PER_BATCH)
}
