//! The program in the kernel: loaded anew, over the same maps, when a configuration asks for other
//! things of it.
//!
//! The maps and the program cannot change in one step. So a program that can do what both
//! configurations need takes over before the maps change, and the one that can do no more than the
//! new one after it. Both are loaded before anything is touched: whatever the kernel refuses, it
//! refuses in time. On each interface one replaces the other between two packets.

use lb_common::config::Desired;
use tracing::{error, info, warn};

use super::AgentError;
use super::agent::{Agent, Prepared};
use crate::core::settings::Settings;
use crate::io::bpf::{BpfError, Datapath, LoadOptions};
use crate::io::datapath_log;
use crate::io::maps::shapes;
use crate::io::pins::Pins;

/// A loaded program, with what it was loaded with.
pub(super) struct Program {
    settings: Settings,
    datapath: Datapath,
}

/// The programs of a change; none where the one before will do.
#[derive(Default)]
pub(super) struct Programs {
    /// While the maps change.
    between: Option<Program>,
    /// From then on.
    after: Option<Program>,
}

/// Loads the program for a configuration, on the pinned maps.
pub(super) fn load(
    pins: &Pins,
    desired: &Desired,
    settings: Settings,
    log_level: u8,
) -> Result<Datapath, BpfError> {
    let (limits, hash_seed) = (desired.limits, desired.hash_seed);
    Datapath::load(&LoadOptions { pins: Some(pins), limits, hash_seed, settings, log_level })
}

impl Agent {
    /// Loads what a change to `next` needs, by way of `between`. Nothing is replaced yet.
    pub(super) fn programs(
        &self,
        between: Settings,
        next: Settings,
    ) -> Result<Programs, AgentError> {
        let load = |settings: Settings, before: Settings| {
            (settings != before).then(|| self.load(settings)).transpose()
        };
        Ok(Programs { between: load(between, self.settings)?, after: load(next, between)? })
    }

    /// Puts the program for the time of a change in place, before the maps are written; what is left
    /// for after it.
    pub(super) fn put_between(&mut self, programs: Programs) -> Result<Programs, AgentError> {
        let Programs { between, after } = programs;
        match between {
            Some(program) => drop(self.put_program(program)?),
            None => self.replace_programs()?,
        }
        Ok(Programs { between: None, after })
    }

    fn load(&self, settings: Settings) -> Result<Program, AgentError> {
        self.pins.require(&shapes(&self.desired.limits))?;
        let log_level = self.options.datapath_log_level;
        let mut datapath = load(&self.pins, &self.desired, settings, log_level)?;
        datapath.adopted = self.datapath.adopted;
        Ok(Program { settings, datapath })
    }

    /// Writes a prepared change to the maps, under the programs loaded for it. If that fails, the
    /// program is the one before.
    pub(super) fn change_maps(
        &mut self,
        programs: Programs,
        prepared: Prepared,
    ) -> Result<(), AgentError> {
        let Programs { between, after } = programs;
        let before = between.map(|program| self.put_program(program)).transpose()?;
        if let Err(error) = self.commit(prepared) {
            // Not if it cannot do what has got into the maps.
            let fits =
                |program: &Program| program.settings == program.settings.covering(&self.observed);
            if let Some(Err(error)) = before.filter(fits).map(|program| self.put_program(program)) {
                kept_after(&error);
            }
            return Err(error);
        }
        // The one that is there can do all that the maps need, and more.
        if let Some(Err(error)) = after.map(|program| self.put_program(program)) {
            kept_after(&error);
        }
        Ok(())
    }

    /// Makes a program that of every interface; the one before. Whatever fails, all is as it was.
    fn put_program(&mut self, program: Program) -> Result<Program, AgentError> {
        let before = self.exchange(program);
        if let Err(error) = self.replace_programs() {
            self.exchange(before);
            if let Err(error) = self.replace_programs() {
                kept_after(&error);
            }
            return Err(error);
        }
        self.follow_log();
        info!(features = self.settings.features.0, "program replaced");
        Ok(before)
    }

    fn exchange(&mut self, Program { settings, datapath }: Program) -> Program {
        Program {
            settings: std::mem::replace(&mut self.settings, settings),
            datapath: std::mem::replace(&mut self.datapath, datapath),
        }
    }

    /// Makes the loaded program that of every interface.
    pub(super) fn replace_programs(&mut self) -> Result<(), AgentError> {
        Ok(self.attachments.replace_programs(&mut self.datapath)?)
    }

    /// Passes on what the loaded program logs, instead of what one before it did.
    pub(super) fn follow_log(&mut self) {
        self.log = match datapath_log::forward(self.datapath.ebpf_mut()) {
            Ok(forwarding) => Some(forwarding),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                warn!(error, "no log of the data plane");
                None
            }
        };
    }
}

/// Another program was to take over, and the one that is there stays.
fn kept_after(error: &AgentError) {
    error!(error = error as &dyn std::error::Error, "the program could not be replaced");
}
