//! From documents to text: tables as kubectl prints them, JSON, YAML, names.
//!
//! Everything here is a pure function of the document, the format and the palette. Each kind of
//! document implements [`View`] in a file of its own; [`document`] chooses the form. Callers are
//! the commands (`cmd`) and, for failures, `console`.

mod backend;
mod config;
mod doctor;
mod events;
mod health;
mod number;
mod service;
mod status;
mod table;
mod trace;

use lb_common::api::{API_VERSION, Problem, ProblemItem};
use serde::Serialize;

use crate::args::Format;
use crate::client::Document;
use crate::error::CtlError;

pub(crate) use backend::{change_line, drain_words};
pub(crate) use config::{CheckedConfig, plan_text};
pub(crate) use events::{event_header, event_line};
pub(crate) use number::share;
pub(crate) use status::Versions;
pub(crate) use table::{Palette, Tone};

/// A document that can be read as text and as names.
pub(crate) trait View {
    /// For people; `wide` tells more.
    fn text(&self, wide: bool, palette: Palette) -> String;

    /// `kind/name` of each thing in it, as other commands take it.
    fn names(&self) -> Vec<String>;
}

/// A document made by `lb-ctl` without an agent's word: it has no generation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct LocalItem<T> {
    /// Always `lb/v1`.
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    /// What it is.
    kind: &'static str,
    /// The thing.
    pub(crate) item: T,
}

impl<T> LocalItem<T> {
    /// A document of this kind.
    pub(crate) const fn new(kind: &'static str, item: T) -> Self {
        Self { api_version: API_VERSION, kind, item }
    }
}

/// Wraps a document made here, so that it prints as the agent's do.
///
/// # Errors
/// When the document cannot be turned into a tree.
pub(crate) fn local<T: Serialize>(typed: T) -> Result<Document<T>, CtlError> {
    let tree = serde_yaml::to_value(&typed).map_err(|source| CtlError::Yaml { source })?;
    Ok(Document { tree, typed })
}

/// The text of a document in the form asked for.
///
/// # Errors
/// When the document has no JSON or YAML form.
pub(crate) fn document<T: View>(
    document: &Document<T>,
    format: Format,
    palette: Palette,
) -> Result<String, CtlError> {
    match format {
        Format::Table => Ok(document.typed.text(false, palette)),
        Format::Wide => Ok(document.typed.text(true, palette)),
        Format::Json => {
            serde_json::to_string_pretty(&document.tree).map_err(|source| CtlError::Json { source })
        }
        Format::Yaml => {
            serde_yaml::to_string(&document.tree).map_err(|source| CtlError::Yaml { source })
        }
        Format::Name => Ok(document.typed.names().join("\n")),
    }
}

/// A failure as people read it: what, then why and what to do, indented.
pub(crate) fn problem_text(problem: &Problem, palette: Palette) -> String {
    let mut lines = vec![format!("{} {}", palette.paint(Tone::Bad, "error:"), problem.title)];
    let detail = problem.detail.as_deref().unwrap_or_default();
    lines.extend(detail.lines().map(|line| format!("  {line}")));
    lines.extend(problem.errors.iter().map(|error| format!("  {}", place(error))));
    if !problem.did_you_mean.is_empty() {
        lines.push(format!("  did you mean: {}?", problem.did_you_mean.join(", ")));
    }
    lines.join("\n")
}

/// A failure as programs read it.
pub(crate) fn problem_json(problem: &Problem) -> String {
    serde_json::to_string_pretty(problem).unwrap_or_else(|_never| problem.title.clone())
}

/// `edge.yaml:12:9: pools[0].name: is empty`
fn place(error: &ProblemItem) -> String {
    let numbers = [error.line, error.column].into_iter().flatten();
    let place = [error.file.clone()].into_iter().chain(numbers.map(|number| number.to_string()));
    let place = place.collect::<Vec<_>>().join(":");
    let path = (!error.path.is_empty()).then_some(error.path.as_str());
    let parts = [Some(place.as_str()), path, Some(error.message.as_str())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
