//! Reading a kernel release.

use super::*;

#[test]
fn the_version_is_read_from_any_release_string() {
    assert_eq!(version("6.12.9-cloud-amd64"), Some((6, 12)));
    assert_eq!(version("5.15"), Some((5, 15)));
    assert_eq!(version("6.1.0-rc3"), Some((6, 1)));
    assert_eq!(version("unknown"), None);
}

#[test]
fn this_machine_has_a_version_and_a_cpu() {
    let host = Host::read();
    assert!(host.version.is_some(), "{host:?}");
    assert!(host.possible_cpus >= 1, "{host:?}");
}
