//! `config validate`, `show`, `diff` and `apply`.
//!
//! `apply` shows the plan first and then asks for exactly that plan: the second request names the
//! generation the plan was made against, so a change by somebody else in between is a conflict
//! and not a surprise.

use hyper::Method;
use lb_common::api::{Change, ChangeKind, ConfigDiff, ConfigRequest, ConfigText, Item};
use lb_common::config;

use super::Context;
use crate::args::{Apply, Source};
use crate::client::Document;
use crate::console::{ask, can_ask, read_stdin, say};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render::{self, CheckedConfig, LocalItem, Palette, plan_text};

/// A configuration as it was read.
struct ConfigFile {
    origin: String,
    text: String,
}

pub(super) fn validate(context: &Context<'_>, source: &Source) -> Result<Exit, CtlError> {
    let ConfigFile { origin, text } = read(source)?;
    let desired = config::parse(&origin, &text).map_err(CtlError::InvalidConfig)?;
    let memory = desired.limits.map_memory();
    let checked = CheckedConfig {
        file: origin,
        valid: true,
        services: desired.services.len(),
        pools: desired.pools.len(),
        backends: desired.pools.values().map(|pool| pool.backends.len()).sum(),
        map_memory_bytes: memory.fixed_bytes,
        map_memory_bytes_per_cpu: memory.per_cpu_bytes,
    };
    let document = render::local(LocalItem::new("ConfigCheck", checked))?;
    if context.options.format.is_text() {
        let text = render::document(&document, context.options.format, context.console.palette)?;
        context.console.confirm(&text)?;
        return Ok(Exit::Ok);
    }
    context.print(&document)
}

pub(super) fn show(context: &Context<'_>) -> Result<Exit, CtlError> {
    context.show::<Item<ConfigText>>("/v1/config")
}

pub(super) fn diff(context: &Context<'_>, source: &Source) -> Result<Exit, CtlError> {
    let plan = ask_plan(context, read(source)?, None)?.1;
    context.print(&plan)?;
    Ok(if plan.typed.item.changes.is_empty() { Exit::Ok } else { Exit::Differences })
}

pub(super) fn apply(context: &Context<'_>, apply: &Apply) -> Result<Exit, CtlError> {
    let file = read(&apply.source)?;
    let (mut request, plan) = ask_plan(context, file, apply.expect_generation)?;
    let is_text = context.options.format.is_text();
    if apply.dry_run {
        return context.print(&plan);
    }
    if is_text {
        context.print(&plan)?;
    }
    let generation = plan.typed.generation;
    agree(context, apply, &plan.typed.item.changes, generation)?;
    request.expect_generation = Some(generation);
    let applied: Document<Item<ConfigDiff>> =
        context.client.send(&Method::POST, "/v1/config/apply", &request)?;
    if !is_text {
        return context.print(&applied);
    }
    if !applied.typed.item.changes.is_empty() {
        let generation = applied.typed.generation;
        context.console.confirm(&format!("Applied: generation {generation} is running."))?;
    }
    Ok(Exit::Ok)
}

/// Asks what a file would change.
fn ask_plan(
    context: &Context<'_>,
    file: ConfigFile,
    expect_generation: Option<u64>,
) -> Result<(ConfigRequest, Document<Item<ConfigDiff>>), CtlError> {
    let ConfigFile { origin, text } = file;
    let request = ConfigRequest { text, origin, expect_generation };
    let plan: Document<Item<ConfigDiff>> =
        context.client.send(&Method::POST, "/v1/config/diff", &request)?;
    let found = plan.typed.generation;
    match expect_generation {
        Some(expected) if expected != found => Err(CtlError::Stale { expected, found }),
        _ => Ok((request, plan)),
    }
}

/// Ends well when the plan may be carried out.
fn agree(
    context: &Context<'_>,
    apply: &Apply,
    changes: &[Change],
    generation: u64,
) -> Result<(), CtlError> {
    if apply.yes || changes.is_empty() {
        return Ok(());
    }
    let removals = changes.iter().filter(|change| change.kind == ChangeKind::Remove).count();
    if !can_ask() {
        return if removals == 0 { Ok(()) } else { Err(CtlError::NeedsYes { removals }) };
    }
    if !context.options.format.is_text() {
        // The plan goes where the question goes: stdout is for the one document of the result.
        say(&plan_text(changes, generation, Palette::new(false)));
    }
    if ask("Apply this plan?")? { Ok(()) } else { Err(CtlError::Declined) }
}

fn read(source: &Source) -> Result<ConfigFile, CtlError> {
    let (origin, text) = match source {
        Source::Stdin => ("<stdin>".to_owned(), read_stdin()),
        Source::File(path) => (path.display().to_string(), std::fs::read_to_string(path)),
    };
    match text {
        Ok(text) => Ok(ConfigFile { origin, text }),
        Err(source) => Err(CtlError::Read { origin, source }),
    }
}
