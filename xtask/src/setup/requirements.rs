//! What has to be on the machine besides Rust: Debian's package, how to see it is there, and why.
//!
//! Presence is a file, not a package: it is the same check on every distribution, and costs no
//! process.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::workspace;

/// One thing that has to be there.
#[derive(Debug)]
pub(super) struct Requirement {
    /// Debian's name of the package.
    pub(super) package: &'static str,
    probe: Probe,
    why: &'static str,
}

/// What shows that it is there.
#[derive(Debug)]
enum Probe {
    /// A program on PATH.
    Program(&'static str),
    /// A file by absolute path.
    File(&'static str),
    /// A file below LLVM's own directory.
    Llvm(&'static str),
}

impl Requirement {
    fn is_met(&self) -> bool {
        match self.probe {
            Probe::Program(name) => workspace::program(name).is_some(),
            Probe::File(path) => Path::new(path).exists(),
            Probe::Llvm(path) => llvm_prefix().join(path).exists(),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, probe, why } = self;
        match probe {
            Probe::Program(name) => write!(out, "{package} (program {name}): {why}"),
            Probe::File(path) => write!(out, "{package} ({path}): {why}"),
            Probe::Llvm(path) => {
                write!(out, "{package} ({}): {why}", llvm_prefix().join(path).display())
            }
        }
    }
}

/// For tests and demo.
pub(super) const LAB: &[Requirement] = &[
    Requirement {
        package: "iproute2",
        probe: Probe::Program("ip"),
        why: "builds the network namespaces of tests and demo",
    },
    Requirement {
        package: "ethtool",
        probe: Probe::Program("ethtool"),
        why: "switches off checksum offload on veth, which loses checksums under XDP",
    },
    Requirement {
        package: "util-linux",
        probe: Probe::Program("nsenter"),
        why: "runs programs inside a namespace",
    },
    Requirement {
        package: "nginx-light",
        probe: Probe::Program("nginx"),
        why: "the origin server of the demo",
    },
    Requirement { package: "curl", probe: Probe::Program("curl"), why: "the client of the demo" },
];

/// For building: the linkers and the libraries behind them.
pub(super) const BUILD: &[Requirement] = &[
    Requirement { package: "gcc", probe: Probe::Program("cc"), why: "links host programs" },
    Requirement {
        package: "g++",
        probe: Probe::Program("c++"),
        why: "brings the C++ library that LLVM is linked with",
    },
    Requirement {
        package: "libc6-dev",
        probe: Probe::File("/usr/include/stdio.h"),
        why: "start-up objects and headers of the C library",
    },
    Requirement {
        package: "pkg-config",
        probe: Probe::Program("pkg-config"),
        why: "finds libraries while bpf-linker is built",
    },
    Requirement {
        package: "zlib1g-dev",
        probe: Probe::File("/usr/include/zlib.h"),
        why: "LLVM is linked with it",
    },
    Requirement {
        package: "libzstd-dev",
        probe: Probe::File("/usr/include/zstd.h"),
        why: "LLVM is linked with it",
    },
    Requirement {
        package: "llvm-22-dev",
        probe: Probe::Llvm("include/llvm/Config/llvm-config.h"),
        why: "bpf-linker is linked with it (another place: LLVM_PREFIX)",
    },
    Requirement {
        package: "libpolly-22-dev",
        probe: Probe::Llvm("lib/libPolly.a"),
        why: "part of LLVM that llvm-config names among its libraries",
    },
    Requirement {
        package: "llvm-22",
        probe: Probe::Llvm("bin/llvm-objdump"),
        why: "shows the code of the BPF programs",
    },
];

/// For booting other kernels; nothing else needs these.
pub(super) const GUESTS: &[Requirement] = &[
    Requirement {
        package: "qemu-system-x86",
        probe: Probe::Program("qemu-system-x86_64"),
        why: "the machine that other kernels are booted in",
    },
    Requirement {
        package: "kmod",
        probe: Probe::Program("depmod"),
        why: "finds out which kernel module needs which",
    },
    Requirement { package: "xz-utils", probe: Probe::Program("xz"), why: "unpacks kernel modules" },
];

/// Those of `all` that are not there.
pub(super) fn missing(all: &'static [Requirement]) -> Vec<&'static Requirement> {
    all.iter().filter(|requirement| !requirement.is_met()).collect()
}

/// The directory that LLVM's bin, include and lib are in.
pub(super) fn llvm_prefix() -> PathBuf {
    env::var_os("LLVM_PREFIX").map_or_else(|| PathBuf::from("/usr/lib/llvm-22"), PathBuf::from)
}
