//! The state file over restarts and damage.

use super::*;
use crate::core::overrides::Change;

#[test]
fn what_is_stored_is_loaded_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = StateFile::new(&dir.path().join("made/on/demand")).unwrap();
    assert_eq!(file.load().unwrap(), State::default());

    let overrides = Overrides::default().with("web", "web-1", Change::Drain(true));
    let state = State { generation: 7, overrides };
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
