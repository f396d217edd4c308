//! Replacing files.

use std::os::unix::fs::{PermissionsExt, chown, symlink};

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

#[test]
fn of_a_symbolic_link_the_file_is_replaced_and_keeps_owner_and_mode() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("real.yaml"), dir.path().join("edge.yaml"));
    fs::write(&file, "old").unwrap();
    chown(&file, Some(1234), Some(5678)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real.yaml", &link).unwrap();

    replace(&link, "new").unwrap();

    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(read(&file).unwrap(), "new");
    let metadata = fs::metadata(&file).unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (1234, 5678, 0o640));
}

#[test]
fn a_failed_replacement_leaves_nothing_beside_the_file() {
    let dir = tempfile::tempdir().unwrap();
    // A file cannot take the name of a directory.
    let path = dir.path().join("edge.yaml");
    fs::create_dir(&path).unwrap();

    replace(&path, "new").unwrap_err();

    assert!(!dir.path().join("edge.yaml.new").exists());
}
