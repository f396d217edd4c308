//! The terminal: data to stdout, everything else to stderr.
//!
//! All printing of the program goes through here, so that quiet, verbose and colour are decided
//! once. A reader that went away (`lb-ctl status | head -1`) is no failure.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use lb_common::api::Problem;

use crate::args::{Color, Options};
use crate::error::CtlError;
use crate::render::{Palette, problem_text};

/// Where output goes and how it looks.
pub(crate) struct Console {
    /// Colours of stdout.
    pub(crate) palette: Palette,
    error_palette: Palette,
    quiet: bool,
}

impl Console {
    /// The console for these options.
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            palette: palette(options.color, io::stdout().is_terminal()),
            error_palette: palette(options.color, io::stderr().is_terminal()),
            quiet: options.quiet,
        }
    }

    /// Prints what was done, unless told to be quiet.
    ///
    /// # Errors
    /// As [`print`].
    pub(crate) fn confirm(&self, text: &str) -> Result<(), CtlError> {
        if self.quiet { Ok(()) } else { print(text) }
    }

    /// Tells the operator something that is not data, unless told to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Prints a failure for people.
    pub(crate) fn fail(&self, problem: &Problem) {
        say(&problem_text(problem, self.error_palette));
    }
}

/// Prints data, ended by a newline.
///
/// # Errors
/// When stdout takes no more, unless its reader went away.
pub(crate) fn print(text: &str) -> Result<(), CtlError> {
    if text.is_empty() {
        return Ok(());
    }
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    let mut stdout = io::stdout().lock();
    match write!(stdout, "{text}{newline}").and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(CtlError::Console { source })
        }
        _ => Ok(()),
    }
}

/// As [`print`], at once; false when the reader has gone away, and it is no use to go on.
///
/// # Errors
/// When stdout takes no more for another reason.
pub(crate) fn print_line(text: &str) -> Result<bool, CtlError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(source) if source.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(source) => Err(CtlError::Console { source }),
    }
}

/// Whether a question can be put to somebody.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question to which no answer means no.
///
/// # Errors
/// When stdin cannot be read.
pub(crate) fn ask(question: &str) -> Result<bool, CtlError> {
    let mut stderr = io::stderr().lock();
    let mut answer = String::new();
    write!(stderr, "{question} (y/N) ")
        .and_then(|()| stderr.flush())
        .and_then(|()| io::stdin().lock().read_line(&mut answer))
        .map_err(|source| CtlError::Console { source })?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Writes a line to stderr. If that fails there is nowhere left to say so.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

/// Reads stdin to its end.
///
/// # Errors
/// When it cannot be read, or is not UTF-8.
pub(crate) fn read_stdin() -> io::Result<String> {
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

fn palette(color: Color, is_terminal: bool) -> Palette {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let on = match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && !set("NO_COLOR") && !dumb,
    };
    Palette::new(on)
}
