//! The command of a health check.

use std::collections::BTreeMap;
use std::format;
use std::string::String;
use std::vec::Vec;

use super::text::{file_path, limited, some_or_wrong};
use super::values;
use crate::config::desired::{ExecCheck, ExecUser};
use crate::config::error::Findings;
use crate::config::file::{HealthFile, limit};
use crate::config::host::Host;
use crate::config::position::Path;

/// What the names of the agent's own begin with.
const RESERVED: &str = "LB_";

/// The fields `command`, `environment` and `user`. `path` is the check's.
pub(super) fn exec(
    host: &dyn Host,
    file: &HealthFile,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<ExecCheck> {
    let command = path.field("command");
    if file.command.is_none() {
        findings.add(&command, "a check of type exec needs a command");
    }
    let command = file.command.as_deref().and_then(|words| words_of(words, &command, findings));
    let environment = file.environment.clone().unwrap_or_default();
    let environment = variables(environment, &path.field("environment"), findings);
    let name = file.user.as_deref();
    let user = name.map(|name| user(host, name, &path.field("user"), findings));
    Some(ExecCheck { command: command?, environment: environment?, user: some_or_wrong(user)? })
}

fn words_of(words: &[String], path: &Path<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    if !limit::COMMAND_WORDS.contains(&words.len()) {
        findings.add(path, format!("must be {} words", values::span(&limit::COMMAND_WORDS)));
        return None;
    }
    let program = words.first().and_then(|word| file_path(word, &path.item(0), findings));
    let mut is_whole = program.is_some();
    for (index, word) in words.iter().enumerate().skip(1) {
        is_whole &= has_no_zero(word, &path.item(index), findings);
    }
    is_whole.then(|| words.to_vec())
}

fn variables(
    variables: BTreeMap<String, String>,
    path: &Path<'_>,
    findings: &mut Findings,
) -> Option<BTreeMap<String, String>> {
    let mut is_whole = true;
    for (name, value) in &variables {
        let path = path.field(name);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.bytes().all(is_letter) || name.bytes().next().is_none_or(|it| it.is_ascii_digit())
        {
            findings.add(&path, "the name must be letters, digits and underscores");
            is_whole = false;
        } else if name.starts_with(RESERVED) {
            findings.add(&path, "names that begin with LB_ are the agent's");
            is_whole = false;
        }
        is_whole &= has_no_zero(value, &path, findings);
    }
    is_whole.then_some(variables)
}

/// The kernel ends each word and variable at a zero byte.
fn has_no_zero(text: &str, path: &Path<'_>, findings: &mut Findings) -> bool {
    let has_zero = text.contains('\0');
    if has_zero {
        findings.add(path, "must not have a zero byte");
    }
    !has_zero
}

fn user(host: &dyn Host, name: &str, path: &Path<'_>, findings: &mut Findings) -> Option<ExecUser> {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let what = "of printable ASCII without blanks";
    let name = limited(name, &limit::USER_BYTES, (visible, what), path, findings)?;
    match host.user(&name) {
        Ok((uid, gid)) => Some(ExecUser { name, uid, gid }),
        Err(wrong) => {
            findings.add(path, wrong);
            None
        }
    }
}
