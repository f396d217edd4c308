//! What libFuzzer writes, as it was read from a real run.

use super::{Figures, written_input};

const LOG: &str = "\
INFO: Running with entropic power schedule (0xFF, 100).
#2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 30Mb
#74123\tREDUCE cov: 567 ft: 890 corp: 122/45Kb lim: 4096 exec/s: 24000 rss: 50Mb
#81234\tDONE   cov: 568 ft: 891 corp: 123/45Kb lim: 4096 exec/s: 27078 rss: 50Mb
Done 81234 runs in 3 second(s)
stat::number_of_executed_units: 81234
stat::average_exec_per_sec:     27078
";

#[test]
fn figures_come_from_the_last_lines() {
    let expected = Figures { inputs: 81_234, inputs_per_second: 27_078, reached: 568, kept: 123 };
    assert_eq!(Figures::read(LOG), expected);
    assert_eq!(Figures::read(""), Figures::default());
}

#[test]
fn the_failing_input_is_named() {
    let log = "SUMMARY: libFuzzer: deadly signal\n\
               artifact_prefix='/a/'; Test unit written to /a/crash-12ab\nBase64: AA==";
    assert_eq!(written_input(log), Some("/a/crash-12ab"));
    assert_eq!(written_input(LOG), None);
}
