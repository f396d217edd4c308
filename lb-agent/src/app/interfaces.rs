//! The interfaces of the configuration: attached as one with a change, and kept attached after it.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::api::EventKind;
use lb_common::config::{Desired, Interface};
use tracing::{error, warn};

use super::AgentError;
use super::agent::Agent;
use super::events::with_causes;
use crate::core::events::Occurrence;
use crate::core::way::Link;
use crate::io::bpf::{Attachment, Before, Tended};
use crate::io::netlink::Netlink;
use crate::io::pins::mode_name;

/// What the kernel says of the interfaces of a configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Interfaces {
    /// Each that is there.
    pub(super) present: BTreeMap<String, Link>,
    /// Names of the others.
    pub(super) absent: Vec<String>,
}

impl Interfaces {
    /// Looks for every interface of a configuration.
    pub(super) async fn find(netlink: &Netlink, desired: &Desired) -> Result<Self, AgentError> {
        let mut found = Self::default();
        for Interface { name, .. } in &desired.interfaces {
            match netlink.link(name).await? {
                Some(link) => drop(found.present.insert(name.clone(), link)),
                None => found.absent.push(name.clone()),
            }
        }
        Ok(found)
    }

    /// Those that are there, by index.
    pub(super) fn indices(&self) -> BTreeSet<u32> {
        self.present.values().map(|link| link.index).collect()
    }
}

impl Agent {
    /// Attaches to the interfaces of a configuration that are there. All of them, or none: if one
    /// is refused, the others go back to what they had. Those that `desired` does not name stay.
    pub(super) fn attach_all(
        &mut self,
        desired: &Desired,
        interfaces: &Interfaces,
    ) -> Result<Vec<Before>, AgentError> {
        let mut done = Vec::new();
        for interface in &desired.interfaces {
            let Some(link) = interfaces.present.get(&interface.name) else { continue };
            match self.attach(interface, link.index) {
                Ok(before) => done.push(before),
                Err(error) => {
                    self.undo_attach(&done);
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    /// Puts interfaces back as they were, the last first.
    pub(super) fn undo_attach(&mut self, done: &[Before]) {
        for before in done.iter().rev() {
            let new = self.attachments.new_since(before).map(str::to_owned);
            if let Err(error) = self.attachments.undo(&mut self.datapath, &self.pins, before) {
                error!(error = &error as &dyn std::error::Error, "cannot undo an attachment");
            } else if let Some(name) = new {
                self.raise(detached(&name, "what it was attached for was refused"));
            }
        }
    }

    fn attach(&mut self, interface: &Interface, ifindex: u32) -> Result<Before, AgentError> {
        let Interface { name, mode } = interface;
        let before =
            self.attachments.attach(&mut self.datapath, &self.pins, name, ifindex, *mode)?;
        let Some(attachment) = self.attachments.of(name) else { return Ok(before) };
        self.raise_all(attached(name, &before, attachment));
        Ok(before)
    }

    /// Detaches from all interfaces but these. One that is absent may have been renamed and be
    /// among the others, so then all of them stay.
    pub(super) fn detach_others(&mut self, interfaces: &Interfaces) {
        if !interfaces.absent.is_empty() {
            return;
        }
        let wanted = Vec::from_iter(interfaces.indices());
        match self.attachments.detach_others(&wanted) {
            Ok(gone) => {
                for interface in gone {
                    self.raise(detached(&interface, "the configuration does not name it"));
                }
            }
            Err(error) => error!(error = &error as &dyn std::error::Error, "cannot detach"),
        }
    }

    /// Sees to it that what should be attached is, whatever became of interfaces, links and pins.
    /// What cannot be done is logged once and shown by `status` for as long as it lasts.
    pub(super) async fn keep_attached(&mut self) {
        for (interface, tended) in self.attachments.tend() {
            self.tell_tended(&interface, &tended);
        }
        let interfaces = match Interfaces::find(&self.netlink, &self.desired).await {
            Ok(interfaces) => interfaces,
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "cannot look for interfaces");
                return;
            }
        };
        let mut not_attached = absences(&interfaces);
        for interface in self.desired.interfaces.clone() {
            let Some(link) = interfaces.present.get(&interface.name) else { continue };
            if let Err(error) = self.attach(&interface, link.index) {
                not_attached.insert(interface.name, with_causes(&error));
            }
        }
        self.detach_others(&interfaces);
        self.interfaces = interfaces;
        self.note(not_attached);
        self.keep_tunnels().await;
    }

    /// Remembers which interfaces are not attached and why, and logs what is news.
    pub(super) fn note(&mut self, not_attached: BTreeMap<String, String>) {
        for (interface, reason) in &not_attached {
            if self.not_attached.get(interface) != Some(reason) {
                let object = object_of(interface);
                self.raise(Occurrence::new(EventKind::InterfaceNotAttached, object, reason));
            }
        }
        self.not_attached = not_attached;
    }
}

/// The interfaces that are not there, each with the words for that.
pub(super) fn absences(interfaces: &Interfaces) -> BTreeMap<String, String> {
    let absence = |name: &String| (name.clone(), "there is no such interface".to_owned());
    interfaces.absent.iter().map(absence).collect()
}

fn object_of(interface: &str) -> String {
    format!("interface {interface}")
}

fn detached(interface: &str, reason: &str) -> Occurrence {
    Occurrence::new(EventKind::InterfaceDetached, object_of(interface), reason)
}

/// What an attachment has come to, if it is not as it was `before`.
fn attached(name: &str, before: &Before, attachment: &Attachment) -> Vec<Occurrence> {
    let is_changed = before.in_other_mode(attachment);
    if !is_changed && !before.is_new() {
        return Vec::new();
    }
    let reason = if is_changed {
        "mode changed; for a moment nothing was forwarded"
    } else {
        "the configuration names it"
    };
    let told = |kind, reason| Occurrence::new(kind, object_of(name), reason);
    let now = mode_name(attachment.generic);
    let mut seen = vec![told(EventKind::InterfaceAttached, reason).now(&now)];
    let fallback = attachment.fallback.as_deref();
    seen.extend(fallback.map(|reason| told(EventKind::InterfaceGeneric, reason)));
    seen
}

impl Agent {
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    fn tell_tended(&self, interface: &str, tended: &Tended) {
        match tended {
            Tended::Lost => {
                let reason = "lost: the interface went, or somebody detached the link";
                self.raise(detached(interface, reason));
            }
            Tended::PinnedAgain => {
                warn!(interface, "somebody removed the pin of the link; made again");
            }
            Tended::NotPinned(error) => {
                let error = error as &dyn std::error::Error;
                error!(
                    interface,
                    error, "somebody removed the pin of the link, and it cannot be made"
                );
            }
        }
    }
}
