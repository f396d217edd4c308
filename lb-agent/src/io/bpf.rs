//! The balancer program in the kernel: load, adopt, attach, replace, test-run, detach.
//!
//! Maps and links are pinned, so they outlive this process. A new agent finds them, replaces the
//! program of each link atomically and goes on with the same maps. Attachments are `bpf_link`s only:
//! the netlink way cannot be pinned and would be left behind by a crash.

mod attach;

use std::io;
use std::path::PathBuf;

use aya::maps::{MapData, ProgramArray};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use lb_common::abi::{global, map};
use lb_common::config::Limits;
use lb_common::verdict::Verdict;
use thiserror::Error;
use zerocopy::{Immutable, IntoBytes};

use super::maps::{Maps, MapsError, fragment_buckets, kernel, pin_buckets, shapes, typed};
use super::pins::{PinError, Pins};
use crate::core::settings::Settings;

pub use attach::{Attachment, Attachments, Before, Tended};

/// The object file that lb-ebpf was built to.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-balancer"));
/// Names of the programs in it: the one that is attached, and the one that it calls for packets it
/// does not know.
const PROGRAM: &str = "balancer";
const UNUSUAL: &str = "unusual";
/// How often an interrupted load is tried. libbpf tries 5 times; a busy machine was seen to need 4.
const LOAD_ATTEMPTS: u32 = 10;
/// Room for the output of a test-run: a jumbo frame and the largest outer header.
const TEST_RUN_BYTES: usize = 16 * 1024;

/// Why the program does not run as asked.
#[derive(Debug, Error)]
pub enum BpfError {
    /// The pin directory.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// The maps.
    #[error(transparent)]
    Maps(#[from] MapsError),
    /// The kernel refused the object or its maps.
    #[error("cannot load the object file")]
    Object(#[source] Box<EbpfError>),
    /// The kernel refused the program.
    #[error("cannot load the program")]
    Program(#[source] Box<ProgramError>),
    /// Somebody else's program is on the interface.
    #[error("interface {interface} already has an XDP program that is not this agent's")]
    Occupied {
        /// The interface.
        interface: String,
    },
    /// The driver cannot run XDP programs.
    #[error("the driver of {interface} cannot run XDP programs")]
    NotNative {
        /// The interface.
        interface: String,
        /// What the kernel answered.
        #[source]
        source: io::Error,
    },
    /// The program could not be attached.
    #[error("cannot attach to {interface}")]
    Attach {
        /// The interface.
        interface: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A link could not be pinned, opened or removed.
    #[error("cannot {operation} the link {path}", path = .path.display())]
    Link {
        /// What was to be done.
        operation: &'static str,
        /// Its pin.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The object file is not what this agent was built with.
    #[error("the object file has no program {name}")]
    NoProgram {
        /// Its name.
        name: &'static str,
    },
    /// A test-run failed.
    #[error("the kernel refused the test-run")]
    TestRun(#[source] Box<ProgramError>),
}

impl BpfError {
    /// What the operator can do.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::Pins(error) => error.cure(),
            Self::Occupied { .. } => {
                "see whose it is with `bpftool net` and `bpftool link`, and stop its owner; `ip link set dev NAME xdp off` removes only what is not a link"
            }
            Self::NotNative { .. } => {
                "set the interface's mode to auto or generic (slower), or use a NIC whose driver supports XDP"
            }
            Self::Object(_) | Self::Program(_) | Self::NoProgram { .. } => {
                "needs Linux 5.15 or later (6.0 on ARM) with BTF and the BPF JIT on: `sysctl -w net.core.bpf_jit_enable=1`; on such a kernel, report the cause above"
            }
            Self::Attach { .. } => {
                "check that the interface is up and its MTU at most what its driver allows with XDP"
            }
            Self::Maps(_) | Self::Link { .. } | Self::TestRun(_) => "see the cause above",
        }
    }
}

/// How to load the program.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions<'a> {
    /// Where to pin; nowhere in tests of the program alone.
    pub pins: Option<&'a Pins>,
    /// Sizes of the maps.
    pub limits: Limits,
    /// The cluster's hash seed.
    pub hash_seed: [u64; 2],
    /// What the configuration asks of the program itself.
    pub settings: Settings,
    /// Level of the data plane's own log, 0 (none) to 5 (trace).
    pub log_level: u8,
}

/// The loaded program and its maps.
pub struct Datapath {
    ebpf: Ebpf,
    unusual: ProgramArray<MapData>,
    /// The maps, to read and write.
    pub maps: Maps,
    /// Whether pinned maps were there before.
    pub adopted: bool,
}

/// What a test-run gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestRunOutcome {
    /// The verdict; `None` if the program returned something else.
    pub verdict: Option<Verdict>,
    /// The frame as the program left it.
    pub frame: Vec<u8>,
}

/// The start of `struct xdp_md`, as a test-run takes it.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct XdpMd {
    data: u32,
    data_end: u32,
    data_meta: u32,
    ingress_ifindex: u32,
    rx_queue_index: u32,
    egress_ifindex: u32,
}

impl Datapath {
    /// Loads the program onto new maps, or onto the pinned ones if there are any.
    ///
    /// # Errors
    /// Pinned maps of another shape (nothing is changed then), or whatever the kernel refuses.
    pub fn load(options: &LoadOptions<'_>) -> Result<Self, BpfError> {
        let shapes = shapes(&options.limits);
        let adopted = options.pins.map_or(Ok(false), |pins| pins.check(&shapes))?;
        let mut loader = EbpfLoader::new();
        // The kernel's reason for a refusal, without a trace. Not DISABLE: aya loads a refused
        // program again with a buffer for the log, and a buffer without a level is EINVAL.
        loader.verifier_log_level(VerifierLogLevel::STATS);
        loader.override_global(global::HASH_SEED, &options.hash_seed, true);
        let pin_buckets = pin_buckets(&options.limits);
        loader.override_global(global::PIN_BUCKETS, &pin_buckets, true);
        let fragment_buckets = fragment_buckets(&options.limits);
        loader.override_global(global::FRAGMENT_BUCKETS, &fragment_buckets, true);
        let settings = &options.settings;
        loader.override_global(global::FEATURES, &settings.features.0, true);
        let gue_port = u32::from(settings.gue_port);
        loader.override_global(global::GUE_PORT, &gue_port, true);
        loader.override_global(global::SOURCE_SPREAD_V4, &settings.source_spread_v4, true);
        loader.override_global(global::SOURCE_SPREAD_V6, &settings.source_spread_v6, true);
        loader.override_global(global::REPLY_INTERVALS_NS, &settings.reply_intervals_ns, true);
        loader.override_global(aya_log::LEVEL, &options.log_level, true);
        for shape in &shapes {
            loader.map_max_entries(shape.name, shape.max_entries);
            if let Some(pins) = options.pins {
                loader.map_pin_path(shape.name, pins.map(shape.name));
            }
        }
        let mut ebpf = loader.load(OBJECT).map_err(|source| BpfError::Object(Box::new(source)))?;
        for name in [PROGRAM, UNUSUAL] {
            let program = ebpf.program_mut(name).ok_or(BpfError::NoProgram { name })?;
            <&mut Xdp>::try_from(program).and_then(load_program).map_err(refused)?;
        }
        let maps = Maps::take(&mut ebpf, &options.limits)?;
        let unusual = typed(&mut ebpf, map::UNUSUAL)?;
        let mut datapath = Self { ebpf, unusual, maps, adopted };
        if !adopted {
            datapath.take_unusual()?;
        }
        Ok(datapath)
    }

    /// Makes unusual packets this program's, whichever program they come in by: all that are
    /// attached at a time can do what the maps need.
    ///
    /// # Errors
    /// The kernel refuses.
    fn take_unusual(&mut self) -> Result<(), BpfError> {
        let fd = self.program(UNUSUAL)?.fd().map_err(refused)?.try_clone();
        let fd = fd.map_err(|source| refused(source.into()))?;
        self.unusual.set(0, &fd, 0).map_err(kernel("write", map::UNUSUAL))?;
        Ok(())
    }

    /// Runs the loaded program once on `frame`, as if it had come in by `ingress_ifindex`.
    ///
    /// The kernel wants the interface to exist in this network namespace (0 stands for none), and
    /// at least an Ethernet header. Counters count the packet like any other.
    ///
    /// # Errors
    /// The kernel refuses the frame or the interface.
    pub fn test_run(&self, frame: &[u8], ingress_ifindex: u32) -> Result<TestRunOutcome, BpfError> {
        let context = XdpMd {
            data: 0,
            data_end: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data_meta: 0,
            ingress_ifindex,
            rx_queue_index: 0,
            egress_ifindex: 0,
        };
        let mut output = vec![0; TEST_RUN_BYTES];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ctx_in: Some(context.as_bytes()),
            ..TestRunOptions::default()
        };
        let result = self
            .program(PROGRAM)?
            .test_run(options)
            .map_err(|source| BpfError::TestRun(Box::new(source)))?;
        output.truncate(result.data_size_out as usize);
        Ok(TestRunOutcome { verdict: verdict(result.return_value), frame: output })
    }

    /// Instructions the verifier walked for the program that took it most, and bytes of both
    /// translated programs.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn verified(&self) -> Result<(u32, u32), BpfError> {
        let mut verified = (0, 0);
        for name in [PROGRAM, UNUSUAL] {
            let info = self.program(name)?.info().map_err(refused)?;
            let (instructions, bytes) = verified;
            let walked = info.verified_instruction_count().unwrap_or(0);
            verified = (instructions.max(walked), bytes + info.size_translated().unwrap_or(0));
        }
        Ok(verified)
    }

    /// The object, for its log map.
    pub fn ebpf_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn program(&self, name: &'static str) -> Result<&Xdp, BpfError> {
        let program = self.ebpf.program(name).ok_or(BpfError::NoProgram { name })?;
        <&Xdp>::try_from(program).map_err(refused)
    }
}

fn refused(source: ProgramError) -> BpfError {
    BpfError::Program(Box::new(source))
}

/// Loads a program.
///
/// # Errors
/// The kernel refuses it, or was interrupted each time.
pub fn load_program(program: &mut Xdp) -> Result<(), ProgramError> {
    retried(|| program.load())
}

/// Loads a program, again if need be. The verifier gives up with EAGAIN when the kernel has something
/// else for this thread, such as a signal; that says nothing about the program.
pub(super) fn retried(
    mut load: impl FnMut() -> Result<(), ProgramError>,
) -> Result<(), ProgramError> {
    let interrupted = |result: &Result<(), ProgramError>| {
        matches!(result, Err(ProgramError::LoadError { io_error, .. })
            if io_error.kind() == io::ErrorKind::WouldBlock)
    };
    let mut result = load();
    for _ in 1..LOAD_ATTEMPTS {
        if !interrupted(&result) {
            break;
        }
        result = load();
    }
    result
}

/// The verdict that a return value of `enum xdp_action` stands for.
const fn verdict(action: u32) -> Option<Verdict> {
    match action {
        1 => Some(Verdict::Drop),
        2 => Some(Verdict::Pass),
        3 => Some(Verdict::Tx),
        4 => Some(Verdict::Redirect),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
