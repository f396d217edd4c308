//! Which capabilities are found missing.

use super::*;

#[test]
fn root_has_them_all() {
    let status = "Name:\tx\nCapEff:\t000001fffeffffff\nCapBnd:\t0\n";
    assert_eq!(effective(status), Some(0x1ff_feff_ffff));
    assert!(missing(0x1ff_feff_ffff).is_empty());
}

#[test]
fn the_exact_set_is_enough() {
    assert!(missing(1 << 12 | 1 << 38 | 1 << 39).is_empty());
}

#[test]
fn sys_admin_stands_for_the_bpf_ones_but_not_for_net_admin() {
    assert_eq!(missing(1 << 21), ["CAP_NET_ADMIN"]);
}

#[test]
fn an_ordinary_process_lacks_all_three() {
    assert_eq!(missing(0), ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
}
