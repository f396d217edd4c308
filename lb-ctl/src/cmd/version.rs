//! `version`: this program's and the agent's. An agent that does not answer is no failure here.

use lb_common::api::{Item, Status};

use super::{Context, is_out_of_reach};
use crate::client::Document;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render::{self, LocalItem, Versions};

pub(super) fn run(context: &Context<'_>) -> Result<Exit, CtlError> {
    let mut versions = Versions {
        client_version: env!("CARGO_PKG_VERSION"),
        agent_version: None,
        layout_version: None,
    };
    let answer: Result<Document<Item<Status>>, _> = context.client.fetch("/v1/status");
    match answer {
        Ok(status) => {
            let status = status.typed.item;
            if status.agent_version != versions.client_version {
                context.console.note("note: lb-ctl and the agent are of different versions");
            }
            versions.agent_version = Some(status.agent_version);
            versions.layout_version = Some(status.layout_version);
        }
        Err(error) if is_out_of_reach(&error) => {
            context.console.note(&format!("note: {error}"));
        }
        Err(error) => return Err(error.into()),
    }
    context.print(&render::local(LocalItem::new("Version", versions))?)
}
