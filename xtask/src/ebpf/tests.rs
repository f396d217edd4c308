//! Flags and change detection of the BPF build.

use std::env;
use std::fs;
use std::path::Path;
use std::process;

use super::{copy_if_changed, encoded_flags};

#[test]
fn an_unchanged_program_keeps_its_file() {
    let directory = env::temp_dir().join(format!("xtask-copy-{}", process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (from, to) = (directory.join("from"), directory.join("to"));
    fs::write(&from, b"one").unwrap();

    assert!(copy_if_changed(&from, &to).unwrap());
    let before = fs::metadata(&to).unwrap().modified().unwrap();
    assert!(!copy_if_changed(&from, &to).unwrap());
    assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), before);

    fs::write(&from, b"two").unwrap();
    assert!(copy_if_changed(&from, &to).unwrap());
    assert_eq!(fs::read(&to).unwrap(), b"two");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_program_that_was_not_built_is_an_error() {
    let error = copy_if_changed(Path::new("/nonexistent/lb-balancer"), Path::new("/tmp/unused"));
    assert!(error.unwrap_err().to_string().contains("/nonexistent/lb-balancer"));
}

#[test]
fn each_flag_is_one_argument_of_the_compiler() {
    let encoded = encoded_flags(Path::new("/opt/my tools/bpf-linker")).into_string().unwrap();
    let flags: Vec<&str> = encoded.split('\x1f').collect();
    assert!(flags.iter().all(|flag| flag.starts_with("-C")), "{flags:?}");
    assert!(flags.contains(&"-Clinker=/opt/my tools/bpf-linker"), "{flags:?}");
}
