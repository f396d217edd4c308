//! Tells that routes or only neighbours changed, without saying how: the loop asks again.
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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

/// What has to be asked again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Changed {
    /// Who is behind the next hops.
    Neighbours,
    /// That, and which next hops they are.
    Routes,
}

/// Reports changes of links, routes and neighbours, of IPv4 and IPv6.
#[derive(Debug)]
pub struct Changes {
    changed: mpsc::Receiver<()>,
    /// Whether routes are among it.
    routes: Arc<AtomicBool>,
    /// When the change seen last is to be reported; kept here, so that `next` can be cancelled.
    due: Option<Instant>,
    reported: Option<Instant>,
}

impl Changes {
    /// Opens the socket in the calling thread's network namespace; needs a running executor.
    pub(super) fn subscribe() -> io::Result<Self> {
        let (connection, _handle, mut messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
        let (notify, changed) = mpsc::channel(1);
        let all = Self::of(changed);
        let routes = Arc::clone(&all.routes);
        tokio::spawn(connection);
        tokio::spawn(async move {
            let mut filter = Filter::default();
            while let Some((message, _sender)) = messages.next().await {
                let Some(change) = filter.change_of(&message.payload) else { continue };
                if change == Changed::Routes {
                    routes.store(true, Ordering::Relaxed);
                }
                // A full channel is a change already waiting to be reported.
                if let Err(mpsc::error::TrySendError::Closed(())) = notify.try_send(()) {
                    break;
                }
            }
        });
        Ok(all)
    }

    /// Reports what arrives on `changed`.
    pub(super) fn of(changed: mpsc::Receiver<()>) -> Self {
        Self { changed, routes: Arc::default(), due: None, reported: None }
    }

    /// Waits until something changed since the last call; `None` if the socket broke.
    ///
    /// Safe to cancel: a change whose report was not received is reported by the next call.
    pub async fn next(&mut self) -> Option<Changed> {
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
        let routes = self.routes.swap(false, Ordering::Relaxed);
        Some(if routes { Changed::Routes } else { Changed::Neighbours })
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
    /// What this message may change in a way, if anything; remembers what it says.
    pub(super) fn change_of(
        &mut self,
        payload: &NetlinkPayload<RouteNetlinkMessage>,
    ) -> Option<Changed> {
        match payload {
            NetlinkPayload::InnerMessage(message) => self.change_by(message),
            NetlinkPayload::Overrun(_) => {
                *self = Self::default();
                Some(Changed::Routes)
            }
            _ => None,
        }
    }

    /// A link that goes takes its routes with it, and the kernel does not tell of each.
    fn change_by(&mut self, message: &RouteNetlinkMessage) -> Option<Changed> {
        let neighbours = |changed: bool| changed.then_some(Changed::Neighbours);
        let routes = |changed: bool| changed.then_some(Changed::Routes);
        match message {
            RouteNetlinkMessage::NewLink(message) => routes(self.link_is_new(message)),
            RouteNetlinkMessage::DelLink(message) => {
                let link = parse::link(message)?;
                self.links.remove(&link.index);
                Some(Changed::Routes)
            }
            RouteNetlinkMessage::NewNeighbour(message) => {
                neighbours(self.neighbour_is_new(message))
            }
            RouteNetlinkMessage::DelNeighbour(message) => {
                neighbours(self.neighbour_was_usable(message))
            }
            RouteNetlinkMessage::NewRoute(_)
            | RouteNetlinkMessage::DelRoute(_)
            | RouteNetlinkMessage::NewRule(_)
            | RouteNetlinkMessage::DelRule(_) => Some(Changed::Routes),
            _ => None,
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
