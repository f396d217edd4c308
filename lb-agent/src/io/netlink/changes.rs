//! Tells that links, routes or neighbours changed, without saying how: the loop asks again.
//!
//! The kernel notifies of much that changes no way: a neighbour that was verified once more, an
//! interface whose XDP program was replaced. [`Filter`] drops these, so that an agent at rest
//! stays at rest. What is left is coalesced: a burst is reported once, shortly after it began, and
//! a storm at most every [`REPORT_SPACING`].
//!
//! Invariants: no change is lost, neither by dropping the future of [`Changes::next`] nor by an
//! overrun of the socket, and a loop that does not ask costs no memory: one flag is kept for it.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use futures::StreamExt;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::NetlinkPayload;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Link;
use super::parse::{self, Neighbours};

/// How long a burst is collected. A link that comes up is a dozen messages within a millisecond or
/// two; 10 ms are not felt beside the second that ARP may take.
const BURST: Duration = Duration::from_millis(10);

/// The least time between two reports, so that a router that rewrites its whole table does not
/// make the agent resolve every backend a hundred times a second.
const REPORT_SPACING: Duration = Duration::from_millis(50);

const GROUPS: [MulticastGroup; 6] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Rule,
];

/// Reports changes of links, routes and neighbours, of IPv4 and IPv6.
#[derive(Debug)]
pub struct Changes {
    changed: mpsc::Receiver<()>,
    /// When the change seen last is to be reported; kept here, so that `next` can be cancelled.
    due: Option<Instant>,
    reported: Option<Instant>,
}

impl Changes {
    /// Opens the socket in the calling thread's network namespace; needs a running executor.
    pub(super) fn subscribe() -> io::Result<Self> {
        let (connection, _handle, mut messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
        let (notify, changed) = mpsc::channel(1);
        tokio::spawn(connection);
        tokio::spawn(async move {
            let mut filter = Filter::default();
            while let Some((message, _sender)) = messages.next().await {
                if !filter.is_change(&message.payload) {
                    continue;
                }
                // A full channel is a change already waiting to be reported.
                if let Err(mpsc::error::TrySendError::Closed(())) = notify.try_send(()) {
                    break;
                }
            }
        });
        Ok(Self::of(changed))
    }

    /// Reports what arrives on `changed`.
    pub(super) fn of(changed: mpsc::Receiver<()>) -> Self {
        Self { changed, due: None, reported: None }
    }

    /// Waits until something changed since the last call; `None` if the socket broke.
    ///
    /// Safe to cancel: a change whose report was not received is reported by the next call.
    pub async fn next(&mut self) -> Option<()> {
        let due = if let Some(due) = self.due {
            due
        } else {
            self.changed.recv().await?;
            let collected = Instant::now() + BURST;
            let spaced = self.reported.map(|reported| reported + REPORT_SPACING);
            *self.due.insert(spaced.map_or(collected, |spaced| spaced.max(collected)))
        };
        sleep_until(due).await;
        // What arrived in the meantime is part of this report: the loop reads the tables after it.
        while self.changed.try_recv().is_ok() {}
        self.due = None;
        self.reported = Some(Instant::now());
        Some(())
    }
}

/// Tells the notifications that change a way from those that do not.
///
/// What was never heard of counts as changed. Bounded by the kernel's own tables: an entry goes
/// when the kernel says that its subject went, and everything goes when such news may be lost.
#[derive(Debug, Default)]
pub(super) struct Filter {
    links: BTreeMap<u32, Link>,
    neighbours: Neighbours,
}

impl Filter {
    /// Whether this message may change a way; remembers what it says.
    pub(super) fn is_change(&mut self, payload: &NetlinkPayload<RouteNetlinkMessage>) -> bool {
        match payload {
            NetlinkPayload::InnerMessage(message) => self.is_change_of(message),
            NetlinkPayload::Overrun(_) => {
                *self = Self::default();
                true
            }
            _ => false,
        }
    }

    fn is_change_of(&mut self, message: &RouteNetlinkMessage) -> bool {
        match message {
            RouteNetlinkMessage::NewLink(message) => self.link_is_new(message),
            RouteNetlinkMessage::DelLink(message) => parse::link(message).is_some_and(|link| {
                self.links.remove(&link.index);
                true
            }),
            RouteNetlinkMessage::NewNeighbour(message) => self.neighbour_is_new(message),
            RouteNetlinkMessage::DelNeighbour(message) => self.neighbour_was_usable(message),
            RouteNetlinkMessage::NewRoute(_)
            | RouteNetlinkMessage::DelRoute(_)
            | RouteNetlinkMessage::NewRule(_)
            | RouteNetlinkMessage::DelRule(_) => true,
            _ => false,
        }
    }

    fn link_is_new(&mut self, message: &LinkMessage) -> bool {
        parse::link(message).is_some_and(|link| {
            self.links.get(&link.index) != Some(&link) && {
                self.links.insert(link.index, link);
                true
            }
        })
    }

    fn neighbour_is_new(&mut self, message: &NeighbourMessage) -> bool {
        parse::neighbour(message)
            .is_some_and(|(key, mac)| self.neighbours.insert(key, mac) != Some(mac))
    }

    fn neighbour_was_usable(&mut self, message: &NeighbourMessage) -> bool {
        parse::neighbour(message)
            .is_some_and(|(key, _mac)| self.neighbours.remove(&key) != Some(None))
    }
}
