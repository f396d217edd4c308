//! The state file over restarts and damage.

use super::*;
use lb_common::config::Weight;

use crate::core::drain::Drain;
use crate::core::overrides::Change;

#[test]
fn what_is_stored_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(&dir.path().join("made/on/demand")).unwrap();
    assert_eq!(file.load().unwrap(), State::default());

    let overrides =
        Overrides::default().with("web", "web-1", Change::Drain(Some(Drain::default())));
    let state = State { generation: 7, overrides, configuration: u64::MAX };
    file.store(&state).unwrap();

    assert_eq!(file.load().unwrap(), state);
}

#[test]
fn a_damaged_file_is_an_error_and_not_an_empty_state() {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(dir.path()).unwrap();
    fs::write(dir.path().join("state.json"), "{\"generation\": 7, \"overr").unwrap();

    let error = file.load().unwrap_err();

    assert!(error.to_string().ends_with("state.json is not a state file of this agent"), "{error}");
}

#[test]
fn a_weight_no_agent_would_store_makes_a_malformed_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(dir.path()).unwrap();
    let overrides = Overrides::default().with("web", "web-1", Change::Weight(Weight::new(50)));
    file.store(&State { overrides, ..State::default() }).unwrap();
    let path = dir.path().join("state.json");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"weight\": 50"), "{text}");
    fs::write(&path, text.replace("\"weight\": 50", "\"weight\": 5000")).unwrap();

    let error = file.load().unwrap_err();

    assert!(matches!(error, StateError::Malformed { .. }), "{error:?}");
}

#[test]
fn a_state_directory_belongs_to_one_agent() {
    let dir = tempfile::tempdir().unwrap();
    let first = StateFile::new(dir.path()).unwrap();

    let error = StateFile::new(dir.path()).unwrap_err();
    drop(first);

    assert!(matches!(&error, StateError::Locked { dir: named } if named == dir.path()), "{error}");
    StateFile::new(dir.path()).unwrap();
}

#[test]
fn a_state_of_an_earlier_version_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(dir.path()).unwrap();
    let text = "{\"generation\": 7, \"overrides\": {\"pools\": {}}}";
    fs::write(dir.path().join("state.json"), text).unwrap();

    assert_eq!(file.load().unwrap(), State { generation: 7, ..State::default() });
}

fn written(dir: &Path) -> (StateFile, State, String) {
    let file = StateFile::new(dir).unwrap();
    let overrides =
        Overrides::default().with("web", "web-1", Change::Drain(Some(Drain::default())));
    let state = State { generation: 12, overrides, configuration: u64::MAX };
    file.store(&state).unwrap();
    let text = fs::read_to_string(dir.join("state.json")).unwrap();
    (file, state, text)
}

#[test]
fn a_crash_at_any_byte_of_a_write_leaves_the_state_of_before() {
    let dir = tempfile::tempdir().unwrap();
    let (file, before, text) = written(dir.path());
    for bytes in 0..=text.len() {
        fs::write(dir.path().join("state.json.new"), &text.as_bytes()[..bytes]).unwrap();
        assert_eq!(file.load().unwrap(), before);
    }
    file.store(&State::default()).unwrap();
    assert_eq!(file.load().unwrap(), State::default());
}

#[test]
fn a_damaged_file_is_refused_whatever_the_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (file, before, text) = written(dir.path());
    let path = dir.path().join("state.json");
    for bytes in 0..text.len() {
        fs::write(&path, &text.as_bytes()[..bytes]).unwrap();
        file.load().unwrap_err();
    }
    for place in 0..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[place] ^= 1;
        fs::write(&path, damaged).unwrap();
        // Nothing but white space may be another byte.
        assert!(file.load().is_err() || text.as_bytes()[place].is_ascii_whitespace(), "{place}");
    }
    fs::write(&path, text).unwrap();
    assert_eq!(file.load().unwrap(), before);
}
