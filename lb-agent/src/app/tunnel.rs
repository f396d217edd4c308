//! Health checks that go through the tunnel: lb-probe on every interface, for as long as a pool wants
//! it, and whether probes would come by it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use lb_common::abi::{BackendEntry, Features, ProbeMark};
use lb_common::config::{Desired, HealthCheck, HealthVia};
use tracing::{error, info, warn};

use super::AgentError;
use super::agent::Agent;
use super::events::with_causes;
use crate::core::health::{Condition, Probe, Tunnel};
use crate::core::settings::Settings;
use crate::core::way::{Link, LinkKind, Way, Ways};
use crate::io::tunnel::{self, ProbeCounts, TunnelOptions, TunnelProgram};

/// What there is of it.
#[derive(Debug, Default)]
pub(super) struct Tunnels {
    /// The program, and what it was loaded with; none while no pool wants it.
    program: Option<Loaded>,
    /// The interfaces that its filter is on, by name; where it cannot be, why.
    filters: BTreeMap<String, Result<u32, String>>,
    /// The ways to the VIPs that are asked.
    ways: Ways,
    /// The interfaces off which no filter was taken when that was last done.
    spared: Option<BTreeSet<String>>,
}

/// A loaded program.
#[derive(Debug)]
pub(super) struct Loaded {
    settings: Settings,
    program: TunnelProgram,
}

impl Tunnels {
    /// What the program counts, if there is one.
    pub(super) fn counts(&self) -> Option<Arc<ProbeCounts>> {
        self.program.as_ref().map(|loaded| loaded.program.counts())
    }

    /// Interfaces that its filter cannot be on, and why.
    pub(super) fn refused(&self) -> impl Iterator<Item = (&str, &str)> {
        self.filters
            .iter()
            .filter_map(|(name, filter)| Some((name.as_str(), filter.as_ref().err()?.as_str())))
    }

    /// Why what this host sends to a VIP would not come by the program, as far as is known.
    pub(super) fn obstacle(&self, vip: IpAddr) -> Option<String> {
        let link = match self.ways.get(&vip)? {
            Way::Known { link, .. } | Way::Unknown { link: Some(link), .. } => link,
            Way::Unknown { link: None, problem, .. } => return Some(problem.clone()),
        };
        if self.is_covered(link) {
            return None;
        }
        let name = &link.name;
        let why = match self.filters.get(name) {
            Some(Err(why)) => format!(", and lb-probe cannot be attached there: {why}"),
            Some(Ok(_)) | None => ", where lb-probe is not attached".to_owned(),
        };
        Some(format!("the route to {vip} leaves by {name}{why}"))
    }

    /// Why nothing can be sent to a VIP, if the route there leads to a neighbour that is not known. Not
    /// an obstacle: that it is sent to is what makes the kernel look for it.
    pub(super) fn next_hop_problem(&self, vip: IpAddr) -> Option<String> {
        match self.ways.get(&vip)? {
            Way::Unknown { problem, .. } => Some(problem.clone()),
            Way::Known { .. } => None,
        }
    }

    /// Whether frames of an interface come by the program, there or at the interface below.
    fn is_covered(&self, link: &Link) -> bool {
        let parent = match link.kind {
            LinkKind::Vlan { parent } => parent,
            LinkKind::Plain | LinkKind::Veth | LinkKind::Bond { .. } => None,
        };
        let mut filters = self.filters.values().flatten();
        filters.any(|index| *index == link.index || Some(*index) == parent)
    }
}

impl Agent {
    /// Loads what the checks of a configuration need, unless it is there. Nothing is attached yet.
    pub(super) fn tunnels_for(&self, desired: &Desired) -> Result<Option<Loaded>, AgentError> {
        let settings = settings(desired);
        let is_there = self.tunnels.program.as_ref().is_some_and(|it| it.settings == settings);
        if checks(desired).next().is_none() || is_there {
            return Ok(None);
        }
        let (limits, hash_seed) = (desired.limits, desired.hash_seed);
        let options = TunnelOptions { pins: Some(&self.pins), limits, hash_seed, settings };
        Ok(Some(Loaded { settings, program: TunnelProgram::load(&options)? }))
    }

    /// Attaches a program that was loaded for the running configuration, or the one that is there; if
    /// the configuration wants none, its filters go.
    pub(super) fn take_tunnels(&mut self, loaded: Option<Loaded>) {
        if checks(&self.desired).next().is_none() {
            let spared = self.tunnels.spared.take();
            self.tunnels = Tunnels { spared, ..Tunnels::default() };
            return self.keep_off_others(BTreeSet::new());
        }
        if let Some(loaded) = loaded {
            self.tunnels.program = Some(loaded);
            self.tunnels.filters.clear();
        }
        self.put_filters();
        self.keep_off_others(self.interfaces.present.keys().cloned().collect());
    }

    /// Sees to it that every interface has its filter, and asks for the ways to the VIPs.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    pub(super) async fn keep_tunnels(&mut self) {
        if self.tunnels.program.is_none() {
            return;
        }
        let place = (tunnel::PRIORITY, tunnel::HANDLE);
        for (name, link) in &self.interfaces.present {
            let filters = &mut self.tunnels.filters;
            let is_gone = matches!(filters.get(name), Some(Ok(_)))
                && matches!(self.netlink.has_filter(link.index, place).await, Ok(false));
            if is_gone {
                warn!(interface = name, "somebody removed the filter of lb-probe; attached again");
                filters.remove(name);
            }
        }
        self.put_filters();
        let vips = vips(&self.desired).into_keys().collect();
        match self.netlink.look_marked(&vips, ProbeMark::BASE).await {
            Ok(ways) => self.tunnels.ways = ways,
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot read the routes to VIPs");
            }
        }
    }

    /// Attaches the program where it is not.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    fn put_filters(&mut self) {
        let Tunnels { program, filters, .. } = &mut self.tunnels;
        let Some(Loaded { program, .. }) = program else { return };
        filters.retain(|name, _| self.interfaces.present.contains_key(name));
        for (name, link) in &self.interfaces.present {
            let before = filters.get(name);
            if matches!(before, Some(Ok(index)) if *index == link.index) {
                continue;
            }
            let outcome = program.attach(name).map_err(|error| with_causes(&error.into()));
            match &outcome {
                Ok(()) => {
                    info!(interface = name, "lb-probe attached: checks go through the tunnel");
                }
                Err(why) if before == Some(&Err(why.clone())) => {}
                Err(why) => error!(interface = name, why, "cannot attach lb-probe"),
            }
            filters.insert(name.clone(), outcome.map(|()| link.index));
        }
    }

    /// Takes the filter off all interfaces but these, unless that has been done.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    fn keep_off_others(&mut self, wanted: BTreeSet<String>) {
        if self.tunnels.spared.as_ref() == Some(&wanted) {
            return;
        }
        match tunnel::detach_others(&wanted) {
            Ok(gone) => {
                for interface in gone {
                    info!(interface, "lb-probe detached");
                }
                self.tunnels.spared = Some(wanted);
            }
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot detach lb-probe");
            }
        }
    }

    /// VIPs that cannot be asked, each with a sentence about the checks that want to.
    pub(super) fn idle_checks(&self) -> Vec<(IpAddr, String)> {
        let idle = |(vip, pool): (IpAddr, String)| {
            let obstacle = self.tunnels.obstacle(vip);
            let problem = obstacle.or_else(|| self.tunnels.next_hop_problem(vip))?;
            Some((vip, format!("checks of pool {pool} ask nobody: {problem}")))
        };
        vips(&self.desired).into_iter().filter_map(idle).collect()
    }

    /// Why a probe is not sent, if it is for the tunnel: it would not come by the program, or it would
    /// be the first of its backend, and the agent itself does not know the way there yet.
    pub(super) fn obstacle(&self, probe: &Probe) -> Option<String> {
        let tunnel = probe.tunnel?;
        let obstacle = self.tunnels.obstacle(probe.address.ip());
        obstacle.or_else(|| self.unknown_way(probe, tunnel))
    }

    fn unknown_way(&self, probe: &Probe, Tunnel { backend, index, .. }: Tunnel) -> Option<String> {
        let checked = self.health.of(&probe.pool, &probe.backend)?;
        let entry = self.observed.backends.get(&index);
        let is_known = entry.is_some_and(|it| it.flags & BackendEntry::NEXT_HOP_KNOWN != 0);
        if is_known || checked.machine.condition() != Condition::Unknown {
            return None;
        }
        Some(match self.ways.get(&backend) {
            Some(Way::Unknown { problem, .. }) => problem.clone(),
            Some(Way::Known { .. }) | None => format!("the way to {backend} is not known yet"),
        })
    }
}

/// What the program is loaded with: every encapsulation, since the maps may hold what is leaving, and
/// other interfaces only if the balancer knows them. It replies to nobody.
fn settings(desired: &Desired) -> Settings {
    let settings = Settings::of(desired);
    let mut features = Features::ALL;
    if !settings.features.has(Features::REDIRECT) {
        features.0 &= !Features::REDIRECT.0;
    }
    Settings { features, reply_intervals_ns: [0; 2], ..settings }
}

/// The checks of a configuration that go through the tunnel, with their pools.
fn checks(desired: &Desired) -> impl Iterator<Item = (&str, &HealthCheck)> {
    let checked = desired
        .pools
        .iter()
        .filter_map(|(name, pool)| pool.health.as_ref().map(|check| (name.as_str(), check)));
    checked.filter(|(_, check)| check.via == HealthVia::Tunnel)
}

/// The VIPs that they ask, with one pool that wants each.
pub(super) fn vips(desired: &Desired) -> BTreeMap<IpAddr, String> {
    let vip = |(pool, check): (&str, &HealthCheck)| {
        Some((check.vip(pool, &desired.services)?.ip(), pool.to_owned()))
    };
    checks(desired).filter_map(vip).collect()
}
