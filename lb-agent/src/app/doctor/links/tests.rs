//! What is said of interfaces that are made of others.

use super::*;

fn said(kind: &LinkKind) -> Option<(Severity, String)> {
    made_of("eth0.5", kind).map(|finding| (finding.severity, finding.cure))
}

#[test]
fn a_vlan_device_is_a_warning_that_names_the_interface_below() {
    let (severity, cure) = said(&LinkKind::Vlan { parent: Some(3) }).unwrap();
    assert_eq!(severity, Severity::Warning);
    assert!(cure.contains("the interface below it") && cure.contains("ip link show eth0.5"));
}

#[test]
fn a_bond_is_one_only_in_modes_that_xdp_knows_nothing_of() {
    let bond = |mode: &str| said(&LinkKind::Bond { mode: mode.to_owned() }).unwrap().0;
    for mode in BOND_MODES {
        assert_eq!(bond(mode), Severity::Ok, "{mode}");
    }
    for mode in ["balance-tlb", "balance-alb", "broadcast", "unknown"] {
        assert_eq!(bond(mode), Severity::Warning, "{mode}");
    }
}

#[test]
fn nothing_is_said_of_others() {
    assert_eq!(said(&LinkKind::Plain), None);
    assert_eq!(said(&LinkKind::Veth), None);
}
