//! `health check`: its exit status is the check's verdict.

use lb_common::api::{HealthTrial, Item};

use super::Context;
use crate::args::BackendRef;
use crate::client::Document;
use crate::error::CtlError;
use crate::exit::Exit;

/// Has the agent check a backend now, and prints how it went.
pub(super) fn check(context: &Context<'_>, backend: &BackendRef) -> Result<Exit, CtlError> {
    let path = format!("/v1/health/{backend}/check");
    let trial: Document<Item<HealthTrial>> = context.client.post(&path)?;
    context.print(&trial)?;
    Ok(if trial.typed.item.passed == Some(true) { Exit::Ok } else { Exit::Failed })
}
