//! `doctor`: what is wrong with interfaces: how the program runs on them, what they are made of, and
//! whether packets can be redirected to them.

use std::collections::BTreeMap;

use lb_common::abi::Features;
use lb_common::api::{Finding, Severity};
use lb_common::config::Interface;

use super::{bad, ok};
use crate::app::agent::Agent;
use crate::core::way::{Link, LinkKind, Way, below_vlans};
use crate::io::bpf::Attachment;

/// Modes of bonds on which XDP runs in the drivers below (`bond_xdp_check` of the kernel).
const BOND_MODES: [&str; 4] = ["active-backup", "balance-rr", "balance-xor", "802.3ad"];

impl Agent {
    /// How the program runs on each interface.
    pub(super) fn xdp_modes(&self) -> Vec<Finding> {
        let finding = |interface: &Interface| {
            let name = &interface.name;
            match self.attachments.of(name) {
                None => {
                    let reason = self.not_attached.get(name).map_or("", String::as_str);
                    bad(
                        "xdp_mode",
                        Severity::Error,
                        format!("{name}: the program is not attached: {reason}"),
                        "bring the interface back; the agent attaches to it by itself",
                    )
                }
                Some(_) if !self.attachments.is_intact(name) => bad(
                    "xdp_mode",
                    Severity::Error,
                    format!("{name}: the program has been detached or its pin removed"),
                    "wait some seconds: the agent attaches and pins again by itself",
                ),
                Some(Attachment { fallback: Some(reason), .. }) => bad(
                    "xdp_mode",
                    Severity::Warning,
                    format!("{name}: generic mode, about a tenth of the speed: {reason}"),
                    "use a NIC whose driver supports XDP; set mode: native to insist, generic to accept",
                ),
                Some(attachment) if attachment.generic => {
                    ok("xdp_mode", format!("{name}: generic mode, as configured"))
                }
                Some(_) => ok("xdp_mode", format!("{name}: native mode")),
            }
        };
        self.desired.interfaces.iter().map(finding).collect()
    }

    /// What XDP needs on interfaces that are made of others.
    pub(super) fn made_of(&self) -> Vec<Finding> {
        self.interfaces
            .present
            .iter()
            .filter_map(|(name, link)| made_of(name, &link.kind))
            .collect()
    }

    /// Whether packets can be redirected to the interfaces that lead to backends.
    pub(super) fn ways_out(&self) -> Vec<Finding> {
        if !self.settings.features.has(Features::REDIRECT) {
            return Vec::new();
        }
        let ways = below_vlans(&self.ways, &self.interfaces.indices());
        let mut links = BTreeMap::new();
        for way in ways.into_values() {
            if let Way::Known { link, .. } = way {
                links.insert(link.index, link);
            }
        }
        links.into_values().filter_map(|link| self.way_out(&link)).collect()
    }

    fn way_out(&self, link: &Link) -> Option<Finding> {
        let name = &link.name;
        let attachment = self.attachments.iter().find(|(_, each)| each.ifindex == link.index);
        let message = match (&link.kind, attachment) {
            (LinkKind::Veth, _) => format!(
                "packets are redirected to {name}, a veth: it takes them only if its peer has an XDP program or GRO"
            ),
            (LinkKind::Vlan { .. }, _) => {
                format!("packets cannot be redirected to {name}, a VLAN device: they are lost")
            }
            (LinkKind::Plain | LinkKind::Bond { .. }, None) => format!(
                "packets are redirected to {name}, which the program is not attached to: many drivers take them only where a program is (ndo_xdp_xmit)"
            ),
            (LinkKind::Plain | LinkKind::Bond { .. }, Some((_, attachment))) => {
                if !attachment.generic {
                    return None;
                }
                format!(
                    "packets are redirected to {name}, which runs in generic mode: its driver may not take them (ndo_xdp_xmit)"
                )
            }
        };
        let cure = match &link.kind {
            LinkKind::Veth => "ethtool -K PEER gro on, inside the peer's namespace",
            LinkKind::Vlan { .. } => {
                "attach to the interface below it, and let clients in by that VLAN"
            }
            LinkKind::Plain | LinkKind::Bond { .. } => {
                "list it among the interfaces, with a driver that supports XDP; see whether its transmit counters grow"
            }
        };
        Some(bad("redirect", Severity::Warning, message, cure))
    }
}

/// What there is to say of an interface for what it is made of.
fn made_of(name: &str, kind: &LinkKind) -> Option<Finding> {
    match kind {
        LinkKind::Vlan { .. } => Some(bad(
            "xdp_mode",
            Severity::Warning,
            format!("{name} is a VLAN device: XDP runs on it in generic mode only"),
            format!(
                "name the interface below it instead (`ip link show {name}` has it behind the @): the program keeps tags"
            ),
        )),
        LinkKind::Bond { mode } if BOND_MODES.contains(&mode.as_str()) => Some(ok(
            "xdp_mode",
            format!(
                "{name} is a bond in mode {mode}: runs natively if all members' drivers support XDP and carry no program of their own"
            ),
        )),
        LinkKind::Bond { mode } => Some(bad(
            "xdp_mode",
            Severity::Warning,
            format!("{name} is a bond in mode {mode}: XDP runs on it in generic mode only"),
            format!("use one of the modes {}", BOND_MODES.join(", ")),
        )),
        LinkKind::Plain | LinkKind::Veth => None,
    }
}

#[cfg(test)]
mod tests;
