//! The benchmark's driver is honest: every packet it counts was seen, once, as it was meant.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper that panics fails its test"
)]

use std::collections::BTreeMap;

use lb_common::abi::{BackendIndex, Family};
use lb_common::bench::{PACKETS_PER_BATCH, program};
use lb_common::image::Image;
use lb_common::verdict::Reason;
use lb_tests::bench::kernel::{Kernel, Target};
use lb_tests::bench::maps::{Setup, image};
use lb_tests::bench::workloads::{Action, Traffic, Workload, catalogue};
use lb_tests::fixture::{HASH_SEED, on_the_host};
use lb_tests::packet::seal;

const BATCHES: u32 = 2;
const PACKETS: u64 = (BATCHES * PACKETS_PER_BATCH) as u64;
/// Not a multiple of anything.
const FIRST: u64 = 7_777_777;

fn traffic(name: &str) -> Traffic {
    let row = catalogue().into_iter().find(|row: &Workload| row.name == name);
    row.expect("a row of the table").traffic
}

/// Where the host's pipeline would send the packets, by the outer destination.
fn prediction(image: &Image, traffic: &Traffic) -> BTreeMap<BackendIndex, u64> {
    let by_address: BTreeMap<_, _> =
        image.backends.iter().map(|(index, entry)| (entry.outer_destination, *index)).collect();
    let mut packets = BTreeMap::new();
    for number in FIRST..FIRST + PACKETS {
        let (reason, frame) = on_the_host(image, HASH_SEED, &traffic.packet(number));
        assert_eq!(reason, Reason::Forwarded);
        let mut destination = [0; 16];
        match traffic.family {
            Family::V4 => destination[..4].copy_from_slice(&frame[30..34]),
            Family::V6 => destination.copy_from_slice(&frame[38..54]),
        }
        *packets.entry(by_address[&destination]).or_default() += 1;
    }
    packets
}

fn assert_counted(kernel: &Kernel, target: Target, image: &Image, traffic: &Traffic) {
    let maps = kernel.maps(target).unwrap();
    let forwarded = maps.reason_counters().unwrap()[&Reason::Forwarded];
    let frame_bytes = traffic.packet(0).len() as u64;
    assert_eq!((forwarded.packets, forwarded.bytes), (PACKETS, PACKETS * frame_bytes));
    let counted: BTreeMap<_, _> = image
        .backends
        .keys()
        .map(|index| (*index, maps.backend_counter(*index).unwrap().packets))
        .filter(|(_, packets)| *packets > 0)
        .collect();
    assert_eq!(counted, prediction(image, traffic));
    assert!(counted.len() > 50, "{} backends are too few to tell", counted.len());
}

#[test]
fn the_balancer_sees_every_packet_once_with_the_flow_it_was_made_for() {
    let image = image(Setup::CLEAN).unwrap();
    for name in
        ["ipv4-tcp/ipip/flows=1024", "ipv4-tcp/ipip/services=64", "ipv6-tcp/ipip/flows=16384"]
    {
        let mut kernel = Kernel::load().unwrap();
        let target = kernel.add_balancer(Setup::CLEAN).unwrap();
        let traffic = traffic(name);
        let frame = traffic.frame().unwrap();
        kernel.run(target, &traffic, &frame, (FIRST, BATCHES)).unwrap();
        assert_counted(&kernel, target, &image, &traffic);
    }
}

#[test]
fn the_baseline_sends_flows_where_the_balancer_does() {
    let mut kernel = Kernel::load().unwrap();
    let target = kernel.add_baseline().unwrap();
    let traffic = traffic("lru/ipv4-tcp/flows=1024");
    let frame = traffic.frame().unwrap();
    kernel.run(target, &traffic, &frame, (FIRST, BATCHES)).unwrap();
    assert_counted(&kernel, target, &image(Setup::CLEAN).unwrap(), &traffic);
}

#[test]
fn the_frame_is_put_back_whatever_the_target_did() {
    let mut kernel = Kernel::load().unwrap();
    let pass = kernel.add_program(program::PASS).unwrap();
    let null = kernel.add_program(program::NULL_V4).unwrap();
    for (target, verdict) in [(pass, Action::Pass), (null, Action::Tx)] {
        let traffic = Traffic { verdict, ..traffic("ipv4-tcp/ipip/flows=1024") };
        let frame = traffic.frame().unwrap();
        let (_, left) = kernel.run(target, &traffic, &frame, (FIRST, BATCHES)).unwrap();
        let last = traffic.packet(FIRST + PACKETS - 1);
        // The driver does not compute the checksum; and where the Ethernet header was is now the
        // end of the outer header, until the next packet is made.
        assert_eq!(left[26..], last[26..]);
        assert_eq!(left[14..24], last[14..24]);
        assert_eq!(left[..14] == last[..14], verdict == Action::Pass);
    }
}

#[test]
fn packets_that_end_otherwise_than_expected_are_an_error() {
    let mut kernel = Kernel::load().unwrap();
    let target = kernel.add_program(program::PASS).unwrap();
    let traffic = traffic("ipv4-tcp/ipip/flows=1024");
    let frame = traffic.frame().unwrap();
    let error = kernel.run(target, &traffic, &frame, (0, 1)).unwrap_err().to_string();
    assert!(error.contains("4096 packets should have ended with Tx"), "{error}");
}

#[test]
fn the_floors_make_packets_that_a_backend_would_take() {
    let mut kernel = Kernel::load().unwrap();
    let v4 = traffic("null/ipv4").packet(5);
    let (verdict, mut frame) = kernel.run_alone(program::NULL_V4, &v4).unwrap();
    assert_eq!(verdict, Action::Tx as u32);
    assert_eq!(frame[34..], v4[14..], "what is inside is untouched");
    assert_eq!(usize::from(u16::from_be_bytes([frame[16], frame[17]])), frame.len() - 14);
    let checksum = frame[24..26].to_vec();
    seal(&mut frame[14..34]);
    assert_eq!(frame[24..26], checksum);

    let v6 = traffic("null/ipv6").packet(5);
    let (verdict, frame) = kernel.run_alone(program::NULL_V6, &v6).unwrap();
    assert_eq!(verdict, Action::Tx as u32);
    assert_eq!(frame[54..], v6[14..], "what is inside is untouched");
    assert_eq!(usize::from(u16::from_be_bytes([frame[18], frame[19]])), frame.len() - 54);
}
