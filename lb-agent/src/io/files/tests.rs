//! Replacing files.

use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn a_replaced_file_has_the_new_text_and_the_old_permissions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edge.yaml");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();

    replace(&path, "new").unwrap();

    assert_eq!(read(&path).unwrap(), "new");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_failed_replacement_leaves_the_old_text_and_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("edge.yaml");
    fs::write(&path, "old").unwrap();
    // The temporary file's name is taken by a directory.
    fs::create_dir(dir.path().join("edge.yaml.new")).unwrap();

    let error = replace(&path, "new").unwrap_err();

    assert_eq!(error.to_string(), format!("cannot write {}", path.display()));
    assert_eq!(read(&path).unwrap(), "old");
}
