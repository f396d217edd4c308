//! `backend weight`, and what a changed backend is reported as.

use hyper::Method;
use lb_common::api::{Backend, Item, WeightRequest};
use lb_common::config::Weight;

use super::Context;
use crate::args::{BackendRef, Format};
use crate::client::Document;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render;

pub(super) fn weight(
    context: &Context<'_>,
    backend: &BackendRef,
    weight: Option<Weight>,
) -> Result<Exit, CtlError> {
    let request = WeightRequest { weight: weight.map(|weight| u32::from(weight.value())) };
    let path = format!("/v1/backends/{backend}/weight");
    report(context, &context.client.send(&Method::PUT, &path, &request)?)
}

/// One line for people; the changed backend as a document in every other form.
pub(super) fn report(
    context: &Context<'_>,
    changed: &Document<Item<Backend>>,
) -> Result<Exit, CtlError> {
    if context.options.format != Format::Table {
        return context.print(changed);
    }
    let line = render::change_line(&changed.typed.item, context.console.palette);
    context.console.confirm(&line)?;
    Ok(Exit::Ok)
}
