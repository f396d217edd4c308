//! The service policy comes and goes, and never takes another's place.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process;

use super::{POLICY, Policy};

#[test]
fn our_policy_is_executable_and_gone_afterwards() {
    let path = env::temp_dir().join(format!("xtask-policy-{}", process::id()));
    let policy = Policy::set(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111);
    drop(policy);
    assert!(!path.exists());

    fs::write(&path, POLICY).unwrap();
    drop(Policy::set(&path).unwrap());
    assert!(!path.exists(), "a policy left by a killed run is taken over");
}

#[test]
fn a_policy_of_the_machines_owner_stays() {
    let path = env::temp_dir().join(format!("xtask-owner-{}", process::id()));
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    drop(Policy::set(&path).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nexit 0\n");
    fs::remove_file(path).unwrap();
}
