//! `doctor`: the agent's findings, or why there is no agent to ask.
//!
//! Without an agent it looks at the socket itself and still gives a list of findings, in the
//! agent's shape, so that a script need not care who wrote it.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use lb_common::api::{API_VERSION, Finding, List, Severity};

use super::{Context, is_out_of_reach};
use crate::client::{ClientError, Document};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::render;

pub(super) fn run(context: &Context<'_>) -> Result<Exit, CtlError> {
    let answer: Result<Document<List<Finding>>, _> = context.client.fetch("/v1/doctor");
    match answer {
        Ok(findings) => {
            context.print(&findings)?;
            let worst = findings.typed.items.iter().map(|finding| finding.severity).max();
            Ok(if worst == Some(Severity::Error) { Exit::Failed } else { Exit::Ok })
        }
        Err(error) if is_out_of_reach(&error) => {
            let findings = List {
                api_version: API_VERSION.to_owned(),
                kind: "FindingList".to_owned(),
                generation: 0,
                items: vec![socket(context.client.socket()), agent(&error)],
            };
            context.print(&render::local(findings)?)?;
            Ok(CtlError::Client(error).exit())
        }
        Err(error) => Err(error.into()),
    }
}

/// What can be seen of the socket.
fn socket(path: &Path) -> Finding {
    let shown = path.display();
    let (severity, message, cure) = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            let mode = metadata.mode() & 0o7777;
            let (user, group) = (metadata.uid(), metadata.gid());
            let message = format!("{shown}: a socket, uid {user}, gid {group}, mode {mode:04o}");
            (Severity::Ok, message, "")
        }
        Ok(_other) => {
            let cure = "name the agent's socket with -s or LB_CTL_SOCKET";
            (Severity::Error, format!("{shown}: not a socket"), cure)
        }
        Err(error) => (Severity::Error, format!("{shown}: {error}"), ""),
    };
    Finding { check: "socket".to_owned(), severity, message, cure: cure.to_owned() }
}

/// Why the agent does not answer.
fn agent(error: &ClientError) -> Finding {
    let cause = error.cause().map(|cause| format!(": {cause}")).unwrap_or_default();
    Finding {
        check: "agent".to_owned(),
        severity: Severity::Error,
        message: format!("{error}{cause}"),
        cure: error.cure().unwrap_or_default().to_owned(),
    }
}
