//! `config validate`, `diff`, `apply` and `rollback`.
//!
//! `apply` shows the plan first and then asks for exactly that plan: the second request names the
//! generation the plan was made against, so a change by somebody else in between is a conflict
//! and not a surprise.

use hyper::Method;
use lb_common::api::{
    ChangeKind, ConfigDiff, ConfigRequest, ConfigText, ConfigVersion, Item, List,
    MAX_MOVED_PERCENT, Move,
};
use lb_common::config;

use super::Context;
use crate::args::{ApplyOptions, Source};
use crate::client::Document;
use crate::console::{ask, can_ask, read_stdin, say};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render::{self, CheckedConfig, LocalItem, Palette, plan_text};

/// A configuration as it was read.
pub(super) struct ConfigFile {
    pub(super) origin: String,
    pub(super) text: String,
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

pub(super) fn diff(context: &Context<'_>, source: &Source) -> Result<Exit, CtlError> {
    let plan = ask_plan(context, read(source)?, None, MAX_MOVED_PERCENT)?.1;
    context.print(&plan)?;
    Ok(if plan.typed.item.changes.is_empty() { Exit::Ok } else { Exit::Differences })
}

/// Goes back to the configuration that began a generation, or to the one before the running one.
pub(super) fn rollback(
    context: &Context<'_>,
    generation: Option<u64>,
    how: &ApplyOptions,
) -> Result<Exit, CtlError> {
    let generation = match generation {
        Some(generation) => generation,
        None => one_before(context)?,
    };
    let path = format!("/v1/config/history/{generation}");
    let ConfigText { file, text } = context.client.fetch::<Item<ConfigText>>(&path)?.typed.item;
    apply_file(context, ConfigFile { origin: file, text }, how)
}

/// Generation that the configuration before the running one began.
fn one_before(context: &Context<'_>) -> Result<u64, CtlError> {
    let history: Document<List<ConfigVersion>> = context.client.fetch("/v1/config/history")?;
    let versions = history.typed.items.iter();
    let mut from_running = versions.skip_while(|version| !version.running);
    from_running.nth(1).map(|version| version.generation).ok_or(CtlError::NoneBefore)
}

pub(super) fn apply(
    context: &Context<'_>,
    source: &Source,
    how: &ApplyOptions,
) -> Result<Exit, CtlError> {
    apply_file(context, read(source)?, how)
}

fn apply_file(
    context: &Context<'_>,
    file: ConfigFile,
    apply: &ApplyOptions,
) -> Result<Exit, CtlError> {
    let (mut request, plan) = ask_plan(context, file, apply.expect_generation, apply.max_moved)?;
    let is_text = context.options.format.is_text();
    if apply.dry_run {
        return context.print(&plan);
    }
    if is_text {
        context.print(&plan)?;
    }
    let generation = plan.typed.generation;
    limit_moves(&plan.typed.item.moves, apply.max_moved)?;
    agree(context, apply, &plan.typed.item, generation)?;
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
    max_moved_percent: u8,
) -> Result<(ConfigRequest, Document<Item<ConfigDiff>>), CtlError> {
    let ConfigFile { origin, text } = file;
    let request = ConfigRequest { text, origin, expect_generation, max_moved_percent };
    let plan: Document<Item<ConfigDiff>> =
        context.client.send(&Method::POST, "/v1/config/diff", &request)?;
    let found = plan.typed.generation;
    match expect_generation {
        Some(expected) if expected != found => Err(CtlError::Stale { expected, found }),
        _ => Ok((request, plan)),
    }
}

/// Refuses what the agent would refuse, before anybody is asked.
fn limit_moves(moves: &[Move], max_percent: u8) -> Result<(), CtlError> {
    let above = moves.iter().filter(|moved| moved.share * 100.0 > f64::from(max_percent));
    let most = above.max_by(|one, other| one.share.total_cmp(&other.share));
    most.map_or(Ok(()), |most| {
        let (pool, share) = (most.pool.clone(), render::share(most.share));
        let because = |service: &String| format!(", since service {service} leaves it");
        let since = most.service.as_ref().map_or_else(String::new, because);
        Err(CtlError::MovesTooMuch { pool, since, share, max_percent })
    })
}

/// Ends well when the plan may be carried out.
fn agree(
    context: &Context<'_>,
    apply: &ApplyOptions,
    plan: &ConfigDiff,
    generation: u64,
) -> Result<(), CtlError> {
    let changes = &plan.changes;
    if apply.yes || changes.is_empty() {
        return Ok(());
    }
    let removals = changes.iter().filter(|change| change.kind == ChangeKind::Remove).count();
    if !can_ask() {
        return if removals == 0 { Ok(()) } else { Err(CtlError::NeedsYes { removals }) };
    }
    if !context.options.format.is_text() {
        // The plan goes where the question goes: stdout is for the one document of the result.
        say(&plan_text(plan, generation, Palette::new(false)));
    }
    if ask("Apply this plan?")? { Ok(()) } else { Err(CtlError::Declined) }
}

pub(super) fn read(source: &Source) -> Result<ConfigFile, CtlError> {
    let (origin, text) = match source {
        Source::Stdin => ("<stdin>".to_owned(), read_stdin()),
        Source::File(path) => (path.display().to_string(), std::fs::read_to_string(path)),
    };
    match text {
        Ok(text) => Ok(ConfigFile { origin, text }),
        Err(source) => Err(CtlError::Read { origin, source }),
    }
}
