//! The few bpf(2) calls that aya has no safe form for: links without the netlink fallback, pinned
//! objects of any kind, link information, and memory-mapped arrays.
//!
//! Each attribute block is a structure of our own with the layout of `union bpf_attr`
//! (include/uapi/linux/bpf.h); zerocopy refuses padding in it.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// `BPF_OBJ_PIN` of `enum bpf_cmd`.
const OBJ_PIN: libc::c_int = 6;
/// `BPF_OBJ_GET`.
const OBJ_GET: libc::c_int = 7;
/// `BPF_OBJ_GET_INFO_BY_FD`.
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
/// `BPF_LINK_CREATE`.
const LINK_CREATE: libc::c_int = 28;
/// `BPF_LINK_UPDATE`.
const LINK_UPDATE: libc::c_int = 29;
/// `BPF_LINK_DETACH`.
const LINK_DETACH: libc::c_int = 34;
/// `BPF_XDP` of `enum bpf_attach_type`.
const ATTACH_XDP: u32 = 37;
/// `XDP_FLAGS_SKB_MODE`.
const XDP_GENERIC: u32 = 1 << 1;
/// `XDP_FLAGS_DRV_MODE`.
const XDP_DRIVER: u32 = 1 << 2;

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkCreate {
    program_fd: u32,
    target_ifindex: u32,
    attach_type: u32,
    flags: u32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkUpdate {
    link_fd: u32,
    program_fd: u32,
    flags: u32,
    old_program_fd: u32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct LinkDetach {
    link_fd: u32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Object {
    path: u64,
    fd: u32,
    flags: u32,
}

#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct InfoByFd {
    fd: u32,
    info_bytes: u32,
    info: u64,
}

/// The start of `struct bpf_link_info`, as it is for XDP links.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct LinkInfo {
    pub(super) link_type: u32,
    pub(super) id: u32,
    pub(super) program_id: u32,
    padding: u32,
    /// 0 once the interface is gone.
    pub(super) ifindex: u32,
    rest: u32,
}

/// Attaches a program to an interface by a link, in the driver or in the stack.
pub(super) fn link_create_xdp(
    program: BorrowedFd<'_>,
    ifindex: u32,
    generic: bool,
) -> io::Result<OwnedFd> {
    let attr = LinkCreate {
        program_fd: raw(program),
        target_ifindex: ifindex,
        attach_type: ATTACH_XDP,
        flags: if generic { XDP_GENERIC } else { XDP_DRIVER },
    };
    let fd = bpf(LINK_CREATE, &attr)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Replaces the program of a link; no packet is seen by neither.
pub(super) fn link_update(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attr =
        LinkUpdate { link_fd: raw(link), program_fd: raw(program), flags: 0, old_program_fd: 0 };
    bpf(LINK_UPDATE, &attr).map(drop)
}

/// Takes a link off its interface, at once and whoever else holds it open or pinned.
pub(super) fn link_detach(link: BorrowedFd<'_>) -> io::Result<()> {
    bpf(LINK_DETACH, &LinkDetach { link_fd: raw(link) }).map(drop)
}

/// What the kernel says of a link.
pub(super) fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let attr = InfoByFd {
        fd: raw(link),
        info_bytes: u32::try_from(size_of::<LinkInfo>()).unwrap_or(0),
        info: (&raw mut info).expose_provenance() as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &attr)?;
    Ok(info)
}

/// Pins an object at a path on a bpffs.
pub(super) fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = Object { path: path.as_ptr().expose_provenance() as u64, fd: raw(object), flags: 0 };
    bpf(OBJ_PIN, &attr).map(drop)
}

/// Opens a pinned object.
pub(super) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attr = Object { path: path.as_ptr().expose_provenance() as u64, fd: 0, flags: 0 };
    let fd = bpf(OBJ_GET, &attr)?;
    // SAFETY: the call succeeded, so `fd` is a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn raw(fd: BorrowedFd<'_>) -> u32 {
    // A borrowed descriptor is open, hence not negative.
    fd.as_raw_fd().unsigned_abs()
}

fn bpf<A: IntoBytes + Immutable>(command: libc::c_int, attr: &A) -> io::Result<RawFd> {
    let bytes = attr.as_bytes();
    // SAFETY: `attr` is `size` bytes long and outlives the call; pointers inside it are to values
    // that the callers above keep alive across it.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, bytes.as_ptr(), bytes.len()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(RawFd::try_from(result).unwrap_or(-1))
}

/// A BPF array in the address space of this process, as words that are read and written whole.
#[derive(Debug)]
pub(super) struct MappedWords {
    start: NonNull<AtomicU64>,
    words: usize,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone, and all access to it is atomic.
unsafe impl Send for MappedWords {}
// SAFETY: as above.
unsafe impl Sync for MappedWords {}

impl MappedWords {
    /// Maps the first `words` words of a map made with `BPF_F_MMAPABLE`.
    pub(super) fn new(map: impl AsFd, words: usize) -> io::Result<Self> {
        let page = 4096;
        let bytes = (words * size_of::<u64>()).next_multiple_of(page);
        let length = bytes.try_into().map_err(io::Error::other)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, map, 0) }?;
        Ok(Self { start: start.cast(), words, bytes })
    }

    /// All words.
    pub(super) fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping is page-aligned, at least `words` words long, lives as long as
        // `self`, and whoever else writes to it, in the kernel or here, writes whole words.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for MappedWords {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and no borrow of it is left.
        let _ = unsafe { munmap(self.start.cast(), self.bytes) };
    }
}

/// Whether a path lies on a bpffs; an error if the path does not exist.
pub(super) fn is_bpffs(path: &Path) -> io::Result<bool> {
    let status = nix::sys::statfs::fstatfs(File::open(path)?)?;
    Ok(status.filesystem_type() == nix::sys::statfs::BPF_FS_MAGIC)
}

/// No XDP program runs for as long: one packet takes a microsecond, and nothing preempts it for more
/// than a tick or two.
const LONGEST_RUN: std::time::Duration = std::time::Duration::from_millis(100);

/// Waits until every program that runs now has returned, on every CPU.
///
/// XDP programs run inside RCU read-side sections, and `MEMBARRIER_CMD_GLOBAL` waits for a grace
/// period (kernel/sched/membarrier.c calls `synchronize_rcu`). A kernel booted with `nohz_full` has
/// no such command; there we wait far longer than any program runs.
#[expect(clippy::disallowed_methods, reason = "a wait for the kernel, as the call is")]
pub(super) fn await_readers() -> io::Result<()> {
    const CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes no pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, CMD_GLOBAL, 0, 0) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::EINVAL) {
        return Err(error);
    }
    std::thread::sleep(LONGEST_RUN);
    Ok(())
}
