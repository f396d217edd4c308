//! `completion`: the script a shell sources to complete `lb-ctl`.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::console::print;
use crate::error::CtlError;
use crate::exit::Exit;

pub(super) fn run(shell: Shell) -> Result<Exit, CtlError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lb-ctl", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}
