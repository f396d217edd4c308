//! lb-probe in the kernel: wraps the health checks that go through the tunnel.
//!
//! The program reads the balancer's own backends, through the pinned map. It is attached as a filter
//! of the clsact qdisc, which kernels before 6.6 have as well: such a filter cannot be pinned, and stays
//! when the agent goes. That does no harm, since only packets with the agent's mark concern it; and the
//! next agent finds it, by its place, and replaces it between two packets. The qdisc itself is left
//! alone: it costs nothing while it is empty, and others may count on it.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use aya::programs::tc::{
    NlOptions, SchedClassifierLink, SchedClassifierLinkId, TcAttachOptions, TcError, TcHandle,
    qdisc_add_clsact, qdisc_detach_program,
};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use lb_common::abi::{BackendIndex, ProbeCount, ProbeMark, global, map};
use lb_common::config::Limits;
use lb_common::verdict::Reason;
use thiserror::Error;
use zerocopy::IntoBytes as _;

use super::bpf::retried;
use super::maps::shapes;
use super::pins::{PinError, Pins};
use super::sys::MappedWords;
use crate::core::settings::Settings;

/// The object file that lb-ebpf was built to.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-probe"));
/// Name of the program in it, and of its filters.
pub const PROGRAM: &str = "lb_probe";
/// Place of its filter among those of an interface: the upper half of the mark, "LB".
pub const PRIORITY: u16 = (ProbeMark::BASE >> 16) as u16;
/// Number of the filter in that place.
pub const HANDLE: u32 = 1;
/// Room for the output of a test-run: a jumbo frame and the largest outer header.
const TEST_RUN_BYTES: usize = 16 * 1024;
/// `__sk_buff` begins with length, packet type and mark.
const SKB_BYTES: usize = 192;
/// Where the mark is in it.
const SKB_MARK_AT: usize = 8;
/// Where the index of the interface is in it.
const SKB_IFINDEX_AT: usize = 40;

/// Why probes cannot go through the tunnel.
#[derive(Debug, Error)]
pub enum TunnelError {
    /// The balancer's maps are not where they should be.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// The kernel refused the object or its maps.
    #[error("cannot load lb-probe")]
    Object(#[source] Box<EbpfError>),
    /// The kernel refused the program, or the filter.
    #[error("cannot {operation} lb-probe")]
    Program {
        /// What was to be done.
        operation: &'static str,
        /// Why not.
        #[source]
        source: Box<ProgramError>,
    },
    /// The counts cannot be mapped.
    #[error("cannot map the counts of lb-probe")]
    Counts(#[source] io::Error),
}

impl TunnelError {
    /// What the operator can do.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Pins(error) => error.cure(),
            Self::Object(_) | Self::Program { .. } | Self::Counts(_) => {
                "health checks with `via: tunnel` need a kernel with CONFIG_NET_CLS_BPF and CONFIG_NET_SCH_INGRESS (modules cls_bpf and sch_ingress); without, use `via: direct`"
            }
        }
    }
}

/// What the program is loaded with.
#[derive(Clone, Copy, Debug)]
pub struct TunnelOptions<'a> {
    /// Where the balancer's maps are pinned; in tests of the program alone, nowhere.
    pub pins: Option<&'a Pins>,
    /// Sizes of the maps.
    pub limits: Limits,
    /// The cluster's hash seed.
    pub hash_seed: [u64; 2],
    /// What outer headers are made with, and what the balancer may do with them.
    pub settings: Settings,
}

/// The loaded program. Its filters stay when this is dropped.
#[derive(Debug)]
pub struct TunnelProgram {
    ebpf: Ebpf,
    counts: Arc<ProbeCounts>,
}

impl TunnelProgram {
    /// Loads the program onto the pinned backends.
    ///
    /// # Errors
    /// The balancer's maps are not pinned, or the kernel refuses.
    pub fn load(options: &TunnelOptions<'_>) -> Result<Self, TunnelError> {
        let shapes = shapes(&options.limits);
        if let Some(pins) = options.pins {
            // What is not there would be made anew, and have no backends.
            pins.require(&shapes)?;
        }
        let settings = &options.settings;
        let mut loader = EbpfLoader::new();
        // Not DISABLE, which would hide why the kernel refuses: see `io::bpf`.
        loader.verifier_log_level(VerifierLogLevel::STATS);
        loader.override_global(global::HASH_SEED, &options.hash_seed, true);
        loader.override_global(global::FEATURES, &settings.features.0, true);
        let gue_port = u32::from(settings.gue_port);
        loader.override_global(global::GUE_PORT, &gue_port, true);
        loader.override_global(global::SOURCE_SPREAD_V4, &settings.source_spread_v4, true);
        loader.override_global(global::SOURCE_SPREAD_V6, &settings.source_spread_v6, true);
        let mut places = 0;
        for shape in shapes.iter().filter(|shape| shape.name == map::BACKENDS) {
            places = shape.max_entries;
            loader.map_max_entries(shape.name, shape.max_entries);
            if let Some(pins) = options.pins {
                loader.map_pin_path(shape.name, pins.map(shape.name));
            }
        }
        loader.map_max_entries(map::PROBE_COUNTS, places);
        let mut ebpf =
            loader.load(OBJECT).map_err(|source| TunnelError::Object(Box::new(source)))?;
        classifier(&mut ebpf)
            .and_then(|program| retried(|| program.load()))
            .map_err(failed("load"))?;
        let counts = Arc::new(ProbeCounts::of(&mut ebpf, places)?);
        Ok(Self { ebpf, counts })
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<ProbeCounts> {
        Arc::clone(&self.counts)
    }

    /// Makes it the filter of an interface, in place of the one of an earlier agent if there is one.
    ///
    /// # Errors
    /// There is no such interface, or the kernel has no such filters.
    pub fn attach(&mut self, interface: &str) -> Result<(), TunnelError> {
        let program = classifier(&mut self.ebpf).map_err(failed("attach"))?;
        let (egress, handle) = (TcAttachType::Egress, TcHandle::from(HANDLE));
        let found = SchedClassifierLink::attached(interface, egress, PRIORITY, handle, None);
        let found = found.map_err(|source| failed("attach")(TcError::IoError(source).into()))?;
        if let Ok(link) = program.attach_to_link(found) {
            return leave(program, link);
        }
        // It may be there; if it cannot be, nor can the filter, and that says why.
        let _ = qdisc_add_clsact(interface);
        let place = NlOptions { priority: PRIORITY, handle, classid: None };
        let link = program
            .attach_with_options(interface, egress, TcAttachOptions::Netlink(place))
            .map_err(failed("attach"))?;
        leave(program, link)
    }

    /// Instructions the verifier walked, and bytes of the translated program.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn verified(&self) -> Result<(u32, u32), TunnelError> {
        let info = self.program().and_then(SchedClassifier::info).map_err(failed("look at"))?;
        let walked = info.verified_instruction_count().unwrap_or(0);
        Ok((walked, info.size_translated().unwrap_or(0)))
    }

    /// Runs the loaded program once on a frame with this mark that is about to leave by `ifindex`: what
    /// it returned, and the frame as it left it.
    ///
    /// # Errors
    /// The kernel refuses the frame or the interface.
    pub fn test_run(
        &self,
        frame: &[u8],
        mark: u32,
        ifindex: u32,
    ) -> Result<(u32, Vec<u8>), TunnelError> {
        let mut context = [0; SKB_BYTES];
        for (at, word) in [(SKB_MARK_AT, mark), (SKB_IFINDEX_AT, ifindex)] {
            if let Some(place) = context.get_mut(at..at + size_of::<u32>()) {
                place.copy_from_slice(word.as_bytes());
            }
        }
        let mut output = vec![0; TEST_RUN_BYTES];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result =
            self.program().and_then(|it| it.test_run(options)).map_err(failed("test-run"))?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    /// The object, for its maps in tests.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn program(&self) -> Result<&SchedClassifier, ProgramError> {
        self.ebpf.program(PROGRAM).ok_or(ProgramError::NotLoaded)?.try_into()
    }
}

fn classifier(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, ProgramError> {
    ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded)?.try_into()
}

/// Leaves a filter where it is: dropped, it would be taken off.
fn leave(program: &mut SchedClassifier, link: SchedClassifierLinkId) -> Result<(), TunnelError> {
    std::mem::forget(program.take_link(link).map_err(failed("attach"))?);
    Ok(())
}

fn failed(operation: &'static str) -> impl Fn(ProgramError) -> TunnelError {
    move |source| TunnelError::Program { operation, source: Box::new(source) }
}

/// Takes the filter off an interface, whoever put it there; whether there was one.
///
/// # Errors
/// There is no such interface, or the kernel refuses.
pub fn detach(interface: &str) -> Result<bool, TunnelError> {
    match qdisc_detach_program(interface, TcAttachType::Egress, PROGRAM) {
        Ok(()) => Ok(true),
        Err(TcError::IoError(error)) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed("detach")(error.into())),
    }
}

/// Takes the filters off every interface but these; names of those that had one.
///
/// # Errors
/// The last refusal, once all have been tried.
pub fn detach_others(wanted: &BTreeSet<String>) -> Result<Vec<String>, TunnelError> {
    let mut outcome = Ok(Vec::new());
    let interfaces = nix::net::if_::if_nameindex();
    let interfaces =
        interfaces.map_err(|errno| failed("detach")(TcError::IoError(errno.into()).into()))?;
    for interface in &interfaces {
        let name = interface.name().to_string_lossy();
        if wanted.contains(name.as_ref()) {
            continue;
        }
        match (detach(&name), &mut outcome) {
            (Ok(true), Ok(gone)) => gone.push(name.into_owned()),
            (Ok(_), _) => {}
            (Err(error), _) => outcome = Err(error),
        }
    }
    outcome
}

/// What became of the packets of probes, by backend: the program counts, this reads.
#[derive(Debug)]
pub struct ProbeCounts(MappedWords);

impl ProbeCounts {
    fn of(ebpf: &mut Ebpf, places: u32) -> Result<Self, TunnelError> {
        let map = ebpf.map(map::PROBE_COUNTS).and_then(|map| match map {
            aya::maps::Map::Array(data) => Some(data),
            _ => None,
        });
        let no_map = || TunnelError::Counts(io::Error::from(io::ErrorKind::NotFound));
        let words = usize::try_from(places).unwrap_or(usize::MAX).saturating_mul(ProbeCount::WORDS);
        let mapped = MappedWords::new(map.ok_or_else(no_map)?.fd(), words);
        mapped.map(Self).map_err(TunnelError::Counts)
    }

    /// What it has counted for a backend.
    pub fn of_backend(&self, backend: BackendIndex) -> ProbeCount {
        let first = usize::from(backend.value()) * ProbeCount::WORDS;
        let word = |number: usize| {
            let word = self.0.words().get(first + number);
            word.map_or(0, |word| word.load(Ordering::Relaxed))
        };
        ProbeCount { wrapped: word(0), refused: word(1), last_reason: word(2) }
    }
}

/// In words: what a reason for a refusal is called.
pub fn refusal(count: &ProbeCount) -> &'static str {
    let reason = usize::try_from(count.last_reason).ok().and_then(|it| Reason::ALL.get(it));
    reason.map_or("unknown", |reason| reason.name())
}

#[cfg(test)]
mod tests;
