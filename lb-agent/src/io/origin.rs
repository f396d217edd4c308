//! lb-origin: loads the decapsulation program on an origin, and takes it off again.
//!
//! There is nothing to keep current on an origin, so no process stays: program, maps and link are
//! pinned and work on. Loading again replaces the old program and its sets as one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{HashMap, MapData, MapError, PerCpuArray};
use aya::programs::{ProgramError, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader, VerifierLogLevel};
use lb_common::abi::{AddressKey, Counter, PrefixKey, global, map};
use lb_common::config::Prefix;
use lb_common::verdict::OriginReason;
use lb_common::wire::gue;
use nix::errno::Errno;
use thiserror::Error;

use super::sys;

/// The object file that lb-ebpf was built to.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lb-origin"));
/// Name of the program in it.
const PROGRAM: &str = "origin";
/// Room for the output of a test-run: a jumbo frame.
const TEST_RUN_BYTES: usize = 16 * 1024;
/// Pinned link: the mode it was attached in is part of its name.
const LINKS: [(&str, bool); 2] = [("link-native", false), ("link-generic", true)];
/// Pinned counters.
const COUNTERS: &str = "counters";

/// Why the decapsulation does not run as asked.
#[derive(Debug, Error)]
pub enum OriginError {
    /// The directory is not on a BPF file system.
    #[error("{dir} is not on a BPF file system, so nothing can be pinned there", dir = .dir.display())]
    NotBpffs {
        /// The directory, or the nearest one above it that exists.
        dir: PathBuf,
    },
    /// Nothing is pinned where it should be.
    #[error("no lb-origin is loaded with its pins in {dir}", dir = .dir.display())]
    NotLoaded {
        /// The pin directory.
        dir: PathBuf,
    },
    /// No such interface.
    #[error("there is no interface {interface}")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// Somebody else's program is on the interface.
    #[error("interface {interface} already has an XDP program that is not this lb-origin's")]
    Occupied {
        /// The interface.
        interface: String,
    },
    /// The kernel refused the object or its maps.
    #[error("cannot load the object file")]
    Object(#[source] Box<EbpfError>),
    /// The kernel refused the program.
    #[error("cannot load the program")]
    Program(#[source] Box<ProgramError>),
    /// The kernel refused a map operation.
    #[error("cannot use map {name}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// Why not.
        #[source]
        source: Box<MapError>,
    },
    /// A file operation or a link operation failed.
    #[error("cannot {operation} {path}", path = .path.display())]
    Io {
        /// What was to be done.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl OriginError {
    /// What the operator can do.
    pub const fn cure(&self) -> &'static str {
        match self {
            Self::NotBpffs { .. } => {
                "mount -t bpf bpf /sys/fs/bpf, or name a directory on a bpffs with --pin-dir"
            }
            Self::NotLoaded { .. } => "load it with `lb-agent origin attach`, or check --pin-dir",
            Self::NoInterface { .. } => "see the names with `ip link`",
            Self::Occupied { .. } => {
                "see whose it is with `bpftool net` and `bpftool link`, and stop its owner; if it is an lb-origin, name its --pin-dir"
            }
            _ => "see the cause above",
        }
    }
}

/// What is to be decapsulated, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginConfig {
    /// Interface that faces the balancers.
    pub interface: String,
    /// Addresses of the balancers.
    pub sources: Vec<Prefix>,
    /// VIPs served here.
    pub vips: Vec<IpAddr>,
    /// UDP port that GUE packets come to; 0 for none.
    pub gue_port: u16,
    /// Run in the network stack instead of the driver.
    pub generic: bool,
}

/// A loaded decapsulation program that is not attached.
#[derive(Debug)]
pub struct Origin {
    ebpf: Ebpf,
}

impl Origin {
    /// Loads the program with its sets filled, for balancers with one address each and GUE at its
    /// own port.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load(sources: &[IpAddr], vips: &[IpAddr]) -> Result<Self, OriginError> {
        let sources: Vec<_> = sources.iter().copied().map(Prefix::from).collect();
        Self::load_with(&sources, vips, gue::PORT)
    }

    /// Loads the program with its sets filled. `gue_port` is the UDP port that GUE packets come to,
    /// 0 for none.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load_with(
        sources: &[Prefix],
        vips: &[IpAddr],
        gue_port: u16,
    ) -> Result<Self, OriginError> {
        let size = |count: usize| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        // Not DISABLE, which would hide why the kernel refuses: see `io::bpf`.
        let mut ebpf = EbpfLoader::new()
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global(global::GUE_PORT, &u32::from(gue_port), true)
            .map_max_entries(map::ORIGIN_SOURCES, size(sources.len()))
            .map_max_entries(map::ORIGIN_VIPS, size(vips.len()))
            .load(OBJECT)
            .map_err(|source| OriginError::Object(Box::new(source)))?;
        fill_sources(&mut ebpf, sources)?;
        fill(&mut ebpf, map::ORIGIN_VIPS, vips)?;
        let program = ebpf.program_mut(PROGRAM).ok_or(ProgramError::NotLoaded);
        program
            .and_then(<&mut Xdp>::try_from)
            .and_then(Xdp::load)
            .map_err(|source| OriginError::Program(Box::new(source)))?;
        Ok(Self { ebpf })
    }

    /// Runs the program once on `frame`: `enum xdp_action`, and the frame as it left it.
    ///
    /// # Errors
    /// The kernel refuses the frame.
    pub fn test_run(&self, frame: &[u8]) -> Result<(u32, Vec<u8>), OriginError> {
        let mut output = vec![0; TEST_RUN_BYTES];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ..TestRunOptions::default()
        };
        let result = self
            .program()
            .and_then(|program| program.test_run(options))
            .map_err(|source| OriginError::Program(Box::new(source)))?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    /// Instructions the verifier walked, and bytes of the translated program.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn verified(&self) -> Result<(u32, u32), OriginError> {
        let info = self
            .program()
            .and_then(Xdp::info)
            .map_err(|source| OriginError::Program(Box::new(source)))?;
        let instructions = info.verified_instruction_count().unwrap_or(0);
        Ok((instructions, info.size_translated().unwrap_or(0)))
    }

    fn program(&self) -> Result<&Xdp, ProgramError> {
        self.ebpf.program(PROGRAM).ok_or(ProgramError::NotLoaded).and_then(<&Xdp>::try_from)
    }
}

fn fill(ebpf: &mut Ebpf, name: &'static str, addresses: &[IpAddr]) -> Result<(), OriginError> {
    let failed = |source| OriginError::Map { name, source: Box::new(source) };
    let map = ebpf.map_mut(name).ok_or_else(|| failed(MapError::KeyNotFound))?;
    let mut set: HashMap<_, [u64; 3], u64> = HashMap::try_from(map).map_err(failed)?;
    for address in addresses {
        let AddressKey { address: [high, low], family } = AddressKey::new(*address);
        set.insert([high, low, family], 1, 0).map_err(failed)?;
    }
    Ok(())
}

fn fill_sources(ebpf: &mut Ebpf, sources: &[Prefix]) -> Result<(), OriginError> {
    let name = map::ORIGIN_SOURCES;
    let failed = |source| OriginError::Map { name, source: Box::new(source) };
    let map = ebpf.map_mut(name).ok_or_else(|| failed(MapError::KeyNotFound))?;
    let mut trie: LpmTrie<_, [u32; 5], u64> = LpmTrie::try_from(map).map_err(failed)?;
    for prefix in sources {
        let first = AddressKey::new(prefix.address());
        let PrefixKey { family, address: [a, b, c, d] } = PrefixKey::of(&first);
        let bits = PrefixKey::FAMILY_BITS + u32::from(prefix.bits());
        let key = Key::new(bits, [family, a, b, c, d]);
        trie.insert(&key, 1, 0).map_err(failed)?;
    }
    Ok(())
}

/// Loads the program and attaches it, in place of the one whose pins are in `pin_dir` if any.
///
/// # Errors
/// The interface or the directory cannot be used, or the kernel refuses.
pub fn attach(config: &OriginConfig, pin_dir: &Path) -> Result<(), OriginError> {
    let existing = pin_dir.ancestors().find(|dir| dir.exists()).unwrap_or(pin_dir);
    if !sys::is_bpffs(existing).map_err(|source| failed("read", existing, source))? {
        return Err(OriginError::NotBpffs { dir: existing.to_owned() });
    }
    let ifindex = nix::net::if_::if_nametoindex(config.interface.as_str())
        .ok()
        .ok_or_else(|| OriginError::NoInterface { interface: config.interface.clone() })?;
    let mut origin = Origin::load_with(&config.sources, &config.vips, config.gue_port)?;
    fs::create_dir_all(pin_dir).map_err(|source| failed("create", pin_dir, source))?;
    let program = origin
        .program()
        .and_then(Xdp::fd)
        .map_err(|source| OriginError::Program(Box::new(source)))?;
    link(config, ifindex, program.as_fd(), pin_dir)?;
    pin_counters(&mut origin.ebpf, pin_dir)
}

/// The pinned link if it is of the right interface and mode; else a new one, and the old one goes
/// once that stands. Only another mode on the same interface has to go first: the kernel allows
/// one at a time. If the new one is refused, the old mode is put back, with the new program.
fn link(
    config: &OriginConfig,
    ifindex: u32,
    program: BorrowedFd<'_>,
    pin_dir: &Path,
) -> Result<(), OriginError> {
    let mut old = Vec::new();
    for (name, generic) in LINKS {
        let path = pin_dir.join(name);
        if !path.exists() {
            continue;
        }
        let link = sys::open_pinned(&path).map_err(|source| failed("open", &path, source))?;
        let info = sys::link_info(link.as_fd()).map_err(|source| failed("read", &path, source))?;
        if info.ifindex == ifindex && generic == config.generic {
            return sys::link_update(link.as_fd(), program)
                .map_err(|source| failed("update", &path, source));
        }
        old.push((path, link, info.ifindex == ifindex));
    }
    for (path, link, _) in old.iter().filter(|(.., here)| *here) {
        sys::link_detach(link.as_fd()).map_err(|source| failed("detach", path, source))?;
    }
    let made = create(config, ifindex, program);
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            for (path, ..) in old.iter().filter(|(.., here)| *here) {
                let other = OriginConfig { generic: !config.generic, ..config.clone() };
                let made = create(&other, ifindex, program)?;
                remove(path)?;
                sys::pin(made.as_fd(), path).map_err(|source| failed("pin", path, source))?;
            }
            return Err(error);
        }
    };
    for (path, ..) in &old {
        remove(path)?;
    }
    let path = pin_dir.join(link_name(config.generic));
    sys::pin(made.as_fd(), &path).map_err(|source| failed("pin", &path, source))
}

const fn link_name(generic: bool) -> &'static str {
    let [(native, _), (in_stack, _)] = LINKS;
    if generic { in_stack } else { native }
}

fn create(
    config: &OriginConfig,
    ifindex: u32,
    program: BorrowedFd<'_>,
) -> Result<OwnedFd, OriginError> {
    sys::link_create_xdp(program, ifindex, config.generic).map_err(|source| {
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EBUSY | Errno::EEXIST) => {
                OriginError::Occupied { interface: config.interface.clone() }
            }
            _ => failed("attach to", Path::new(&config.interface), source),
        }
    })
}

fn remove(path: &Path) -> Result<(), OriginError> {
    fs::remove_file(path).map_err(|source| failed("remove", path, source))
}

fn pin_counters(ebpf: &mut Ebpf, pin_dir: &Path) -> Result<(), OriginError> {
    let path = pin_dir.join(COUNTERS);
    if path.exists() {
        remove(&path)?;
    }
    let name = map::ORIGIN_COUNTERS;
    let map = ebpf.map(name).ok_or(OriginError::NotLoaded { dir: pin_dir.to_owned() })?;
    map.pin(&path).map_err(|error| failed("pin", &path, io::Error::other(error)))
}

/// Packets and bytes by reason, since the program was loaded.
///
/// # Errors
/// Nothing is loaded with pins in `pin_dir`, or the counters cannot be read.
pub fn counters(pin_dir: &Path) -> Result<BTreeMap<OriginReason, Counter>, OriginError> {
    let path = pin_dir.join(COUNTERS);
    if !path.exists() {
        return Err(OriginError::NotLoaded { dir: pin_dir.to_owned() });
    }
    let name = map::ORIGIN_COUNTERS;
    let failed = |source| OriginError::Map { name, source: Box::new(source) };
    let data = MapData::from_pin(&path).map_err(failed)?;
    let map = aya::maps::Map::from_map_data(data).map_err(failed)?;
    let counters: PerCpuArray<_, [u64; 2]> = PerCpuArray::try_from(map).map_err(failed)?;
    let sum = |reason: &OriginReason| {
        let per_cpu = counters.get(&reason.index(), 0).map_err(failed)?;
        let total = per_cpu.iter().fold(Counter::default(), |sum, [packets, bytes]| Counter {
            packets: sum.packets + packets,
            bytes: sum.bytes + bytes,
        });
        Ok((*reason, total))
    };
    OriginReason::ALL.iter().map(sum).collect()
}

/// Takes the program off and removes its pins. Without any, there is nothing to do.
///
/// # Errors
/// A pin cannot be removed.
pub fn detach(pin_dir: &Path) -> Result<(), OriginError> {
    if !pin_dir.exists() {
        return Ok(());
    }
    for name in LINKS.map(|(name, _)| name).into_iter().chain([COUNTERS]) {
        let path = pin_dir.join(name);
        if path.exists() {
            remove(&path)?;
        }
    }
    fs::remove_dir(pin_dir).map_err(|source| failed("remove", pin_dir, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> OriginError {
    OriginError::Io { operation, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
