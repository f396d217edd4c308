//! A kernel to boot: its image, and the modules it needs in the order to load them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What the guests need, besides what these need themselves: network devices of the topology, all
/// tunnel devices of the encapsulations that there are or will be, and the filters of lb-probe.
const MODULES: [&str; 13] = [
    "veth",
    "dummy",
    "8021q",
    "bonding",
    "ipip",
    "sit",
    "ip6_tunnel",
    "ip_gre",
    "ip6_gre",
    "fou",
    "fou6",
    "sch_ingress",
    "cls_bpf",
];

/// A kernel's files.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Series, such as 6.1.
    pub series: String,
    /// The whole version.
    pub release: String,
    /// The bootable image.
    pub image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Finds the kernel of a series: in `LB_KERNELS_DIR`, else in this workspace's target/kernels.
    ///
    /// # Errors
    /// When it is not there.
    pub fn find(series: &str) -> Result<Self> {
        let directory = directory().join(series);
        let modules = directory.join("lib/modules");
        let missing =
            || format!("no Linux {series} in {}: run `cargo xtask setup`", directory.display());
        let entry = fs::read_dir(&modules).with_context(missing)?.next().with_context(missing)?;
        let modules = entry.with_context(missing)?.path();
        let release = modules.file_name().with_context(missing)?.to_string_lossy().into_owned();
        let image = directory.join("boot").join(format!("vmlinuz-{release}"));
        ensure!(image.is_file(), "{} is missing", image.display());
        Ok(Self { series: series.to_owned(), release, image, modules })
    }

    /// Where a run of this kernel leaves its files.
    pub fn run_directory(&self) -> PathBuf {
        directory().join(format!("{}.run", self.series))
    }

    /// Files of the modules to load, in this order. What the kernel has built in is left out.
    ///
    /// # Errors
    /// When the kernel has no such module.
    pub fn modules(&self) -> Result<Vec<PathBuf>> {
        let read = |name: &str| {
            let path = self.modules.join(name);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        let order = order(&MODULES, &read("modules.dep")?, &read("modules.builtin")?)
            .with_context(|| format!("modules of Linux {}", self.release))?;
        Ok(order.into_iter().map(|path| self.modules.join(path)).collect())
    }
}

fn directory() -> PathBuf {
    std::env::var_os("LB_KERNELS_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/kernels"),
        PathBuf::from,
    )
}

/// Paths of `wanted` modules and of all they need, each before those that need it. `dependencies`
/// is modules.dep, where the last named has to be loaded first (depmod(8), modules.dep(5)).
fn order(wanted: &[&str], dependencies: &str, built_in: &str) -> Result<Vec<String>> {
    let mut order: Vec<String> = Vec::new();
    for name in wanted {
        if built_in.lines().any(|path| module_name(path) == *name) {
            continue;
        }
        let (path, needs) = dependencies
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(path, _)| module_name(path) == *name)
            .with_context(|| format!("there is no module {name}"))?;
        for path in needs.split_whitespace().rev().chain([path]) {
            if !order.iter().any(|known| known == path) {
                order.push(path.to_owned());
            }
        }
    }
    Ok(order)
}

/// `ipip` of `kernel/net/ipv4/ipip.ko.xz`.
fn module_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file)
}

#[cfg(test)]
mod tests;
