//! Reports survive the serial port.

use super::*;

#[test]
fn reports_are_read_back_from_a_terminal_that_adds_carriage_returns() {
    let failed = Report::Failed { check: "one".into(), error: "first\nsecond".into() };
    let line = serde_json::to_string(&failed).unwrap();
    let finished = serde_json::to_string(&Report::Finished).unwrap();
    let text = format!("{line}\r\n{finished}\r\n{{\"report\":\"pas");
    assert_eq!(parse(&text).unwrap(), [failed, Report::Finished]);
    assert_eq!(parse("").unwrap(), []);
    assert!(parse("a message of the kernel\r\n").is_err());
}
