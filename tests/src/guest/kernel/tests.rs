//! In which order modules are loaded.

use super::*;

const DEPENDENCIES: &str = "net/ipip.ko.xz: net/tunnel4.ko.xz net/ip_tunnel.ko.xz\n\
                            net/sit.ko.xz: net/tunnel4.ko.xz net/ip_tunnel.ko.xz\n\
                            net/ipip_more.ko.xz:\n\
                            net/tunnel4.ko.xz:\n\
                            net/ip_tunnel.ko.xz:\n";

#[test]
fn modules_come_once_and_after_what_they_need() {
    let order = order(&["ipip", "sit"], DEPENDENCIES, "").unwrap();
    assert_eq!(
        order,
        ["net/ip_tunnel.ko.xz", "net/tunnel4.ko.xz", "net/ipip.ko.xz", "net/sit.ko.xz"]
    );
}

#[test]
fn what_is_built_in_needs_no_file_and_what_is_nowhere_is_an_error() {
    assert_eq!(order(&["veth"], DEPENDENCIES, "net/veth.ko\n").unwrap(), [""; 0]);
    let error = order(&["veth"], DEPENDENCIES, "net/veth_more.ko\n").unwrap_err();
    assert_eq!(error.to_string(), "there is no module veth");
}
