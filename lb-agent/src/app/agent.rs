//! The agent's state, and the way from what is wanted to what the maps hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::SystemTime;

use lb_common::config::{self, Desired};
use lb_common::image::Image;
use tracing::{error, info, warn};

use super::sweep::Transitions;
use super::{AgentError, RunOptions};
use crate::core::effective::{EffectivePool, effective};
use crate::core::ids::Ids;
use crate::core::overrides::Overrides;
use crate::core::plan::{Op, carry_out, plan, resting_after};
use crate::core::tables::Tables;
use crate::core::target::{Ways, keep_leaving, outer_destination, target};
use crate::core::way::Way;
use crate::io::bpf::{Attachments, Datapath, LoadOptions};
use crate::io::capabilities;
use crate::io::files;
use crate::io::host::Host;
use crate::io::maps::table_pages;
use crate::io::netlink::{Changes, Netlink};
use crate::io::pins::Pins;
use crate::io::state_file::{State, StateFile};

/// Everything the loop owns.
pub(super) struct Agent {
    pub(super) options: RunOptions,
    pub(super) host: Host,
    pub(super) started_at: SystemTime,
    pub(super) pins: Pins,
    pub(super) state_file: StateFile,
    pub(super) netlink: Netlink,
    pub(super) datapath: Datapath,
    pub(super) attachments: Attachments,
    /// The running configuration and its text.
    pub(super) desired: Desired,
    pub(super) text: String,
    /// Overrides and generation, as stored.
    pub(super) state: State,
    pub(super) derived: Derived,
    pub(super) ways: Ways,
    /// What the maps hold: read once, then kept in step with every write.
    pub(super) observed: Image,
    /// What is in transition.
    pub(super) transitions: Transitions,
    /// Pages that packets may still be reading.
    pub(super) resting: BTreeSet<u32>,
    /// Why the last reload was refused.
    pub(super) reload_failure: Option<String>,
}

/// What follows from configuration and overrides.
#[derive(Clone, Default)]
pub(super) struct Derived {
    pub(super) effective: BTreeMap<String, EffectivePool>,
    pub(super) ids: Ids,
    pub(super) tables: Tables,
}

/// A change that has been thought through and not yet carried out.
pub(super) struct Prepared {
    derived: Derived,
    ops: Vec<Op>,
}

impl Agent {
    /// Reads the configuration, adopts or makes the maps, attaches, and brings all up to date.
    pub(super) async fn start(options: RunOptions) -> Result<(Self, Changes), AgentError> {
        let text = files::read(&options.config)?;
        let desired = config::parse(&options.config.display().to_string(), &text)?;
        capabilities::check()?;
        let state_file = StateFile::new(&options.state_dir)?;
        let state = state_file.load()?;
        let (netlink, changes) = Netlink::connect().await?;
        let ways = ways(&netlink, &desired, &Image::default()).await?;
        // Interfaces are looked for before anything is loaded or pinned.
        let links = links(&netlink, &options, &desired).await?;
        let pins = Pins::open(&options.pin_dir)?;
        let datapath = Datapath::load(&LoadOptions {
            pins: Some(&pins),
            limits: desired.limits,
            hash_seed: desired.hash_seed,
            log_level: options.datapath_log_level,
        })?;
        let observed = datapath.maps.observe()?;
        let derived = Derived { ids: Ids::adopt(&observed), ..Derived::default() };
        let overrides = state.overrides.kept_for(&desired);
        let mut agent = Self {
            options,
            host: Host::read(),
            #[expect(
                clippy::disallowed_methods,
                reason = "shown by status; nothing is decided by it"
            )]
            started_at: SystemTime::now(),
            pins,
            state_file,
            netlink,
            datapath,
            attachments: Attachments::default(),
            desired,
            text,
            // The first configuration ever is generation 1.
            state: State { overrides, generation: state.generation.max(1) },
            derived,
            ways,
            observed,
            transitions: Transitions::default(),
            resting: BTreeSet::new(),
            reload_failure: None,
        };
        // Maps first: the program must not see traffic before it knows where to send it.
        let prepared = agent.prepare(&agent.desired, &agent.state.overrides, &agent.ways)?;
        agent.commit(prepared)?;
        // Windows are not stored: what is in transition waits for its whole time-out again.
        agent.open_windows(&Image::default());
        if let Err(error) = agent.attach_all(&links) {
            return Err(agent.give_up(error));
        }
        let Self { datapath: Datapath { adopted, .. }, observed, .. } = &agent;
        info!(
            adopted,
            services = observed.services.len(),
            backends = observed.backends.len(),
            "maps are up to date"
        );
        Ok((agent, changes))
    }

    /// Leaves nothing behind of a start that failed, unless it was there before.
    fn give_up(self, error: AgentError) -> AgentError {
        let fresh = !self.datapath.adopted && self.attachments.iter().next().is_none();
        if fresh && let Err(left) = self.pins.remove_all() {
            warn!(error = &left as &dyn std::error::Error, "cannot remove the new pins");
        }
        error
    }

    /// The loaded object, for its log.
    pub(super) fn ebpf_mut(&mut self) -> &mut aya::Ebpf {
        self.datapath.ebpf_mut()
    }

    /// Works out what a configuration with overrides and ways means for the maps. Changes nothing.
    pub(super) fn prepare(
        &self,
        desired: &Desired,
        overrides: &Overrides,
        ways: &Ways,
    ) -> Result<Prepared, AgentError> {
        let effective = effective(desired, overrides);
        let ids = Ids::adopt(&self.observed).assign(desired)?;
        let mut tables = self.derived.tables.clone();
        tables.update(desired, &effective, &ids)?;
        let mut target = target(desired, &ids, &tables, ways);
        keep_leaving(&mut target, &self.observed, &self.transitions.pinned(), ways);
        let pages = table_pages(&desired.limits);
        let ops = plan(&self.observed, &target, pages, &self.resting)?;
        Ok(Prepared { derived: Derived { effective, ids, tables }, ops })
    }

    /// Writes a prepared change to the maps. Should a write fail, the maps are read again, so that
    /// the next change repairs what is left.
    pub(super) fn commit(&mut self, prepared: Prepared) -> Result<(), AgentError> {
        let before = self.observed.clone();
        for op in &prepared.ops {
            if let Err(error) = self.datapath.maps.execute(op) {
                self.observed = self.datapath.maps.observe()?;
                return Err(error.into());
            }
            carry_out(&mut self.observed, op);
        }
        let Prepared { derived, ops } = prepared;
        self.resting = resting_after(&self.resting, &before, &self.observed, &ops);
        self.derived = derived;
        if ops.iter().any(|op| matches!(op, Op::PutPool { .. })) {
            self.open_windows(&before);
        }
        Ok(())
    }

    /// Attaches to interfaces by name and index, and detaches from all others.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    pub(super) fn attach_all(&mut self, links: &BTreeMap<String, u32>) -> Result<(), AgentError> {
        for interface in &self.desired.interfaces {
            let Some(ifindex) = links.get(&interface.name).copied() else { continue };
            let attachments = &mut self.attachments;
            let fell_back = attachments.attach(
                &self.datapath,
                &self.pins,
                &interface.name,
                ifindex,
                interface.mode,
            )?;
            let interface = interface.name.as_str();
            if fell_back {
                warn!(interface, "the driver cannot run XDP: attached in the stack, which is slow");
            } else {
                info!(interface, "attached");
            }
        }
        let wanted = |name: &str| self.desired.interfaces.iter().any(|each| each.name == name);
        for interface in self.attachments.detach_others(&self.pins, wanted)? {
            info!(interface, "detached");
        }
        Ok(())
    }

    /// Takes over whatever routes and neighbours say now.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    pub(super) async fn follow_next_hops(&mut self) {
        let ways = match ways(&self.netlink, &self.desired, &self.observed).await {
            Ok(ways) => ways,
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "cannot read the next hops");
                return;
            }
        };
        self.restore_links().await;
        if ways == self.ways {
            return;
        }
        for (address, way) in &ways {
            if self.ways.get(address) != Some(way) {
                log_way(*address, way);
            }
        }
        let prepared = self.prepare(&self.desired, &self.state.overrides, &ways);
        self.ways = ways;
        if let Err(error) = prepared.and_then(|prepared| self.commit(prepared)) {
            error!(error = &error as &dyn std::error::Error, "cannot write the next hops");
        }
    }

    /// Has the kernel verify the next hops in use, and looks at those that are unknown again.
    pub(super) async fn refresh_next_hops(&mut self) {
        let known = |way: &Way| match way {
            Way::Known { gateway, link, .. } => Some((link.index, *gateway)),
            Way::Unknown { .. } => None,
        };
        let in_use = self.ways.values().filter_map(known).collect();
        if let Err(error) = self.netlink.verify_stale(&in_use).await {
            warn!(error = &error as &dyn std::error::Error, "cannot verify next hops");
        }
        self.follow_next_hops().await;
    }

    /// Attaches again to interfaces that went and came back.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    async fn restore_links(&mut self) {
        let lost: Vec<_> = self
            .desired
            .interfaces
            .iter()
            .map(|interface| interface.name.clone())
            .filter(|name| !self.attachments.is_intact(name))
            .collect();
        if lost.is_empty() {
            return;
        }
        let mut links = BTreeMap::new();
        for name in lost {
            match self.netlink.link(&name).await {
                Ok(Some(link)) => {
                    links.insert(name, link.index);
                }
                Ok(None) => {}
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "cannot look for {name}");
                }
            }
        }
        if let Err(error) = self.attach_all(&links) {
            error!(error = &error as &dyn std::error::Error, "cannot attach again");
        }
    }
}

/// The ways to every backend of a configuration, and to those in the maps that are leaving.
pub(super) async fn ways(
    netlink: &Netlink,
    desired: &Desired,
    observed: &Image,
) -> Result<Ways, AgentError> {
    let backends = desired.pools.values().flat_map(|pool| pool.backends.values());
    let mut addresses: Vec<IpAddr> = backends.map(|backend| backend.address).collect();
    addresses.extend(observed.backends.values().map(outer_destination));
    addresses.sort_unstable();
    addresses.dedup();
    let ways = netlink.ways(&addresses).await?;
    Ok(addresses.into_iter().zip(ways).collect())
}

/// The index of every interface of a configuration.
pub(super) async fn links(
    netlink: &Netlink,
    options: &RunOptions,
    desired: &Desired,
) -> Result<BTreeMap<String, u32>, AgentError> {
    let mut links = BTreeMap::new();
    for interface in &desired.interfaces {
        let link = netlink.link(&interface.name).await?.ok_or_else(|| AgentError::NoInterface {
            config: options.config.display().to_string(),
            name: interface.name.clone(),
        })?;
        links.insert(interface.name.clone(), link.index);
    }
    Ok(links)
}

#[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
fn log_way(backend: IpAddr, way: &Way) {
    match way {
        Way::Known { gateway, link, .. } => {
            info!(%backend, %gateway, interface = link.name, "next hop known");
        }
        Way::Unknown { problem, .. } => warn!(%backend, problem, "next hop unknown"),
    }
}
