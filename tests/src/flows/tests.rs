//! What tests under load rely on when they count the fates of flows.

use super::*;

/// A flow that gives these answers, and the last of them for ever.
struct Scripted(Vec<Result<Answer, String>>);

impl Flow for Scripted {
    fn ask(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn answer(&mut self) -> Result<Answer, String> {
        if self.0.len() > 1 { self.0.remove(0) } else { self.0[0].clone() }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a line of a script, as failures are")]
fn from(name: &str) -> Result<Answer, String> {
    Ok(Answer::From(name.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "a line of a script, as failures are")]
fn stranger(name: &str) -> Result<Answer, String> {
    Ok(Answer::Stranger(name.to_owned()))
}

fn fates_of(script: Vec<Result<Answer, String>>) -> Fates {
    let flows = Flows::start(vec![Scripted(script)]).unwrap();
    flows.wait_rounds(3).unwrap();
    flows.stop().unwrap()
}

#[test]
fn a_flow_that_hears_one_origin_is_kept() {
    let fates = fates_of(vec![from("a")]);
    assert_eq!((fates.kept_by("a"), fates.harmed()), (1, 0), "{fates}");
}

#[test]
fn a_flow_that_went_away_and_came_back_is_moved() {
    let fates = fates_of(vec![from("a"), from("a"), from("b"), from("a")]);
    assert_eq!(fates.moved.get("a -> b"), Some(&1), "{fates}");
    assert_eq!((fates.kept_by("a"), fates.harmed()), (0, 1), "{fates}");
}

#[test]
fn a_flow_that_its_origin_has_forgotten_is_moved() {
    let fates = fates_of(vec![from("a"), stranger("a"), from("a")]);
    assert_eq!(fates.moved.get("a -> a"), Some(&1), "{fates}");
}

#[test]
fn a_flow_without_an_answer_is_broken() {
    let fates = fates_of(vec![from("a"), Err("reset".to_owned()), from("a")]);
    assert_eq!(fates.broken.get("a: reset"), Some(&1), "{fates}");
}

#[test]
fn a_flow_that_cannot_begin_is_an_error() {
    assert!(Flows::start(vec![Scripted(vec![Err("refused".to_owned())])]).is_err());
}

#[test]
fn a_silent_flow_asks_at_the_end() {
    let flows = Flows::silent(vec![Scripted(vec![from("a"), from("b")])]).unwrap();
    assert_eq!(flows.fates().kept_by("a"), 1);
    assert!(flows.wait_rounds(1).is_err());
    assert_eq!(flows.stop().unwrap().harmed(), 1);
}
