//! Probes: one question to one backend, within its time.
//!
//! They are asked on a thread of their own ([`Prober`]): while the agent's loop builds a table or waits
//! for the kernel, answers are still taken when they come.

mod dial;
mod dns;
mod exec;
mod grpc;
mod http;
mod icmp;
mod named;
mod report;
mod steps;
mod tls;
mod tunnel;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lb_common::config::{GrpcCheck, HealthKind, HttpCheck};
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::core::health::{Outcome, Probe, ProbeId};
use crate::io::clock;
use crate::io::tunnel::ProbeCounts;
use dial::dial;
use dns::DnsFailure;
use exec::ExecFailure;
use grpc::GrpcFailure;
use http::HttpFailure;
use icmp::IcmpFailure;
use steps::Steps;
use tls::{HTTP_1, HTTP_2, TlsClients, TlsFailure};
use tunnel::{Watch, told};

pub use named::ThisHost;
pub use steps::Step;
pub use tls::days_left;

/// What a server's log shows of us.
const AGENT: &str = concat!("lb-agent/", env!("CARGO_PKG_VERSION"));

/// Probes that are under way at once; those above it wait for their turn. A thousand that hang leave
/// most of the descriptors a process usually may have, and of the local ports nearly all.
const PROBES_MAX: usize = 1024;

/// Of an answer, no more is read.
const BODY_MAX_BYTES: usize = 64 << 10;

/// What this host can run out of; it says nothing about a backend.
const OUT_OF_RESOURCES: [Errno; 6] = [
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOBUFS,
    Errno::ENOMEM,
    Errno::EADDRNOTAVAIL,
    // No more processes.
    Errno::EAGAIN,
];

/// Raises the limit of open files as far as it may go: each check that waits has one.
pub fn raise_open_files() {
    // As it was, checks that cannot be made say so.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// What a probe came to, if it could be asked.
pub type Finished = (ProbeId, Result<Outcome, NotAsked>);

/// Why nobody was asked: it says nothing about a backend.
#[derive(Debug, Error)]
pub enum NotAsked {
    /// This host has run out of something.
    #[error("this host has no means to ask: {0}")]
    NoMeans(io::Error),
    /// The kernel would send it past lb-probe.
    #[error("not sent: {0}")]
    NoWay(String),
    /// There is nothing that would wrap it.
    #[error("not sent: lb-probe is not loaded, so nothing would wrap it")]
    NotLoaded,
    /// Whatever was asked, it was not the backend.
    #[error("no packet of it came by lb-probe, so the backend was not asked ({came_to})")]
    NotWrapped {
        /// What came of it.
        came_to: String,
    },
    /// The probe panicked.
    #[error("the probe came to nothing")]
    Lost,
}

/// The thread that asks. It ends when this is dropped.
#[derive(Debug)]
pub struct Prober {
    asked: mpsc::UnboundedSender<Question>,
}

/// What the thread is asked.
#[derive(Debug)]
enum Question {
    /// A probe that is due.
    Due(Errand),
    /// One that somebody wants to see step by step; it waits for no turn.
    Trial(Errand, oneshot::Sender<Trial>),
}

/// A probe, and what it takes to ask it.
#[derive(Debug)]
pub struct Errand {
    /// What to ask.
    pub probe: Probe,
    /// What lb-probe counts, if it is loaded.
    pub counts: Option<Arc<ProbeCounts>>,
}

/// What a probe came to, if it could be asked, and how.
pub type Trial = (Result<Outcome, NotAsked>, Vec<Step>);

impl Prober {
    /// Starts it; answers come out of the receiver.
    ///
    /// # Errors
    /// There can be no thread, or no event loop for it.
    pub fn start() -> io::Result<(Self, mpsc::UnboundedReceiver<Finished>)> {
        let (asked, questions) = mpsc::unbounded_channel();
        let (answers, finished) = mpsc::unbounded_channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let ask = move || runtime.block_on(ask_all(questions, answers, PROBES_MAX));
        thread::Builder::new().name("probes".to_owned()).spawn(ask)?;
        Ok((Self { asked }, finished))
    }

    /// Asks. The answer comes when it comes, or when the probe's time is over.
    pub fn ask(&self, errand: Errand) {
        // Its thread ends with this, not before.
        let _ = self.asked.send(Question::Due(errand));
    }

    /// Asks once, beside all that is due, and tells each step.
    pub fn explain(&self, errand: Errand) -> oneshot::Receiver<Trial> {
        let (answer, answered) = oneshot::channel();
        let _ = self.asked.send(Question::Trial(errand, answer));
        answered
    }
}

/// Asks each question, in their order, with at most `room` under way.
async fn ask_all(
    mut questions: mpsc::UnboundedReceiver<Question>,
    answers: mpsc::UnboundedSender<Finished>,
    room: usize,
) {
    let asker = Arc::new(Asker::default());
    let places = Arc::new(Semaphore::new(room));
    while let Some(question) = questions.recv().await {
        let question = match question {
            Question::Due(errand) => errand,
            Question::Trial(errand, answer) => {
                let asker = Arc::clone(&asker);
                // Whoever has gone meanwhile needs no answer.
                tokio::spawn(async move { answer.send(asker.explain(&errand).await) });
                continue;
            }
        };
        let (answers, asker) = (answers.clone(), Arc::clone(&asker));
        let places = Arc::clone(&places);
        tokio::spawn(async move {
            // It is never closed, and gives places in the order in which they were asked for.
            let Ok(place) = places.acquire().await else { return };
            let id = question.probe.id;
            // One that panics has come to nothing, and is due again.
            let outcome = tokio::spawn(async move { asker.probe(&question).await }).await;
            drop(place);
            // The loop has ended, and nobody wants to know.
            let _ = answers.send((id, outcome.unwrap_or(Err(NotAsked::Lost))));
        });
    }
}

/// Why a backend did not do what was asked.
#[derive(Debug, Error)]
enum Failure {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsFailure),
    #[error(transparent)]
    Http(#[from] HttpFailure),
    #[error(transparent)]
    Dns(#[from] DnsFailure),
    #[error(transparent)]
    Icmp(#[from] IcmpFailure),
    #[error(transparent)]
    Exec(#[from] ExecFailure),
    #[error(transparent)]
    Grpc(#[from] GrpcFailure),
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
}

impl Failure {
    /// What this host lacked, if it was not the backend that failed.
    fn ours(self) -> Result<io::Error, Self> {
        match self {
            // Without a socket for it, nobody was asked.
            Self::Icmp(IcmpFailure::Socket(error)) => Ok(error),
            Self::Connect(error)
            | Self::Dns(DnsFailure::Socket(error))
            | Self::Exec(ExecFailure::Start { source: error, .. } | ExecFailure::Wait(error))
                if is_ours(&error) =>
            {
                Ok(error)
            }
            failure => Err(failure),
        }
    }
}

/// Asks, with what probes share.
#[derive(Debug, Default)]
pub struct Asker {
    tls: TlsClients,
}

impl Asker {
    /// Asks, and says what came of it, if the backend could be asked. The time is that of everything
    /// together, so an answer that comes drop by drop is none.
    ///
    /// # Errors
    /// Why it could not.
    pub async fn probe(&self, errand: &Errand) -> Result<Outcome, NotAsked> {
        self.run(errand, &mut Steps::unseen()).await
    }

    /// Asks like [`Self::probe`], and tells each step.
    pub async fn explain(&self, errand: &Errand) -> Trial {
        let mut steps = Steps::kept();
        let outcome = self.run(errand, &mut steps).await;
        let detail = match &outcome {
            Ok(outcome) => outcome.detail.clone(),
            Err(not_asked) => not_asked.to_string(),
        };
        (outcome, steps.end(&detail))
    }

    async fn run(&self, errand: &Errand, steps: &mut Steps) -> Result<Outcome, NotAsked> {
        let Errand { probe, counts } = errand;
        let (start, start_ns) = (Instant::now(), clock::precise_ns());
        let limit = probe.check.timeout;
        let watch = Watch::begin(probe, counts.as_deref(), steps)?;
        let asked = timeout(limit, self.ask(probe, steps)).await;
        let result = asked.unwrap_or(Err(Failure::TimedOut(limit)));
        let took_ns = clock::precise_ns().saturating_sub(start_ns);
        let result = match result.map_err(Failure::ours) {
            Err(Ok(lacking)) => return Err(NotAsked::NoMeans(lacking)),
            Err(Err(failure)) => Err(failure),
            Ok(detail) => Ok(detail),
        };
        let (passed, detail) = match watch {
            Some(watch) => watch.judge(result, steps)?,
            None => told(result),
        };
        let certificate_end_s = steps.certificate_end_s;
        let outcome = Outcome { passed, detail, took_ns, certificate_end_s, report: None };
        Ok(with_report(outcome, probe, start + limit, steps).await)
    }

    async fn ask(&self, probe: &Probe, steps: &mut Steps) -> Result<String, Failure> {
        match &probe.check.kind {
            HealthKind::Tcp => {
                dial(probe, steps).await?;
                Ok("connected".to_owned())
            }
            HealthKind::Exec(check) => Ok(exec::ask(probe, check, steps).await?),
            HealthKind::Icmp => Ok(icmp::ask(probe.address.ip(), steps).await?),
            HealthKind::Dns(check) => {
                Ok(dns::ask((probe.address, tunnel::mark(probe)), check, steps).await?)
            }
            HealthKind::Http(check) => self.ask_http(probe, check, steps).await,
            HealthKind::Grpc(check) => self.ask_grpc(probe, check, steps).await,
        }
    }

    async fn ask_http(
        &self,
        probe: &Probe,
        check: &HttpCheck,
        steps: &mut Steps,
    ) -> Result<String, Failure> {
        let stream = dial(probe, steps).await?;
        let Some(tls) = &check.tls else {
            return Ok(http::ask(stream, probe, check, steps).await?);
        };
        let stream = self.tls.connect(stream, (tls, HTTP_1), probe.address.ip(), steps).await?;
        let answer = http::ask(stream, probe, check, steps).await?;
        Ok(tls::with_days_left(answer, steps.certificate_end_s))
    }

    async fn ask_grpc(
        &self,
        probe: &Probe,
        check: &GrpcCheck,
        steps: &mut Steps,
    ) -> Result<String, Failure> {
        let address = probe.address;
        let stream = dial(probe, steps).await?;
        let Some(tls) = &check.tls else {
            return Ok(grpc::ask(stream, address, check, steps).await?);
        };
        let stream = self.tls.connect(stream, (tls, HTTP_2), address.ip(), steps).await?;
        let answer = grpc::ask(stream, address, check, steps).await?;
        Ok(tls::with_days_left(answer, steps.certificate_end_s))
    }
}

fn is_ours(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| OUT_OF_RESOURCES.contains(&errno))
}

/// What a probe that has passed comes to when its server has reported, if it is to.
async fn with_report(outcome: Outcome, probe: &Probe, end: Instant, steps: &mut Steps) -> Outcome {
    let Some(port) = probe.report_port.filter(|_| outcome.passed) else { return outcome };
    let backend = probe.tunnel.map_or(probe.address.ip(), |tunnel| tunnel.backend);
    let detail = &outcome.detail;
    let asked = timeout_at(end, report::ask(SocketAddr::new(backend, port), steps)).await;
    match asked {
        Ok(Ok(report)) if report.is_down => {
            let detail = "the server reports that it is down".to_owned();
            Outcome { passed: false, detail, report: Some(report), ..outcome }
        }
        Ok(Ok(report)) => Outcome { report: Some(report), ..outcome },
        Ok(Err(failure)) => {
            Outcome { detail: format!("{detail}; no report: {failure}"), ..outcome }
        }
        Err(_) => {
            Outcome { detail: format!("{detail}; no report within the check's time"), ..outcome }
        }
    }
}

#[cfg(test)]
mod tests;
