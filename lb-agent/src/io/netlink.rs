//! What the kernel knows of the way to an address: route, interface, next hop and its MAC address.
//!
//! The data plane does not ask the kernel where to send a packet; it reads the MAC address, the
//! interface and the MTU from the backend entry. The agent fills these in with [`Netlink::look`],
//! and again whenever [`Changes::next`] says that something moved.
//!
//! Invariants:
//! - The sockets belong to the network namespace of the thread that calls [`Netlink::connect`].
//! - Nothing is cached here: every answer is what the kernel said during the call, and routes, which
//!   are asked for one by one, are given back so that the next call need not ask again.
//! - An entry of the neighbour table is never written, only asked for. Redirected packets do not
//!   count as use of an entry, so the agent calls [`Netlink::verify_stale`] for what it uses, and
//!   `look` again every few seconds while one of them is [`Way::Unknown`]: the kernel gives up
//!   after three unanswered questions, and only another call makes it ask again.
//! - Requests and notifications have a socket each, so that a flood of notifications which
//!   overruns its buffer cannot swallow the answer to a request.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use netlink_packet_route::neighbour::{NeighbourFlags, NeighbourState};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
use netlink_packet_route::{AddressFamily, neighbour::NeighbourMessage};
use nix::errno::Errno;
use rtnetlink::Handle;
use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

mod changes;
mod parse;

pub use changes::{Changed, Changes};
use parse::{Neighbours, Route};

use crate::core::way::{Link, LinkKind, Way, Ways};

/// How long the kernel may take to answer one request. It answers in microseconds; what this
/// guards against is an answer that cannot be decoded and is therefore never seen.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest name of an interface: `IFNAMSIZ` of the kernel, less the terminating zero.
const LINK_NAME_BYTES_MAX: usize = 15;

/// The MAC address of a link that has none: loopback, tunnels.
const NO_MAC: [u8; 6] = [0; 6];

/// Why the kernel's tables could not be read.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// A netlink socket could not be opened or subscribed.
    #[error("cannot open a netlink socket for {purpose}")]
    Open {
        /// What the socket is for.
        purpose: &'static str,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a request, or the socket broke.
    #[error("netlink request failed: {operation}")]
    Request {
        /// What was asked, with its subject.
        operation: String,
        /// What went wrong.
        #[source]
        source: rtnetlink::Error,
    },
    /// No answer that could be understood arrived in time.
    #[error("no answer from the kernel within {ANSWER_TIMEOUT:?}: {operation}")]
    NoAnswer {
        /// What was asked, with its subject.
        operation: String,
    },
}

impl NetlinkError {
    /// The error number the kernel answered with, if it answered.
    fn errno(&self) -> Option<Errno> {
        match self {
            Self::Request { source: rtnetlink::Error::NetlinkError(refusal), .. } => {
                Some(Errno::from_raw(refusal.raw_code().saturating_abs()))
            }
            Self::Request { .. } | Self::Open { .. } | Self::NoAnswer { .. } => None,
        }
    }
}

impl Way {
    /// There is no route to another machine.
    fn nowhere(problem: String) -> Self {
        Self::Unknown { gateway: None, link: None, problem }
    }

    /// The neighbour the kernel must look for before this way is known, if that is what is missing.
    fn missing_neighbour(&self) -> Option<(u32, IpAddr)> {
        match self {
            Self::Unknown { gateway: Some(gateway), link: Some(link), .. }
                if link.up && link.mac != NO_MAC =>
            {
                Some((link.index, *gateway))
            }
            Self::Unknown { .. } | Self::Known { .. } => None,
        }
    }
}

/// Where the kernel would send packets, by destination; where it would not, the sentence that says
/// why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes(BTreeMap<IpAddr, Result<Route, String>>);

/// What a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The routes to the destinations.
    pub routes: Routes,
    /// What these, links and neighbours come to.
    pub ways: Ways,
}

/// A connection to the kernel's tables of links, routes and neighbours; cheap to clone.
#[derive(Debug, Clone)]
pub struct Netlink {
    handle: Handle,
}

impl Netlink {
    /// Opens the sockets in the calling thread's network namespace and subscribes to changes.
    ///
    /// # Errors
    /// If a socket cannot be opened or subscribed.
    #[expect(clippy::unused_async, reason = "it spawns on the executor that must be polling it")]
    pub async fn connect() -> Result<(Self, Changes), NetlinkError> {
        // Subscribed before the first question, so that no change can fall between the two.
        let changes = Changes::subscribe()
            .map_err(|source| NetlinkError::Open { purpose: "notifications", source })?;
        let (connection, handle, _unsolicited) = rtnetlink::new_connection()
            .map_err(|source| NetlinkError::Open { purpose: "requests", source })?;
        tokio::spawn(connection);
        Ok((Self { handle }, changes))
    }

    /// The interface of that name, if there is one.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, NetlinkError> {
        if name.is_empty() || name.len() > LINK_NAME_BYTES_MAX {
            return Ok(None);
        }
        let operation = || format!("look up interface {name}");
        let request = self.handle.link().get().match_name(name).execute();
        match collect(operation, request).await {
            Ok(messages) => Ok(messages.iter().find_map(parse::link)),
            Err(error) if error.errno() == Some(Errno::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The ways to all `destinations`, from one reading of links and neighbours. Routes that are
    /// `known` are not asked for.
    ///
    /// A next hop without a usable MAC address is asked for, once, and its ways are
    /// [`Way::Unknown`] now; the answer shows as a change.
    ///
    /// # Errors
    /// If the kernel cannot be asked. A destination that cannot be reached is not an error.
    pub async fn look(
        &self,
        destinations: &BTreeSet<IpAddr>,
        known: &Routes,
    ) -> Result<Seen, NetlinkError> {
        let mut routes = Routes::default();
        for destination in destinations {
            let route = match known.0.get(destination) {
                Some(route) => route.clone(),
                None => self.route_to(*destination, None).await?,
            };
            routes.0.insert(*destination, route);
        }
        let ways = self.ways(&routes).await?;
        Ok(Seen { routes, ways })
    }

    /// [`Self::look`] at everything, with so much patience for next hops that have not answered.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_patiently(
        &self,
        destinations: &BTreeSet<IpAddr>,
        changes: &mut Changes,
        patience: Duration,
    ) -> Result<Seen, NetlinkError> {
        let deadline = Instant::now() + patience;
        let mut seen = self.look(destinations, &Routes::default()).await?;
        while seen.ways.values().any(|way| way.missing_neighbour().is_some()) {
            let known = match timeout_at(deadline, changes.next()).await {
                Ok(Some(Changed::Neighbours)) => seen.routes,
                Ok(Some(Changed::Routes)) => Routes::default(),
                Ok(None) | Err(_) => break,
            };
            seen = self.look(destinations, &known).await?;
        }
        Ok(seen)
    }

    /// The ways of packets that carry a mark, which rules may send elsewhere.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn look_marked(
        &self,
        destinations: &BTreeSet<IpAddr>,
        mark: u32,
    ) -> Result<Ways, NetlinkError> {
        let mut routes = Routes::default();
        for destination in destinations {
            let route = self.route_to(*destination, Some(mark)).await?;
            routes.0.insert(*destination, route);
        }
        self.ways(&routes).await
    }

    /// Whether an interface has a filter of this priority and handle at its egress.
    ///
    /// # Errors
    /// If the kernel cannot be asked.
    pub async fn has_filter(
        &self,
        link_index: u32,
        (priority, handle): (u16, u32),
    ) -> Result<bool, NetlinkError> {
        let operation = || format!("list the filters of interface {link_index}");
        let index = i32::try_from(link_index).unwrap_or(i32::MAX);
        let request = self.handle.traffic_filter(index).get().egress().execute();
        let filters = collect(operation, request).await?;
        Ok(filters.iter().any(|filter| {
            let header = &filter.header;
            header.info >> 16 == u32::from(priority) && u32::from(header.handle) == handle
        }))
    }

    async fn ways(&self, routes: &Routes) -> Result<Ways, NetlinkError> {
        if routes.0.is_empty() {
            return Ok(Ways::new());
        }
        let links = self.links().await?;
        let neighbours = self.neighbours().await?;
        let way = |(destination, route): (&IpAddr, &Result<Route, String>)| {
            let way = match route {
                Ok(route) => parse::way(*route, &links, &neighbours),
                Err(problem) => Way::nowhere(problem.clone()),
            };
            (*destination, way)
        };
        let mut ways: Ways = routes.0.iter().map(way).collect();
        let missing: BTreeSet<_> = ways.values().filter_map(Way::missing_neighbour).collect();
        for (link_index, gateway) in missing {
            match self.ask_for(gateway, link_index).await {
                Ok(()) => {}
                // The neighbour table is full, or the link went away: this gateway's trouble only.
                Err(error) if error.errno().is_some() => {
                    note_refusal(&mut ways, (link_index, gateway), &error);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ways)
    }

    /// Has the kernel verify those of the neighbours `in_use`, by link index and address, that it
    /// has not heard of for a while (STALE). A live entry needs no verifying, and one that the
    /// operator made PERMANENT must be left alone: telling the kernel of its use would make it an
    /// ordinary one (`NEIGH_UPDATE_F_USE` in net/core/neighbour.c).
    ///
    /// # Errors
    /// If the kernel cannot be asked, or the last of its refusals, after all have been tried.
    pub async fn verify_stale(&self, in_use: &BTreeSet<(u32, IpAddr)>) -> Result<(), NetlinkError> {
        let mut outcome = Ok(());
        for message in self.neighbour_messages().await? {
            let stale = message.header.state == NeighbourState::Stale;
            let Some((key, _)) = parse::neighbour(&message).filter(|_| stale) else { continue };
            if in_use.contains(&key) {
                outcome = self.ask_for(key.1, key.0).await.and(outcome);
            }
        }
        outcome
    }

    /// Has the kernel look for a neighbour, or verify one.
    async fn ask_for(&self, gateway: IpAddr, link_index: u32) -> Result<(), NetlinkError> {
        let operation = format!("ask for neighbour {gateway} on interface {link_index}");
        // Unless told otherwise the request says PERMANENT, and the entry would be exempt from the
        // kernel's garbage collection.
        let request = self
            .handle
            .neighbours()
            .add(link_index, gateway)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute();
        match timeout(ANSWER_TIMEOUT, request).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(NetlinkError::Request { operation, source }),
            Err(_elapsed) => Err(NetlinkError::NoAnswer { operation }),
        }
    }

    async fn links(&self) -> Result<BTreeMap<u32, Link>, NetlinkError> {
        let request = self.handle.link().get().execute();
        let messages = collect(|| "list interfaces".to_owned(), request).await?;
        Ok(messages.iter().filter_map(parse::link).map(|link| (link.index, link)).collect())
    }

    async fn neighbours(&self) -> Result<Neighbours, NetlinkError> {
        let messages = self.neighbour_messages().await?;
        Ok(messages.iter().filter_map(parse::neighbour).collect())
    }

    async fn neighbour_messages(&self) -> Result<Vec<NeighbourMessage>, NetlinkError> {
        let request = self.handle.neighbours().get().execute();
        collect(|| "list neighbours".to_owned(), request).await
    }

    /// Asks for the route to `destination`; the inner error is the sentence for the operator.
    async fn route_to(
        &self,
        destination: IpAddr,
        mark: Option<u32>,
    ) -> Result<Result<Route, String>, NetlinkError> {
        let mut request = RouteMessage::default();
        (request.header.address_family, request.header.destination_prefix_length) =
            match destination {
                IpAddr::V4(_) => (AddressFamily::Inet, 32),
                IpAddr::V6(_) => (AddressFamily::Inet6, 128),
            };
        request.header.kind = RouteType::Unspec;
        request.attributes.push(RouteAttribute::Destination(RouteAddress::from(destination)));
        request.attributes.extend(mark.map(RouteAttribute::Mark));
        let operation = || format!("look up the route to {destination}");
        match collect(operation, self.handle.route().get(request).execute()).await {
            Ok(messages) => Ok(messages.first().map_or_else(
                || Err(parse::no_route_to(destination)),
                |m| parse::route(destination, m),
            )),
            Err(error) => {
                match error.errno().and_then(|errno| parse::refusal(destination, errno)) {
                    Some(problem) => Ok(Err(problem)),
                    None => Err(error),
                }
            }
        }
    }
}

/// Everything the kernel answers to one request.
async fn collect<T>(
    operation: impl Fn() -> String,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, NetlinkError> {
    match timeout(ANSWER_TIMEOUT, answers.try_collect()).await {
        Ok(Ok(messages)) => Ok(messages),
        Ok(Err(source)) => Err(NetlinkError::Request { operation: operation(), source }),
        Err(_elapsed) => Err(NetlinkError::NoAnswer { operation: operation() }),
    }
}

/// Says in every way that waits for `neighbour` that the kernel would not even ask for it.
fn note_refusal(ways: &mut Ways, neighbour: (u32, IpAddr), error: &NetlinkError) {
    let reason = error.errno().map_or("unknown", Errno::desc);
    for way in ways.values_mut() {
        if way.missing_neighbour() != Some(neighbour) {
            continue;
        }
        if let Way::Unknown { problem, .. } = way {
            *problem =
                format!("the kernel does not ask for the MAC address of {}: {reason}", neighbour.1);
        }
    }
}

#[cfg(test)]
mod tests;
