//! `state import`: back from a backup, or to another host.

use hyper::Method;
use lb_common::api::{ConfigDiff, Item, StateBackup};

use super::Context;
use super::config::read;
use crate::args::Source;
use crate::client::Document;
use crate::console::{ask, can_ask};
use crate::error::CtlError;
use crate::exit::Exit;

pub(super) fn import(context: &Context<'_>, source: &Source, yes: bool) -> Result<Exit, CtlError> {
    let file = read(source)?;
    // YAML reads JSON as well.
    let backup: Item<StateBackup> = serde_yaml::from_str(&file.text)
        .map_err(|source| CtlError::NoBackup { origin: file.origin.clone(), source })?;
    let backup = backup.item;
    if !yes {
        if !can_ask() {
            return Err(CtlError::ReplacesAll);
        }
        let StateBackup { node, taken_at, .. } = &backup;
        let question = format!(
            "Replace configuration, weights and drains by those of {node}, taken at {taken_at}?"
        );
        if !ask(&question)? {
            return Err(CtlError::Declined);
        }
    }
    let applied: Document<Item<ConfigDiff>> =
        context.client.send(&Method::POST, "/v1/state", &backup)?;
    if !context.options.format.is_text() {
        return context.print(&applied);
    }
    let generation = applied.typed.generation;
    context.console.confirm(&format!("Imported: generation {generation} is running."))?;
    Ok(Exit::Ok)
}
