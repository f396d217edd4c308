//! Time to build one table of the default size, as the agent does for every change of a pool.

use anyhow::{Context as _, Result};
use lb_common::maglev::{Entry, TableInput, build};

use super::report::Row;
use super::statistics::Series;
use crate::fixture::HASH_SEED;
use crate::process::now;

/// The row's name.
pub const NAME: &str = "table-build/M=65521/backends=1000";
const SLOTS: u32 = 65_521;
const BACKENDS: u16 = 1_000;

/// Builds the table `times` times.
///
/// # Errors
/// It cannot be built.
pub fn measure(times: usize) -> Result<Row> {
    let names: Vec<String> = (0..BACKENDS).map(|number| format!("web-{number}")).collect();
    // Weights from 1 to 1,000: equal ones would be the builder's easiest case.
    let weight = |number: u16| 1 + number.wrapping_mul(7_919) % 1_000;
    let entries: Vec<_> =
        (0..).zip(&names).map(|(number, name)| Entry { name, weight: weight(number) }).collect();
    let input = TableInput { pool: "web", slots: SLOTS, seed: HASH_SEED, entries: &entries };
    let mut nanoseconds = Series::default();
    for _ in 0..times {
        let start = now();
        let table = build(std::hint::black_box(&input)).context("building a table")?;
        let elapsed = start.elapsed();
        std::hint::black_box(table);
        nanoseconds.push(elapsed.as_secs_f64() * 1e9);
    }
    Row::alone(NAME, &nanoseconds).context("no table was built")
}
