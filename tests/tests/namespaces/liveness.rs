//! What a supervisor is told: when the agent is ready, that its loop is alive, and when it is not.

use std::cell::RefCell;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lb_tests::process::wait_until;
use lb_tests::topology::configuration::{WEIGHT, web};
use lb_tests::topology::{AgentFiles, Topology, on_topology};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

const LIMIT: Duration = Duration::from_secs(30);
/// The watchdog's time: fed twice in it.
const WATCHDOG_US: &str = "100000";

/// The supervisor's end of the socket.
struct Supervisor {
    socket: UnixDatagram,
    told: RefCell<Vec<String>>,
}

impl Supervisor {
    /// One, and the files of an agent that will tell it.
    fn start(topology: &Topology) -> Result<(Self, AgentFiles)> {
        let path = topology.dir().join("notify.sock");
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        let mut files = topology.agent_files("agent");
        files.environment = vec![
            ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
            ("WATCHDOG_USEC".to_owned(), WATCHDOG_US.to_owned()),
        ];
        files.write_configuration(&web([WEIGHT; 3]))?;
        Ok((Self { socket, told: RefCell::default() }, files))
    }

    /// Every line so far, in order.
    fn told(&self) -> Vec<String> {
        let mut buffer = [0; 4096];
        let mut told = self.told.borrow_mut();
        while let Ok(bytes) = self.socket.recv(&mut buffer) {
            let message = String::from_utf8_lossy(buffer.get(..bytes).unwrap_or_default());
            told.extend(message.lines().map(str::to_owned));
        }
        told.clone()
    }

    /// Waits until `line` has been told more often than `times`.
    fn wait_for(&self, line: &str, times: usize) -> Result<()> {
        let count = || self.told().iter().filter(|told| *told == line).count();
        wait_until(line, LIMIT, || Ok((count() > times).then_some(())))
            .with_context(|| format!("told: {:?}", self.told()))
    }
}

#[test]
fn a_supervisor_is_told_when_it_is_ready_that_it_lives_and_when_it_stops() -> Result<()> {
    on_topology("supervisor", |topology| {
        let (supervisor, files) = Supervisor::start(topology)?;
        let mut agent = topology.start_agent_with(files)?;
        supervisor.wait_for("READY=1", 0)?;
        supervisor.wait_for("WATCHDOG=1", 3)?;
        let generation = agent.generation()?;
        let status = format!("STATUS=generation {generation}");
        ensure!(supervisor.told().contains(&status), "{:?}", supervisor.told());
        agent.ctl(&["backend", "drain", "web/origin1"])?;
        let of_next =
            |told: &String| told.starts_with(&format!("STATUS=generation {}", generation + 1));
        wait_until("another status", LIMIT, || {
            Ok(supervisor.told().iter().any(of_next).then_some(()))
        })?;
        agent.stop()?;
        let told = supervisor.told();
        ensure!(told.last().is_some_and(|last| last == "STOPPING=1"), "{told:?}");
        Ok(())
    })
}

#[test]
fn a_loop_that_hangs_feeds_no_watchdog_and_is_seen_from_outside() -> Result<()> {
    on_topology("watchdog", |topology| {
        let (supervisor, files) = Supervisor::start(topology)?;
        let mut agent = topology.start_agent_with(files)?;
        supervisor.wait_for("WATCHDOG=1", 1)?;
        // A file that nobody writes to: the loop waits for its text for ever.
        let text = std::fs::read_to_string(&agent.files.configuration)?;
        std::fs::remove_file(&agent.files.configuration)?;
        mkfifo(&agent.files.configuration, Mode::S_IRWXU)?;
        agent.reload()?;
        supervisor.wait_for("RELOADING=1", 0)?;
        agent.files.ctl(&["status", "--timeout", "200ms"])?.with_code(8)?;
        // Events come without the loop, and so does the word that it hangs.
        agent.ctl(&["events"])?;
        wait_until("the word that the loop hangs", LIMIT, || {
            let answer = super::metrics::ask(&agent, "/v1/live")?;
            Ok(answer.starts_with("HTTP/1.1 503 ").then_some(()))
        })?;

        std::fs::write(&agent.files.configuration, text)?;
        supervisor.wait_for("READY=1", 1)?;
        let told = supervisor.told();
        let since = told.iter().skip_while(|told| *told != "RELOADING=1");
        let meanwhile: Vec<_> = since.take_while(|told| *told != "READY=1").collect();
        ensure!(!meanwhile.iter().any(|told| *told == "WATCHDOG=1"), "{meanwhile:?}");
        let fed = told.iter().filter(|told| *told == "WATCHDOG=1").count();
        supervisor.wait_for("WATCHDOG=1", fed)?;
        agent.ctl(&["status", "--timeout", "2s"])?;
        agent.stop()
    })
}
