//! Every failover drill keeps its bound, and a balancer that lacks what it takes does not.
//!
//! One drill at a time: bounds are milliseconds, and this machine may have two CPUs. They need root
//! and the binaries of `cargo xtask build`.

#![expect(clippy::print_stdout, reason = "which drill runs, and a table for people to read")]

use std::sync::{Mutex, PoisonError};

use lb_tests::drill::Drill;
use lb_tests::drill::catalogue::{DRILLS, SABOTAGED};
use lb_tests::drill::report::{Row, table};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn rows(drills: &[Drill]) -> Vec<Row> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let run = |drill: &Drill| {
        println!("{} ...", drill.name);
        drill.run()
    };
    let rows = drills.iter().map(run).collect::<Vec<_>>();
    println!("{}", table(&rows));
    rows
}

#[test]
fn every_drill_keeps_its_bound() {
    let rows = rows(DRILLS);
    let not_kept: Vec<_> = rows.iter().filter(|row| !row.kept()).collect();
    assert!(not_kept.is_empty(), "{not_kept:#?}");
}

#[test]
fn a_balancer_that_lacks_what_averts_the_harm_keeps_no_bound() {
    let rows = rows(SABOTAGED);
    // Each was run to its end, and it was clients that saw the harm.
    let harmed = |row: &Row| !row.kept() && row.failed + row.broken > 0;
    let unharmed: Vec<_> = rows.iter().filter(|row| !harmed(row)).collect();
    assert!(unharmed.is_empty(), "{unharmed:#?}");
}
