//! Requests: reading is answered from the state; a change is prepared, stored, then committed.
//!
//! The order of a change: everything that can refuse it without touching anything, the loading of
//! another program included; then new attachments, which the kernel may refuse; then what must survive a crash goes to the disk; then
//! the maps; last, what is no longer wanted is detached. Whatever fails, the steps before it are
//! undone, so an error means that nothing has changed. A crash in between is repaired at the next
//! start, which brings the maps to what is on the disk.

use std::sync::Arc;

use lb_common::api::{Change, ConfigDiff, ConfigRequest, EventKind, Move, Problem};
use lb_common::config::{Desired, Weight};
use tracing::error;

use super::agent::{Agent, Prepared, text_hash};
use super::history::Source;
use super::interfaces::{Interfaces, absences};
use super::metrics::Address;
use super::next_hops::destinations;
use super::program::Programs;
use super::{AgentError, events, flows, health, history, views};
use crate::core::diff::{diff, note_forgotten};
use crate::core::events::{of_override, of_overrides};
use crate::core::health::Checks;
use crate::core::moves::{Moved, moved};
use crate::core::naming::Naming;
use crate::core::overrides::{Change as Command, Overrides};
use crate::io::api_server::{Answer, Request};
use crate::io::files;
use crate::io::netlink::Seen;
use crate::io::state_file::State;

impl Agent {
    /// Answers one request.
    pub(super) async fn handle(&mut self, request: Request) -> Answer {
        match request {
            Request::Status => views::status(self),
            Request::Services => views::services(self),
            Request::Service { name } => views::service(self, &name),
            Request::Backends { pool } => views::backends(self, pool.as_deref()),
            Request::Backend { pool, name } => views::backend(self, &pool, &name),
            Request::Health { pool } => health::list(self, pool.as_deref()),
            Request::HealthHistory { pool } => health::history(self, &pool),
            Request::Weight { pool, name, weight } => self.set_weight(&pool, &name, weight),
            Request::Drain { pool, name, request } => self.drain(&pool, &name, &request),
            Request::Undrain { pool, name } => {
                self.override_backend(&pool, &name, Command::Drain(None))
            }
            Request::Config => views::config(self),
            Request::History => history::list(self),
            Request::Version { generation } => history::show(self, generation),
            Request::Diff(request) => self.diff(&request).await,
            Request::Apply(request) => {
                let answer = self.apply(&request).await;
                answer.inspect_err(|problem| self.raise_refused(events::in_one_line(problem)))
            }
            Request::Export => self.export(),
            Request::Import(backup) => {
                let answer = self.import(&backup).await;
                answer.inspect_err(|problem| self.raise_refused(events::in_one_line(problem)))
            }
            Request::Trace(request) => self.trace(&request),
            Request::Doctor => self.doctor(),
        }
    }

    /// Reads the configuration file again. Whatever is wrong with it, the running state stays.
    pub(super) async fn reload(&mut self) {
        let before = self.state.generation;
        let outcome = match self.options.configuration() {
            Ok((desired, text)) => self.reload_as(desired, text).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(changes) => {
                self.reload_failure = None;
                self.raise_configured(EventKind::ConfigReloaded, before, changes);
            }
            Err(error) => {
                self.reload_failure = Some(events::brief(&error.to_string()));
                self.raise_refused(events::with_causes(&error));
            }
        }
    }

    /// The agent's own file is the truth, as at a start: nothing is too much.
    async fn reload_as(&mut self, desired: Desired, text: String) -> Result<usize, AgentError> {
        let considered = self.consider(&desired).await?;
        Ok(self.change_to((desired, considered), text, Source::Reload)?.len())
    }

    /// How much of the pools' hash space a configuration moves.
    pub(super) fn moved(&self, desired: &Desired, considered: &Considered) -> Vec<Moved> {
        let tables = considered.prepared.tables();
        moved((&self.desired, &self.derived.tables), (desired, tables))
    }

    pub(super) fn moves(&self, moved: &[Moved]) -> Vec<Move> {
        let to_move = |moved: &Moved| Move {
            pool: moved.pool.clone(),
            service: moved.service.clone(),
            share: moved.share(),
            keeps_flows: moved.keeps_flows,
            flows_pinned: flows::flows_of_pool(self, &moved.pool),
        };
        moved.iter().map(to_move).collect()
    }

    fn set_weight(&mut self, pool: &str, name: &str, weight: Option<u32>) -> Answer {
        let checked = weight.map(|weight| {
            Weight::new(u64::from(weight)).ok_or_else(|| {
                let title = format!("weight {weight} is not in 0..={}", Weight::MAX);
                views::problem("invalid_request", 400, title)
            })
        });
        self.override_backend(pool, name, Command::Weight(checked.transpose()?))
    }

    pub(super) fn override_backend(&mut self, pool: &str, name: &str, change: Command) -> Answer {
        views::known_backend(self, pool, name)?;
        self.put_override(pool, name, change).map_err(refused)?;
        views::backend(self, pool, name)
    }

    /// Puts a command on a backend in force, unless it changes nothing.
    pub(super) fn put_override(
        &mut self,
        pool: &str,
        name: &str,
        change: Command,
    ) -> Result<(), AgentError> {
        let overrides = self.state.overrides.with(pool, name, change);
        if overrides == self.state.overrides {
            return Ok(());
        }
        let was = self.state.overrides.of(pool, name);
        let prepared = self.prepare_anew(&overrides, &self.ways, &self.interfaces.indices())?;
        let generation = self.state.generation + 1;
        let state = State { generation, overrides, ..self.state };
        // The program can do whatever the configuration asks for, with any weights.
        self.put_in_force(state, None, Programs::default(), prepared)?;
        let is = self.state.overrides.of(pool, name);
        let backend = self.desired.pools.get(pool).and_then(|pool| pool.backends.get(name));
        let configured = backend.map_or(0, |backend| backend.weight.value());
        self.raise_all(of_override((pool, name), configured, &was, &is));
        Ok(())
    }

    /// Refuses whatever [`Self::apply`] would refuse before it touches anything.
    async fn diff(&self, request: &ConfigRequest) -> Answer {
        let (desired, considered) = self.consider_sent(request).await?;
        let changes = self.changes_to(&desired);
        let moves = self.moves(&self.moved(&desired, &considered));
        views::item(self, "ConfigDiff", ConfigDiff { changes, moves, applied: false })
    }

    async fn apply(&mut self, request: &ConfigRequest) -> Answer {
        let (desired, considered) = self.consider_sent(request).await?;
        let in_pools = self.moved(&desired, &considered);
        limit_moves(&in_pools, request.max_moved_percent).map_err(refused)?;
        let moves = self.moves(&in_pools);
        self.change_and_tell((desired, considered), moves, &request.text, Source::Apply)
    }

    /// Puts what a client has sent in force, and says what that changes.
    pub(super) fn change_and_tell(
        &mut self,
        considered: (Desired, Considered),
        moves: Vec<Move>,
        text: &str,
        source: Source,
    ) -> Answer {
        let (before, overrides) = (self.state.generation, self.state.overrides.clone());
        let changes = self.change_to(considered, text.to_owned(), source).map_err(refused)?;
        self.reload_failure = None;
        self.raise_configured(EventKind::ConfigApplied, before, changes.len());
        self.raise_all(of_overrides(&self.desired, &overrides, &self.state.overrides));
        views::item(self, "ConfigDiff", ConfigDiff { changes, moves, applied: true })
    }

    fn expect_generation(&self, request: &ConfigRequest) -> Result<(), Problem> {
        match request.expect_generation {
            Some(expected) if expected != self.state.generation => {
                let running = self.state.generation;
                let title = format!("generation {expected} was expected, and {running} is running");
                Err(views::problem("conflict", 409, title))
            }
            _ => Ok(()),
        }
    }

    /// Thinks through what a client has sent, under the name that it has there.
    async fn consider_sent(
        &self,
        request: &ConfigRequest,
    ) -> Result<(Desired, Considered), Problem> {
        self.expect_generation(request)?;
        let desired = self.options.parsed(&request.origin, &request.text).map_err(Problem::from)?;
        let considered = self.consider(&desired).await;
        let considered = considered.map_err(|error| refused(error.of_file(&request.origin)))?;
        Ok((desired, considered))
    }

    /// What a configuration changes, and which commands go with it.
    fn changes_to(&self, desired: &Desired) -> Vec<Change> {
        let mut changes = diff(&self.desired, desired);
        note_forgotten(&mut changes, &self.state.overrides);
        changes
    }

    /// Thinks a configuration through. Changes nothing.
    async fn consider(&self, desired: &Desired) -> Result<Considered, AgentError> {
        self.consider_with(desired, &self.state.overrides).await
    }

    /// The same with other overrides than those in force.
    pub(super) async fn consider_with(
        &self,
        desired: &Desired,
        overrides: &Overrides,
    ) -> Result<Considered, AgentError> {
        self.refuse_fixed(desired)?;
        let interfaces = Interfaces::find(&self.netlink, desired).await?;
        // One that was lost comes back some time; that must not stand in the way of other changes.
        let known = |name: &&String| self.desired.interfaces.iter().any(|each| each.name == **name);
        self.options.refuse_absent(interfaces.absent.iter().filter(|name| !known(name)))?;
        let destinations = destinations(desired, &self.observed);
        let seen = self.netlink.look(&destinations, &self.routes).await?;
        let overrides = overrides.kept_for(desired);
        let naming = Arc::new(Naming::of(desired, &self.observed)?);
        let checks = self.checks_for(desired, &naming);
        let links = interfaces.indices();
        let steering = self.decide_for(desired, &overrides, &checks);
        let prepared = self.prepare((desired, &naming), steering, (&seen.ways, &links))?;
        let address = self.exporter.consider(desired.metrics).await?;
        Ok(Considered { interfaces, seen, overrides, checks, address, prepared })
    }

    /// Makes a configuration that has been thought through the running one; what that changes.
    fn change_to(
        &mut self,
        (desired, considered): (Desired, Considered),
        text: String,
        source: Source,
    ) -> Result<Vec<Change>, AgentError> {
        let Considered { interfaces, seen, overrides, checks, address, prepared } = considered;
        let changes = self.changes_to(&desired);
        let is_new = text != self.text;
        let is_changed = !changes.is_empty() || overrides != self.state.overrides;
        let next = prepared.settings;
        let programs = self.programs(self.settings.on_the_way_to(&next), next)?;
        let tunnels = self.tunnels_for(&desired)?;
        let attached = self.attach_all(&desired, &interfaces)?;
        let generation = self.state.generation + u64::from(is_changed);
        let state = State { generation, overrides, configuration: text_hash(&text) };
        let file = matches!(source, Source::Apply | Source::Import).then_some(text.as_str());
        if let Err(error) = self.put_in_force(state, file, programs, prepared) {
            self.undo_attach(&attached);
            return Err(error);
        }
        (self.desired, self.text) = (desired, text);
        self.exporter.change_to(address);
        self.routes = seen.routes;
        self.take_ways(seen.ways);
        self.health = checks;
        self.detach_others(&interfaces);
        self.note(absences(&interfaces));
        self.interfaces = interfaces;
        self.take_tunnels(tunnels);
        if is_new {
            self.keep_version(source, changes.len());
        }
        Ok(changes)
    }

    /// Stores a state, replaces the configuration file by `file` if there is one, and writes the
    /// maps. Whatever fails, what was done before it is undone.
    fn put_in_force(
        &mut self,
        state: State,
        file: Option<&str>,
        programs: Programs,
        prepared: Prepared,
    ) -> Result<(), AgentError> {
        let config = self.options.config.clone();
        let old_file = file.and_then(|_| files::read(&config).ok());
        let old_state = self.state.clone();
        self.remember(state)?;
        if let Some(text) = file
            && let Err(error) = files::replace(&config, text)
        {
            log_undo(self.remember(old_state));
            return Err(error.into());
        }
        if let Err(error) = self.change_maps(programs, prepared) {
            if let Some(text) = old_file {
                log_undo(files::replace(&config, &text).map_err(AgentError::from));
            }
            log_undo(self.remember(old_state));
            let (overrides, links) = (&self.state.overrides, self.interfaces.indices());
            let old_maps = self.prepare_anew(overrides, &self.ways, &links);
            log_undo(old_maps.and_then(|prepared| self.commit(prepared)));
            return Err(error);
        }
        Ok(())
    }

    fn refuse_fixed(&self, desired: &Desired) -> Result<(), AgentError> {
        if desired.limits != self.desired.limits {
            return Err(AgentError::Fixed { field: "limits" });
        }
        if desired.hash_seed != self.desired.hash_seed {
            return Err(AgentError::Fixed { field: "cluster.hash_seed" });
        }
        Ok(())
    }
}

/// Refuses what moves more of a pool than it may.
fn limit_moves(moved: &[Moved], max_percent: u8) -> Result<(), AgentError> {
    let most = moved.iter().max_by_key(|moved| moved.percent());
    most.filter(|most| most.percent() > max_percent).map_or(Ok(()), |most| {
        let (pool, service, percent) = (most.pool.clone(), most.service.clone(), most.percent());
        Err(AgentError::MovesTooMuch { pool, service, percent, max_percent })
    })
}

/// A configuration that has been thought through.
pub(super) struct Considered {
    interfaces: Interfaces,
    seen: Seen,
    overrides: Overrides,
    checks: Checks,
    /// Where metrics are told.
    address: Address,
    prepared: Prepared,
}

fn log_undo(undone: Result<(), AgentError>) {
    if let Err(error) = undone {
        error!(error = &error as &dyn std::error::Error, "cannot undo a change that failed");
    }
}

/// The problem document of a change that could not be made.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
pub(super) fn refused(error: AgentError) -> Problem {
    let (kind, status) = match error.exit_code() {
        5 => ("invalid_config", 422),
        6 => ("conflict", 409),
        _ => ("internal", 500),
    };
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    if !error.cure().is_empty() {
        causes.push(error.cure().to_owned());
    }
    if kind == "internal" {
        error!(error = &error as &dyn std::error::Error, "a change failed");
    }
    let detail = (!causes.is_empty()).then(|| causes.join("; "));
    Problem { detail, ..views::problem(kind, status, error.to_string()) }
}
