//! The driver's handle: loads lb-bench, gathers candidates, runs batches of packets.
//!
//! Candidates are programs of several objects: those of lb-bench, the balancer as lb-agent loads
//! it, as often as there are setups of its maps, and the baseline. A program array takes them all,
//! since all are plain XDP programs, jited, without fragments.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use lb_agent::io::bpf::{Datapath, LoadOptions, load_program};
use lb_agent::io::maps::{Maps, pin_buckets, shapes};
use lb_common::abi::global;
use lb_common::bench::{
    self, Driver, Job, PACKETS_PER_BATCH, RUNS_PER_BATCH, Report, baseline, program,
};
use lb_common::config::Limits;
use zerocopy::FromZeros as _;

use super::maps::{Setup, fill, image};
use super::workloads::{Frame, Traffic};
use crate::fixture::HASH_SEED;

/// The driver and what it is compared with by itself.
static BENCH: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/lb-bench"));
/// What is made of the balancer's pipeline.
static BASELINE: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/lb-baseline"));

type DriverWords = [u64; size_of::<Driver>() / size_of::<u64>()];

/// The map that holds the job and the report.
pub(super) type DriverMap = Array<MapData, DriverWords>;

/// Flows the baseline can keep, for each CPU. Katran's default is 8 million over all of them.
pub const LRU_FLOWS_PER_CPU: u32 = 1 << 20;

/// Flows of an LRU hash that nobody uses; the kernel wants one for each CPU at least.
const FEWEST_LRU_FLOWS: u32 = 1_024;

/// The balancer's program.
pub(super) const BALANCER: &str = "balancer";

/// Room for what a program puts in front of a frame.
const ROOM_BYTES: usize = 256;

/// A candidate's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target(u32);

/// Everything loaded for a benchmark.
pub struct Kernel {
    lab: Ebpf,
    driver: DriverMap,
    targets: ProgramArray<MapData>,
    next_target: u32,
    /// Kept for their programs: a program array holds its own reference, but maps are written.
    balancers: Vec<(Target, Datapath)>,
    others: Vec<(Target, Ebpf, Maps)>,
}

impl Kernel {
    /// Loads the driver and the targets that need no maps.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn load() -> Result<Self> {
        let mut lab =
            load_programs(&[program::DRIVER, program::PASS, program::NULL_V4, program::NULL_V6])?;
        let targets = lab.take_map(bench::map::TARGETS).context("lb-bench has no TARGETS map")?;
        Ok(Self {
            driver: driver_map(&mut lab)?,
            targets: targets.try_into().context("opening the targets")?,
            lab,
            next_target: 0,
            balancers: Vec::new(),
            others: Vec::new(),
        })
    }

    /// Makes a program of lb-bench that needs no maps a target.
    ///
    /// # Errors
    /// There is no such program, or the kernel refuses.
    pub fn add_program(&mut self, name: &str) -> Result<Target> {
        let fd = xdp(&mut self.lab, name)?.fd().context("a program is not loaded")?;
        let fd = fd.try_clone().context("sharing a program")?;
        self.add(&fd)
    }

    /// Loads the balancer with maps of its own and makes it a target.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn add_balancer(&mut self, setup: Setup) -> Result<Target> {
        let mut datapath = load_balancer(setup)?;
        let fd = xdp(datapath.ebpf_mut(), BALANCER)?.fd().context("it is not loaded")?;
        let fd = fd.try_clone().context("sharing a program")?;
        let target = self.add(&fd)?;
        self.balancers.push((target, datapath));
        Ok(target)
    }

    /// Loads the baseline with maps of its own and makes it a target.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn add_baseline(&mut self) -> Result<Target> {
        let cpus = aya::util::nr_cpus().map_err(|(_, error)| error).context("counting CPUs")?;
        let cpus = u32::try_from(cpus).unwrap_or(1);
        self.add_with_maps(baseline::LRU, LRU_FLOWS_PER_CPU.saturating_mul(cpus))
    }

    /// Loads a program of lb-baseline with maps of its own and makes it a target.
    ///
    /// # Errors
    /// There is no such program, or the kernel refuses.
    pub fn add_part(&mut self, name: &str) -> Result<Target> {
        self.add_with_maps(name, FEWEST_LRU_FLOWS)
    }

    fn add_with_maps(&mut self, name: &str, lru_flows: u32) -> Result<Target> {
        let setup = Setup::CLEAN;
        let mut object = load_baseline(&setup.limits(), lru_flows)?;
        load_program(xdp(&mut object, name)?).with_context(|| format!("loading {name}"))?;
        let mut maps = Maps::take(&mut object, &setup.limits())?;
        fill(&mut maps, &image(setup)?, setup)?;
        let fd = xdp(&mut object, name)?.fd().context("it is not loaded")?;
        let fd = fd.try_clone().context("sharing a program")?;
        let target = self.add(&fd)?;
        self.others.push((target, object, maps));
        Ok(target)
    }

    /// The maps of a target that has any.
    pub fn maps(&self, target: Target) -> Option<&Maps> {
        let balancers = self.balancers.iter().map(|(own, datapath)| (own, &datapath.maps));
        let others = self.others.iter().map(|(own, _, maps)| (own, maps));
        balancers.chain(others).find(|(own, _)| **own == target).map(|(_, maps)| maps)
    }

    /// Takes one frame through a program of lb-bench without the driver: the program's return
    /// value and the frame it made.
    ///
    /// # Errors
    /// There is no such program, or the kernel refuses.
    pub fn run_alone(&mut self, name: &str, frame: &[u8]) -> Result<(u32, Vec<u8>)> {
        let mut output = vec![0; frame.len() + ROOM_BYTES];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut output),
            ..TestRunOptions::default()
        };
        let result = xdp(&mut self.lab, name)?.test_run(options).context("running it")?;
        output.truncate(result.data_size_out as usize);
        Ok((result.return_value, output))
    }

    /// Takes `batches` batches of packets through a target, from packet number `first` on; what
    /// came of them, and the frame as it was left.
    ///
    /// # Errors
    /// The kernel refuses, or the target did not do with every packet what was expected.
    pub fn run(
        &mut self,
        target: Target,
        traffic: &Traffic,
        frame: &Frame,
        (first, batches): (u64, u32),
    ) -> Result<(Report, Vec<u8>)> {
        let Target(target) = target;
        write_job(&mut self.driver, Job { target, next_packet: first, ..job(traffic, frame) })?;
        let mut output = vec![0; frame.bytes.len()];
        let options = TestRunOptions {
            data_in: Some(&frame.bytes),
            data_out: Some(&mut output),
            // One call for all: each waits for the kernel's dispatcher to change twice.
            repeat: batches * RUNS_PER_BATCH,
            ..TestRunOptions::default()
        };
        let result =
            xdp(&mut self.lab, program::DRIVER)?.test_run(options).context("running the driver")?;
        ensure!(result.data_size_out as usize == frame.bytes.len(), "the frame changed its length");
        let report = self.read_report()?;
        let packets = u64::from(batches * PACKETS_PER_BATCH);
        ensure!(report.lost_frames == 0, "{} frames could not be put back", report.lost_frames);
        ensure!(
            report.verdicts.get(traffic.verdict as usize) == Some(&packets),
            "{packets} packets should have ended with {:?}: {:?}",
            traffic.verdict,
            report.verdicts
        );
        Ok((report, output))
    }

    fn read_report(&self) -> Result<Report> {
        let words = self.driver.get(&0, 0).context("reading the report")?;
        let Driver { report, .. } = zerocopy::transmute!(words);
        Ok(report)
    }

    fn add(&mut self, program: &ProgramFd) -> Result<Target> {
        let target = self.next_target;
        self.targets.set(target, program, 0).context("adding a target to the program array")?;
        self.next_target += 1;
        Ok(Target(target))
    }
}

/// The job of this traffic, from packet number 0 on.
pub(super) fn job(traffic: &Traffic, frame: &Frame) -> Job {
    Job {
        template: frame.template,
        flow_mask: traffic.flow_mask,
        vip_mask: traffic.vip_mask,
        family: u32::from(traffic.family as u8),
        ..Job::default()
    }
}

/// Gives the driver a job, and an empty report.
pub(super) fn write_job(driver: &mut DriverMap, job: Job) -> Result<()> {
    let mut value = Driver::new_zeroed();
    value.job = job;
    let words: DriverWords = zerocopy::transmute!(value);
    driver.set(0, words, 0).context("writing the job")
}

/// Takes the driver's map out of an object.
pub(super) fn driver_map(object: &mut Ebpf) -> Result<DriverMap> {
    let map = object.take_map(bench::map::DRIVER).context("lb-bench has no DRIVER map")?;
    map.try_into().context("opening the driver's map")
}

/// Loads the balancer as the agent does, with maps of its own.
pub(super) fn load_balancer(setup: Setup) -> Result<Datapath> {
    let mut datapath = Datapath::load(&LoadOptions {
        pins: None,
        limits: setup.limits(),
        hash_seed: HASH_SEED,
        settings: setup.settings(),
        log_level: 0,
    })
    .context("loading the balancer")?;
    fill(&mut datapath.maps, &image(setup)?, setup)?;
    Ok(datapath)
}

/// Loads programs of lb-bench.
pub(super) fn load_programs(names: &[&str]) -> Result<Ebpf> {
    let mut object = EbpfLoader::new().load(BENCH).context("loading lb-bench needs root")?;
    for name in names {
        load_program(xdp(&mut object, name)?).with_context(|| format!("loading {name}"))?;
    }
    Ok(object)
}

/// Loads the object of the baseline with maps of these sizes, but no program yet.
fn load_baseline(limits: &Limits, lru_flows: u32) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    let pin_buckets = pin_buckets(limits);
    loader.override_global(global::HASH_SEED, &HASH_SEED, true);
    loader.override_global(global::PIN_BUCKETS, &pin_buckets, true);
    for shape in shapes(limits) {
        loader.map_max_entries(shape.name, shape.max_entries);
    }
    loader.map_max_entries(bench::map::FLOWS, lru_flows);
    loader.load(BASELINE).context("loading lb-baseline needs root")
}

/// A program of an object.
pub(super) fn xdp<'e>(ebpf: &'e mut Ebpf, name: &str) -> Result<&'e mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("there is no program {name}"))?;
    program.try_into().with_context(|| format!("{name} is no XDP program"))
}
