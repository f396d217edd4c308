//! The product on the kernels that people run: every program loads and keeps the rules, HTTP gets
//! through.
//!
//! Each kernel is booted once, in a virtual machine, and all tests look at what it reported. Runs
//! only when named, as `cargo xtask test --only kernels` does: it needs QEMU and the kernels that
//! `cargo xtask setup` fetches.

use std::sync::LazyLock;
use std::thread;

use lb_tests::guest::SERIES;
use lb_tests::guest::kernel::Kernel;
use lb_tests::guest::machine::Machine;
use lb_tests::guest::packets::PACKETS;
use lb_tests::guest::programs::PROGRAMS;
use lb_tests::guest::report::Report;
use lb_tests::guest::scenario::SCENARIOS;
use lb_tests::process::now;

/// What a kernel reported, or why it did not.
struct Run {
    release: String,
    outcome: Result<Vec<Report>, String>,
}

static RUNS: LazyLock<Vec<Run>> = LazyLock::new(|| {
    thread::scope(|scope| {
        let machines = SERIES.map(|series| scope.spawn(|| boot(series)));
        machines.map(|machine| machine.join().unwrap()).into()
    })
});

fn boot(series: &str) -> Run {
    let start = now();
    let mut release = series.to_owned();
    let outcome = Kernel::find(series).and_then(|kernel| {
        release.clone_from(&kernel.release);
        Machine::new(kernel)?.run()
    });
    println!("Linux {release}: {:.1} s", start.elapsed().as_secs_f64());
    Run { release, outcome: outcome.map_err(|error| format!("{error:#}")) }
}

/// Looks at what each kernel reported about `check`: `row` makes a row of the table of a good
/// report, and an account of a bad one. Gives back the rows and the accounts.
fn look(
    checks: &[String],
    row: impl Fn(&Report) -> Result<String, String>,
) -> (Vec<String>, Vec<String>) {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for Run { release, outcome } in RUNS.iter() {
        let reports = match outcome {
            Ok(reports) => reports,
            Err(account) => {
                failures.push(account.clone());
                continue;
            }
        };
        for check in checks {
            let report = reports.iter().find(|report| report.check() == Some(check));
            let result = match report {
                None => Err("not reported".to_owned()),
                Some(Report::Failed { error, .. }) => Err(error.clone()),
                Some(report) => row(report),
            };
            match result {
                Ok(row) => rows.push(format!("| {release} | {check} | {row} |")),
                Err(account) => failures.push(format!("Linux {release}: {check}: {account}")),
            }
        }
    }
    (rows, failures)
}

fn show(head: &str, rows: &[String]) {
    let columns = head.matches('|').count() - 1;
    println!("\n{head}\n{}|\n{}\n", "|---".repeat(columns), rows.join("\n"));
}

#[test]
fn every_program_loads_and_leaves_the_verifier_room() {
    let names: Vec<String> = PROGRAMS.iter().map(|program| program.name.to_owned()).collect();
    let (rows, failures) = look(&names, |report| {
        let Report::Verified { check, instructions, bytes } = report else {
            return Err(format!("{report:?}"));
        };
        let program = PROGRAMS.iter().find(|program| program.name == check).unwrap();
        let most = program.most_instructions;
        if *instructions > most {
            return Err(format!("{instructions} instructions verified, at most {most} allowed"));
        }
        Ok(format!("{instructions} | {bytes}"))
    });
    show("| kernel | program | instructions verified | bytes translated |", &rows);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_rule_of_the_packet_path_holds_on_every_kernel() {
    let names: Vec<String> = PACKETS.iter().map(|packets| packets.name.to_owned()).collect();
    expect_passed("| kernel | packets | seen | time |", &names);
}

#[test]
fn decapsulators_of_every_kernel_take_what_the_balancer_sends() {
    let names: Vec<String> = SCENARIOS.iter().map(ToString::to_string).collect();
    expect_passed("| kernel | scenario | seen | time |", &names);
}

fn expect_passed(head: &str, checks: &[String]) {
    let (rows, failures) = look(checks, |report| match report {
        Report::Passed { remark, milliseconds, .. } => Ok(format!("{remark} | {milliseconds} ms")),
        other => Err(format!("{other:?}")),
    });
    show(head, &rows);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
