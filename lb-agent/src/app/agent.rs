//! The agent's state, and the way from what is wanted to what the maps hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use lb_common::config::{self, ConfigError, Desired, Limits};
use lb_common::image::Image;
use lb_common::name_hash::{NAME_SEED, stable_hash};
use tracing::{error, info};

use super::interfaces::{Interfaces, absences};
use super::metrics::Exporter;
use super::next_hops::first_look;
use super::program::load;
use super::socket::Socket;
use super::sweep::Transitions;
use super::tunnel::Tunnels;
use super::{AgentError, RunOptions};
use crate::core::drain::Drains;
use crate::core::effective::EffectivePool;
use crate::core::events::{of_pools, of_ways};
use crate::core::health::Checks;
use crate::core::naming::Naming;
use crate::core::overrides::Overrides;
use crate::core::plan::{Op, carry_out, plan, resting_after};
use crate::core::settings::Settings;
use crate::core::steering::Steering;
use crate::core::tables::Tables;
use crate::core::target::{Ways, keep_leaving, mark_down, mark_in_place, target};
use crate::core::way::below_vlans;
use crate::io::bpf::{Attachments, Datapath};
use crate::io::capabilities;
use crate::io::clock::precise_ns;
use crate::io::datapath_log::Forwarding;
use crate::io::files;
use crate::io::history::History;
use crate::io::host::Host;
use crate::io::journal::Journal;
use crate::io::metrics::Scraper;
use crate::io::netlink::{Changes, Netlink, Routes, Seen};
use crate::io::pins::Pins;
use crate::io::probes::ThisHost;
use crate::io::pulse::{Moment, Pulse};
use crate::io::state_file::{State, StateFile};
use crate::io::supervisor::Supervisor;

/// Everything the loop owns.
pub(super) struct Agent {
    pub(super) options: RunOptions,
    pub(super) host: Host,
    pub(super) started_at: SystemTime,
    pub(super) journal: Arc<Journal>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) exporter: Exporter,
    pub(super) supervisor: Supervisor,
    pub(super) pins: Pins,
    pub(super) state_file: StateFile,
    /// Configurations that were in force.
    pub(super) history: History,
    pub(super) netlink: Netlink,
    pub(super) datapath: Datapath,
    /// What the loaded program was loaded with.
    pub(super) settings: Settings,
    /// Its log, for as long as this is here.
    pub(super) log: Option<Forwarding>,
    pub(super) attachments: Attachments,
    /// What the kernel last said of the interfaces of the configuration.
    pub(super) interfaces: Interfaces,
    /// The running configuration and its text.
    pub(super) desired: Desired,
    pub(super) text: String,
    /// Overrides and generation, as stored.
    pub(super) state: State,
    pub(super) derived: Derived,
    /// Routes to the backends, and what these and neighbours come to.
    pub(super) routes: Routes,
    pub(super) ways: Ways,
    /// What the maps hold: read once, then kept in step with every write.
    pub(super) observed: Image,
    /// What is in transition.
    pub(super) transitions: Transitions,
    /// Pages that packets may still be reading.
    pub(super) resting: BTreeSet<u32>,
    /// What sweeps saw of drains.
    pub(super) drains: Drains,
    /// Checks, and what they found.
    pub(super) health: Checks,
    /// Whether a write has failed, so that the maps are neither as before nor as decided.
    pub(super) is_torn: bool,
    /// What wraps those that go through the tunnel.
    pub(super) tunnels: Tunnels,
    /// Whether they found something that the maps do not say yet.
    pub(super) health_pending: bool,
    /// Why the last reload was refused.
    pub(super) reload_failure: Option<String>,
    /// How many configurations were refused.
    pub(super) refused: u64,
    /// Interfaces of the configuration that are not attached, and why.
    pub(super) not_attached: BTreeMap<String, String>,
}

/// What follows from configuration and overrides.
#[derive(Clone, Default)]
pub(super) struct Derived {
    pub(super) steering: Steering,
    /// Follows from the configuration alone, and stays until another one is in force.
    pub(super) naming: Arc<Naming>,
    pub(super) tables: Tables,
}

impl Derived {
    /// What the maps of an earlier agent tell.
    fn adopt(
        desired: &Desired,
        overrides: &Overrides,
        observed: &Image,
    ) -> Result<Self, AgentError> {
        let naming = Arc::new(Naming::of(desired, observed)?);
        let steering = Steering::adopt(desired, overrides, (&naming.ids, observed), precise_ns());
        Ok(Self { steering, naming, ..Self::default() })
    }

    /// Who takes new flows, by pool.
    pub(super) const fn effective(&self) -> &BTreeMap<String, EffectivePool> {
        self.steering.pools()
    }
}

/// A change that has been thought through and not yet carried out.
pub(super) struct Prepared {
    derived: Derived,
    ops: Vec<Op>,
    /// What the program must be loaded with for the maps as they will be.
    pub(super) settings: Settings,
}

impl Prepared {
    /// The tables as they will be.
    pub(super) const fn tables(&self) -> &Tables {
        &self.derived.tables
    }
}

impl Agent {
    /// Reads the configuration, adopts or makes the maps, attaches, and brings all up to date.
    /// A start that fails leaves the kernel as it found it.
    pub(super) async fn start(
        options: RunOptions,
        scraper: Scraper,
    ) -> Result<(Self, Changes, Socket), AgentError> {
        let (desired, text) = options.configuration()?;
        capabilities::check()?;
        let state_file = StateFile::new(&options.state_dir)?;
        let state = state_file.load()?;
        // Before anything is loaded: another agent may be listening.
        let socket = Socket::listen(&options.socket).await?;
        let (netlink, mut changes) = Netlink::connect().await?;
        // Before the maps: an agent that is killed right after its start leaves ways that are known.
        let Seen { routes, ways } = first_look(&netlink, &desired, &mut changes).await?;
        let interfaces = Interfaces::find(&netlink, &desired).await?;
        let pins = Pins::open(&options.pin_dir)?;
        let new_pins = pins.undo_unless_kept();
        let host = host_with_room_for(&desired.limits);
        let settings = Settings::of(&desired);
        let datapath = load(&pins, &desired, settings, options.datapath_log_level)?;
        if !datapath.adopted {
            options.refuse_absent(&interfaces.absent)?;
        }
        let observed = datapath.maps.observe()?;
        let derived = Derived::adopt(&desired, &state.overrides, &observed)?;
        let mut agent = Self {
            history: History::of(&options.state_dir),
            options,
            host,
            started_at: time_of_day(),
            journal: Arc::new(Journal::new()),
            pulse: Arc::new(Pulse::new(Moment::now())),
            exporter: Exporter::new(scraper),
            supervisor: Supervisor::default(),
            attachments: Attachments::adopt(&pins)?,
            pins,
            state_file,
            netlink,
            datapath,
            settings,
            log: None,
            interfaces,
            desired,
            text,
            state,
            derived,
            routes,
            ways,
            observed,
            transitions: Transitions::default(),
            resting: BTreeSet::new(),
            drains: Drains::default(),
            health: Checks::default(),
            is_torn: false,
            tunnels: Tunnels::default(),
            health_pending: false,
            reload_failure: None,
            refused: 0,
            not_attached: BTreeMap::new(),
        };
        agent.take_over()?;
        agent.keep_first_version();
        new_pins.keep();
        Ok((agent, changes, socket))
    }

    /// Puts the configuration in force: what may be refused first, what can be undone before what
    /// cannot. A new link runs on maps that do not know their services yet, and passes all.
    #[expect(clippy::cognitive_complexity, reason = "tracing's macros count as branches")]
    fn take_over(&mut self) -> Result<(), AgentError> {
        self.health = self.checks_at_start();
        let interfaces = self.interfaces.clone();
        let stored = self.state.clone();
        let overrides = stored.overrides.kept_for(&self.desired);
        let configuration = text_hash(&self.text);
        // The file changed while no agent ran, or this is the first configuration ever.
        let changed = stored.configuration != configuration || stored.overrides != overrides;
        // A state that was lost does not begin the count anew: the history goes by it.
        let generation = stored.generation.max(self.history.newest()) + u64::from(changed);
        let prepared = self.prepare_anew(&overrides, &self.ways, &interfaces.indices())?;
        // The maps may hold what this configuration has no use for, as long as they are not written.
        let next = prepared.settings;
        let both = self.settings.covering(&self.observed).on_the_way_to(&next);
        let programs = self.programs(both, next)?;
        let tunnels = self.tunnels_for(&self.desired)?;
        let attached = self.attach_all(&self.desired.clone(), &interfaces)?;
        let state = State { generation, overrides, configuration };
        let done = self.remember(state).and_then(|()| {
            // The program that an earlier agent left may not know what is about to be written.
            let programs = self.put_between(programs)?;
            self.change_maps(programs, prepared)
        });
        if let Err(error) = done {
            self.undo_attach(&attached);
            if let Err(error) = self.remember(stored) {
                error!(error = &error as &dyn std::error::Error, "cannot restore the state");
            }
            return Err(error);
        }
        // Windows are not stored: what is in transition waits for its whole time-out again.
        self.open_windows(&Image::default());
        self.detach_others(&interfaces);
        self.take_tunnels(tunnels);
        self.note(absences(&interfaces));
        self.raise_all(of_ways(&Ways::new(), &self.ways));
        let Self { datapath: Datapath { adopted, .. }, observed, desired, .. } = &*self;
        info!(
            adopted,
            services = desired.services.len(),
            backends = observed.backends.len(),
            "maps are up to date"
        );
        Ok(())
    }

    /// Stores a state, unless it is the stored one, and makes it the agent's.
    pub(super) fn remember(&mut self, state: State) -> Result<(), AgentError> {
        if state != self.state {
            self.state_file.store(&state)?;
            self.state = state;
            let overrides = &self.state.overrides;
            self.drains.retain(|pool, backend| overrides.of(pool, backend).drain.is_some());
        }
        Ok(())
    }

    /// Works out what a configuration with overrides and ways means for the maps. Changes nothing.
    pub(super) fn prepare(
        &self,
        (desired, naming): (&Desired, &Arc<Naming>),
        steering: Steering,
        (ways, links): (&Ways, &BTreeSet<u32>),
    ) -> Result<Prepared, AgentError> {
        let ids = &naming.ids;
        let mut tables = self.derived.tables.clone();
        tables.update(desired, steering.pools(), ids)?;
        let ways = &below_vlans(ways, links);
        let mut target = target(desired, ids, &tables, ways, links);
        mark_down(&mut target, ids, steering.pools());
        if Arc::ptr_eq(naming, &self.derived.naming) && !self.is_torn {
            mark_in_place(&mut target, ids, (&self.derived.tables, &tables));
        }
        let pinned = self.pinned(&target);
        keep_leaving(&mut target, &self.observed, &pinned, ways, &desired.limits);
        let settings = Settings::of(desired).reaching(target.backends.values());
        let ops = plan(&self.observed, &target, &desired.limits, &self.resting)?;
        let derived = Derived { steering, naming: Arc::clone(naming), tables };
        Ok(Prepared { derived, ops, settings })
    }

    /// The same for the running configuration and what is known of its backends.
    pub(super) fn prepare_anew(
        &self,
        overrides: &Overrides,
        ways: &Ways,
        links: &BTreeSet<u32>,
    ) -> Result<Prepared, AgentError> {
        let running = (&self.desired, &self.derived.naming);
        self.prepare(running, self.decide(overrides), (ways, links))
    }

    /// Writes a prepared change to the maps. Should a write fail, the maps are read again, so that
    /// the next change repairs what is left.
    pub(super) fn commit(&mut self, prepared: Prepared) -> Result<(), AgentError> {
        let before = self.observed.clone();
        for op in &prepared.ops {
            if let Err(error) = self.datapath.maps.execute(op) {
                // What is left half-way is repaired within a second, if not by whoever asked for it.
                (self.is_torn, self.health_pending) = (true, true);
                self.observed = self.datapath.maps.observe()?;
                self.open_windows(&before);
                return Err(error.into());
            }
            carry_out(&mut self.observed, op);
        }
        self.is_torn = false;
        let Prepared { derived, ops, .. } = prepared;
        self.resting = resting_after(&self.resting, &before, &self.observed, &ops);
        let was = std::mem::replace(&mut self.derived, derived);
        self.health_pending |= self.derived.steering.is_behind();
        self.raise_all(of_pools(was.effective(), self.derived.effective()));
        if ops.iter().any(|op| matches!(op, Op::PutPool { .. })) {
            self.open_windows(&before);
        }
        Ok(())
    }
}

impl RunOptions {
    /// What the agent's own file says, and its text.
    pub(super) fn configuration(&self) -> Result<(Desired, String), AgentError> {
        let text = files::read(&self.config)?;
        Ok((self.parsed(&self.config.display().to_string(), &text)?, text))
    }

    /// What the text of a configuration says, if this host has all that it names.
    pub(super) fn parsed(&self, origin: &str, text: &str) -> Result<Desired, ConfigError> {
        config::parse_on(&ThisHost { exec_checks: self.exec_checks }, origin, text)
    }

    /// Refuses interfaces that the configuration names and that are not there.
    pub(super) fn refuse_absent<'a>(
        &self,
        absent: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), AgentError> {
        absent.into_iter().next().map_or(Ok(()), |name| {
            let config = self.config.display().to_string();
            Err(AgentError::NoInterface { config, name: name.clone() })
        })
    }
}

/// This host. Says what the maps are about to take of it, before they take it.
fn host_with_room_for(limits: &Limits) -> Host {
    let host = Host::read();
    let bytes = limits.map_memory().on(host.possible_cpus);
    info!(mebibytes = bytes.div_ceil(1 << 20), "memory of the maps, all of it set aside at once");
    host
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "shown to people; nothing is decided by it")]
pub(super) fn time_of_day() -> SystemTime {
    SystemTime::now()
}

/// By what a later start recognises the text of the configuration.
pub(super) fn text_hash(text: &str) -> u64 {
    stable_hash(NAME_SEED, text.as_bytes())
}
