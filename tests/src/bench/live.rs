//! Live frames through a veth pair: how many packets one core takes through, drivers and all.
//!
//! ```text
//!  generator host                     balancer host
//!  generate -> gen0 ================= lb0 -> candidate
//!  drop_all <- gen0 ================= lb0 <- (XDP_TX)
//! ```
//! The kernel makes the frames in the sending program's own loop (`BPF_F_TEST_XDP_LIVE_FRAMES`)
//! and delivers them in softirq on the same core, so generator, both ends of the pair and the
//! candidate share one core: a rate, not a program's cost.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::programs::xdp::XdpMode;
use aya::programs::{TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use lb_agent::io::bpf::Datapath;
use lb_common::bench::program;
use zerocopy::IntoBytes as _;

use super::kernel::{
    BALANCER, DriverMap, driver_map, job, load_balancer, load_programs, write_job, xdp,
};
use super::maps::Setup;
use super::report::Row;
use super::statistics::Series;
use super::workloads::{Frame, Traffic, established};
use crate::process::now;
use crate::topology::Host;

/// What the rows begin with.
pub const NAME: &str = "live/veth";
/// What they end with: candidates.
pub const ROWS: [&str; 3] = ["drop", "null", "ipip"];
/// Frames in flight between two looks at the generator.
const FRAMES_AT_ONCE: u32 = 64;
const GENERATOR: &str = "gen0";
const RECEIVER: &str = "lb0";
/// Connections that the packets belong to.
const FLOWS: u64 = 16_384;
/// Share of the packets that must get through for a round to mean anything: a full ring drops some.
const LEAST_DELIVERED: f64 = 0.25;

/// A candidate on the receiving side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Candidate {
    Drop,
    Null,
    Balancer,
}

/// In the order of [`ROWS`].
const CANDIDATES: [Candidate; ROWS.len()] = [Candidate::Drop, Candidate::Null, Candidate::Balancer];

/// The pair, and everything loaded.
struct Lab {
    generator: Host,
    balancer: Host,
    generator_ifindex: u32,
    receiver_ifindex: u32,
    programs: Ebpf,
    driver: DriverMap,
    datapath: Datapath,
    traffic: Traffic,
    frame: Frame,
}

/// Sends `packets` frames through each candidate in each of `rounds` rounds.
///
/// # Errors
/// A namespace, a link or a program cannot be made, or too many frames get lost.
pub fn measure(rounds: usize, packets: u32) -> Result<Vec<Row>> {
    let mut lab = Lab::new()?;
    let mut series = CANDIDATES.map(|_| Series::default());
    for _ in 0..rounds {
        for ((candidate, name), series) in CANDIDATES.into_iter().zip(ROWS).zip(&mut series) {
            let nanoseconds = lab.round(candidate, packets);
            series.push(nanoseconds.with_context(|| format!("{NAME}/{name}"))?);
        }
    }
    let [_, null, _] = &series;
    let row = |((candidate, name), series): ((Candidate, &str), &Series)| {
        let row = Row::alone(format!("{NAME}/{name}"), series)?;
        let compared = candidate == Candidate::Balancer;
        let ratio_to_null = series.ratio_to(null).filter(|_| compared);
        let more = vec![("packets_per_second", 1e9 / row.ns_median)];
        Some(Row { ratio_to_null, more, ..row })
    };
    Ok(CANDIDATES.into_iter().zip(ROWS).zip(&series).filter_map(row).collect())
}

impl Lab {
    fn new() -> Result<Self> {
        let (generator, balancer) = (Host::new("generator")?, Host::new("balancer")?);
        generator.ip(&format!(
            "link add name {GENERATOR} mtu 1600 type veth peer name {RECEIVER} mtu 1600 netns {}\n\
             link set {GENERATOR} up\n",
            balancer.network_path()
        ))?;
        balancer.ip(&format!("link set {RECEIVER} up\n"))?;
        let names = [program::GENERATE, program::DROP, program::PASS, program::NULL_V4];
        let mut programs = load_programs(&names)?;
        let generator_ifindex = number(&generator, GENERATOR, "ifindex")?;
        let receiver_ifindex = number(&balancer, RECEIVER, "ifindex")?;
        let [generator_ifindex, receiver_ifindex] =
            [generator_ifindex, receiver_ifindex].map(|index| u32::try_from(index).unwrap_or(0));
        // What comes back ends here; without a program of its own this end would take nothing.
        let sink = xdp(&mut programs, program::DROP)?;
        generator
            .enter(|| sink.attach_to_if_index(generator_ifindex, XdpMode::Driver))?
            .context("attaching the sink")?;
        let traffic = established(FLOWS);
        Ok(Self {
            datapath: load_balancer(Setup { ifindex: receiver_ifindex, ..Setup::CLEAN })?,
            driver: driver_map(&mut programs)?,
            frame: traffic.frame()?,
            traffic,
            programs,
            generator,
            balancer,
            generator_ifindex,
            receiver_ifindex,
        })
    }

    /// Attaches a candidate, sends frames through it; nanoseconds for each that got through.
    fn round(&mut self, candidate: Candidate, packets: u32) -> Result<f64> {
        let ifindex = self.receiver_ifindex;
        let program = candidate.program(&mut self.programs, &mut self.datapath)?;
        let link = self
            .balancer
            .enter(|| program.attach_to_if_index(ifindex, XdpMode::Driver))?
            .context("attaching the candidate")?;
        let sent = self.send(candidate, packets);
        let program = candidate.program(&mut self.programs, &mut self.datapath)?;
        program.detach(link).context("detaching the candidate")?;
        sent
    }

    fn send(&mut self, candidate: Candidate, packets: u32) -> Result<f64> {
        // Frames count where they end.
        let (host, interface) = match candidate {
            Candidate::Drop => (self.balancer.clone(), RECEIVER),
            Candidate::Null | Candidate::Balancer => (self.generator.clone(), GENERATOR),
        };
        write_job(&mut self.driver, job(&self.traffic, &self.frame))?;
        let generate = xdp(&mut self.programs, program::GENERATE)?;
        let context = context(self.frame.bytes.len(), self.generator_ifindex)?;
        let before = number(&host, interface, "statistics/rx_packets")?;
        let start = now();
        self.generator
            .enter(|| {
                generate.test_run(TestRunOptions {
                    data_in: Some(&self.frame.bytes),
                    ctx_in: Some(context.as_bytes()),
                    repeat: packets,
                    attrs: TestRunAttrs::new().xdp_live_frames(FRAMES_AT_ONCE),
                    ..TestRunOptions::default()
                })
            })?
            .context("sending live frames")?;
        let elapsed = start.elapsed();
        let received = number(&host, interface, "statistics/rx_packets")? - before;
        #[expect(clippy::cast_precision_loss, reason = "millions of packets")]
        let received = received as f64;
        ensure!(
            received >= LEAST_DELIVERED * f64::from(packets),
            "of {packets} frames only {received} got through"
        );
        Ok(elapsed.as_secs_f64() * 1e9 / received)
    }
}

impl Candidate {
    fn program<'p>(
        self,
        programs: &'p mut Ebpf,
        datapath: &'p mut Datapath,
    ) -> Result<&'p mut Xdp> {
        match self {
            // The sink's program is attached already, and a program attaches once to an interface.
            Self::Drop => xdp(programs, program::DROP),
            Self::Null => xdp(programs, program::NULL_V4),
            Self::Balancer => xdp(datapath.ebpf_mut(), BALANCER),
        }
    }
}

/// The start of `struct xdp_md` for a frame of `bytes` that the test-run sends out of an interface.
fn context(bytes: usize, ifindex: u32) -> Result<[u32; 6]> {
    let data_end = u32::try_from(bytes).context("a frame too long")?;
    Ok([0, data_end, 0, ifindex, 0, 0])
}

/// A number that the kernel keeps of an interface.
fn number(host: &Host, interface: &str, name: &str) -> Result<u64> {
    let path = format!("/sys/class/net/{interface}/{name}");
    let text =
        host.enter(|| fs::read_to_string(&path))?.with_context(|| format!("reading {path}"))?;
    text.trim().parse().with_context(|| format!("{path} has {text:?}"))
}
