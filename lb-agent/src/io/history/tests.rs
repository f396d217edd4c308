//! The history over its whole length, and with files that are not its own.

use super::*;

fn version(generation: u64) -> Version {
    Version {
        generation,
        applied_at: "2026-11-21T10:00:00Z".to_owned(),
        source: "apply".to_owned(),
        changes: 1,
        text: format!("# {generation}\n"),
    }
}

#[test]
fn what_is_kept_can_be_read_and_the_oldest_goes() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::of(dir.path());
    assert_eq!(history.generations().unwrap(), [0_u64; 0]);
    assert_eq!(history.version(1).unwrap(), None);

    // Generations have gaps: weights and drains count too.
    let all: Vec<u64> = (1..=KEPT as u64 + 3).map(|number| number * 3).collect();
    for generation in &all {
        history.keep(&version(*generation)).unwrap();
    }

    assert_eq!(history.generations().unwrap(), all[3..]);
    assert_eq!(history.version(9).unwrap(), None);
    assert_eq!(history.version(12).unwrap(), Some(version(12)));
}

#[test]
fn files_of_others_are_left_alone_and_a_damaged_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let history = History::of(dir.path());
    history.keep(&version(7)).unwrap();
    let beside = |name: &str| dir.path().join("history").join(name);
    fs::write(beside("7.json.new"), "half").unwrap();
    fs::write(beside("notes.txt"), "mine").unwrap();
    fs::write(beside("8.json"), "{\"generation\": 8").unwrap();

    assert_eq!(history.generations().unwrap(), [7, 8]);
    let error = history.version(8).unwrap_err();
    assert!(error.to_string().contains("8.json is not a configuration"), "{error}");
}
