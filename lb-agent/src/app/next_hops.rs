//! The ways to the backends, kept as routes and neighbours say.
//!
//! Asking the kernel for the routes to ten thousand backends takes a good part of a second. So it is
//! done on the side ([`Lookout`]): the loop goes on with commands, and takes what was seen when all
//! of it is there.

use std::collections::BTreeSet;
use std::future::pending;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use lb_common::config::Desired;
use lb_common::image::Image;
use tokio::task::{JoinError, JoinHandle};
use tracing::{error, warn};

use super::agent::Agent;
use crate::core::events::of_ways;
use crate::core::target::{egress, outer_destination};
use crate::core::way::{Way, Ways, below_vlans};
use crate::io::netlink::{Changed, Changes, Netlink, NetlinkError, Routes, Seen};

/// Without a change, routes are read again after so many times what that takes: a path MTU that the
/// kernel has learnt is no change that it tells.
const ROUTES_REST: u32 = 50;

/// How long a start waits for next hops that have not answered. One that is there answers within
/// milliseconds, and one that is not must not keep the others' traffic waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks at routes and neighbours, one look at a time.
#[derive(Debug, Default)]
pub(super) struct Lookout {
    running: Option<JoinHandle<Look>>,
    /// What has changed since the running look began.
    wanted: Option<Changed>,
    /// When routes are due without a change.
    routes_due: Option<Instant>,
}

/// A look that has ended.
#[derive(Debug)]
struct Look {
    destinations: BTreeSet<IpAddr>,
    scope: Changed,
    took: Duration,
    seen: Result<Seen, NetlinkError>,
}

impl Lookout {
    /// Looks at what has changed, now or once the look under way has ended.
    pub(super) fn look(&mut self, agent: &Agent, scope: Changed) {
        if self.running.is_some() {
            self.wanted = self.wanted.max(Some(scope));
            return;
        }
        self.running = Some(tokio::spawn(look(Question::of(agent, scope, BTreeSet::new()))));
    }

    /// Has the kernel verify the next hops in use, and looks at those that are unknown again; at
    /// routes too if they are due.
    #[expect(clippy::disallowed_methods, reason = "when to look again is decided here")]
    pub(super) fn refresh(&mut self, agent: &Agent) {
        if self.running.is_some() {
            return;
        }
        let routes = self.routes_due.is_none_or(|due| due <= Instant::now());
        let scope = if routes { Changed::Routes } else { Changed::Neighbours };
        let in_use = agent.ways.values().filter_map(|way| match way {
            Way::Known { gateway, link, .. } => Some((link.index, *gateway)),
            Way::Unknown { .. } => None,
        });
        self.running = Some(tokio::spawn(look(Question::of(agent, scope, in_use.collect()))));
    }

    /// Waits for the look under way; for ever if there is none. Dropping the future loses nothing.
    pub(super) async fn ended(&mut self) -> Ended {
        match &mut self.running {
            Some(running) => Ended(running.await),
            None => pending().await,
        }
    }

    /// Takes over what was seen, unless the backends are others by now; then it looks again.
    pub(super) async fn take(&mut self, agent: &mut Agent, ended: Ended) {
        self.running = None;
        match ended.0 {
            Ok(look) => self.follow(agent, look).await,
            Err(error) => error!(%error, "a look at the next hops has failed"),
        }
        if let Some(scope) = self.wanted.take() {
            self.look(agent, scope);
        }
    }

    #[expect(clippy::disallowed_methods, reason = "when to look again is decided here")]
    async fn follow(&mut self, agent: &mut Agent, look: Look) {
        if look.scope == Changed::Routes {
            self.routes_due = Some(Instant::now() + look.took * ROUTES_REST);
        }
        let current = destinations(&agent.desired, &agent.observed);
        match look.seen {
            Ok(seen) if look.destinations == current => agent.follow_next_hops(seen).await,
            Ok(_of_others) => self.wanted = self.wanted.max(Some(look.scope)),
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot read the next hops");
            }
        }
    }
}

/// How a look ended.
#[derive(Debug)]
pub(super) struct Ended(Result<Look, JoinError>);

/// What a look is to find out.
struct Question {
    netlink: Netlink,
    destinations: BTreeSet<IpAddr>,
    /// Routes that need not be asked for.
    known: Routes,
    /// Neighbours to be verified first.
    in_use: BTreeSet<(u32, IpAddr)>,
    scope: Changed,
}

impl Question {
    fn of(agent: &Agent, scope: Changed, in_use: BTreeSet<(u32, IpAddr)>) -> Self {
        let known = match scope {
            Changed::Neighbours => agent.routes.clone(),
            Changed::Routes => Routes::default(),
        };
        let destinations = destinations(&agent.desired, &agent.observed);
        Self { netlink: agent.netlink.clone(), destinations, known, in_use, scope }
    }
}

#[expect(clippy::disallowed_methods, reason = "what it took decides when it is due again")]
async fn look(question: Question) -> Look {
    let Question { netlink, destinations, known, in_use, scope } = question;
    let begun = Instant::now();
    if !in_use.is_empty()
        && let Err(error) = netlink.verify_stale(&in_use).await
    {
        warn!(error = &error as &dyn std::error::Error, "cannot verify next hops");
    }
    let seen = netlink.look(&destinations, &known).await;
    Look { destinations, scope, took: begun.elapsed(), seen }
}

/// The ways to the backends of a configuration, before there are maps.
pub(super) async fn first_look(
    netlink: &Netlink,
    desired: &Desired,
    changes: &mut Changes,
) -> Result<Seen, NetlinkError> {
    netlink.look_patiently(&destinations(desired, &Image::default()), changes, PATIENCE).await
}

/// The backends of a configuration, and those in the maps that are leaving.
pub(super) fn destinations(desired: &Desired, observed: &Image) -> BTreeSet<IpAddr> {
    let backends = desired.pools.values().flat_map(|pool| pool.backends.values());
    let configured = backends.map(|backend| backend.address);
    configured.chain(observed.backends.values().map(outer_destination)).collect()
}

impl Agent {
    /// Takes over whatever routes and neighbours say now.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    async fn follow_next_hops(&mut self, seen: Seen) {
        let Seen { routes, ways } = seen;
        self.routes = routes;
        self.keep_attached().await;
        // The kernel takes an interface out of the map when it goes.
        match self.datapath.maps.egress() {
            Ok(egress) => self.observed.egress = egress,
            Err(error) => warn!(error = &error as &dyn std::error::Error, "cannot read a map"),
        }
        let links = self.interfaces.indices();
        let wanted = egress(&links, &below_vlans(&ways, &links));
        if ways == self.ways && self.observed.egress == wanted {
            return;
        }
        let prepared = self.prepare_anew(&self.state.overrides, &ways, &links);
        match prepared.and_then(|prepared| self.commit(prepared)) {
            // Only now: as long as the maps have others, the next look tries again.
            Ok(()) => self.take_ways(ways),
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot write the next hops");
            }
        }
    }

    /// Makes ways those of the agent: the maps have them.
    pub(super) fn take_ways(&mut self, ways: Ways) {
        self.raise_all(of_ways(&self.ways, &ways));
        self.ways = ways;
    }
}
