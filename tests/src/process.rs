//! Processes of a test: started, watched, ended, never left behind.
//!
//! A [`Process`] writes its output to files in the run's directory, so that a failing test can
//! say where to look, and is killed and reaped when dropped. [`run`] starts a command that is
//! expected to end, and gives back what it said. [`wait_until`] is how everything here waits:
//! for a condition, never for a fixed time.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Time between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time a process gets to end after it was killed.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A running process, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to `NAME.log` in `log_dir`, appended.
    ///
    /// The process dies with the thread that calls this if the command was made by
    /// [`crate::topology::Host::command`], so call it from a thread that lives long enough.
    ///
    /// # Errors
    /// When the log file cannot be opened or the program not started.
    pub fn spawn(mut command: Command, name: &str, log_dir: &Path) -> Result<Self> {
        let log = log_dir.join(format!("{name}.log"));
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("opening {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("sharing the log file")?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Exit status, if it has ended.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking whether {} has ended", self.name))
    }

    /// Fails, with the end of its log, if it has ended.
    ///
    /// # Errors
    /// When the process is no longer running.
    pub fn expect_running(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            bail!("{} ended ({status}); its log says:\n{}", self.name, tail(&self.output()));
        }
        Ok(())
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).context("process id")?);
        kill(pid, signal).with_context(|| format!("sending {signal} to {}", self.name))
    }

    /// Waits for it to end.
    ///
    /// # Errors
    /// When it is still running after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait_until(&what, limit, || self.ended())
    }

    /// Kills it outright (signal 9), as a crash would, and reaps it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kill_now(&mut self) -> Result<()> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.wait(KILL_LIMIT).map(drop)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has already been reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command that has ended said.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// Exit code; absent when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    /// Fails, with everything it said, unless it ended with code 0.
    ///
    /// # Errors
    /// When the code is another.
    pub fn success(self) -> Result<Self> {
        self.with_code(0)
    }

    /// Fails, with everything it said, unless it ended with `code`.
    ///
    /// # Errors
    /// When the code is another.
    pub fn with_code(self, code: i32) -> Result<Self> {
        if self.code != Some(code) {
            let ended = self.code.map_or("a signal".to_owned(), |code| format!("code {code}"));
            bail!(
                "expected exit code {code}, got {ended}: {}\nstdout:\n{}\nstderr:\n{}",
                self.command,
                tail(&self.stdout),
                tail(&self.stderr)
            );
        }
        Ok(self)
    }
}

/// Runs `command` to its end and gives back what it said.
///
/// # Errors
/// When it cannot be started or has not ended after `limit` (it is killed then).
pub fn run(command: Command, limit: Duration) -> Result<Finished> {
    run_with_input(command, "", limit)
}

/// Like [`run`], with `input` on standard input.
///
/// # Errors
/// As [`run`].
pub fn run_with_input(mut command: Command, input: &str, limit: Duration) -> Result<Finished> {
    // Files instead of pipes: nothing blocks, however much is said on either side.
    let mut stdin = tempfile::tempfile().context("a file for standard input")?;
    std::io::Write::write_all(&mut stdin, input.as_bytes()).context("writing standard input")?;
    stdin.rewind().context("rewinding standard input")?;
    let stdout = tempfile::tempfile().context("a file for standard output")?;
    let stderr = tempfile::tempfile().context("a file for standard error")?;
    let line = format!("{command:?}");
    let mut child = command
        .stdin(stdin)
        .stdout(stdout.try_clone().context("sharing a file")?)
        .stderr(stderr.try_clone().context("sharing a file")?)
        .spawn()
        .with_context(|| format!("starting {line}"))?;
    let ended = wait_until(&format!("the end of {line}"), limit, || Ok(child.try_wait()?));
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let finished = Finished {
        command: line,
        code: ended.as_ref().ok().and_then(ExitStatus::code),
        stdout: read_back(stdout)?,
        stderr: read_back(stderr)?,
    };
    ended.with_context(|| format!("it said:\n{}{}", finished.stdout, finished.stderr))?;
    Ok(finished)
}

/// Calls `probe` until it gives a value.
///
/// # Errors
/// When `probe` fails, or gives nothing for as long as `limit`; the message names `what`.
pub fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = now();
    loop {
        if let Some(value) = probe().with_context(|| format!("waiting for {what}"))? {
            return Ok(value);
        }
        if start.elapsed() >= limit {
            bail!("waited {:.1} s in vain for {what}", limit.as_secs_f64());
        }
        thread::park_timeout(POLL_INTERVAL);
    }
}

/// The time. The one place of this crate that reads a clock.
#[expect(clippy::disallowed_methods, reason = "tests drive real processes in real time")]
pub fn now() -> Instant {
    Instant::now()
}

/// The last lines of a log: what fits on a screen.
pub fn tail(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

fn read_back(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().context("rewinding the output")?;
    file.read_to_end(&mut bytes).context("reading the output back")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
