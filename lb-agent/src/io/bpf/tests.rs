//! The program in the kernel: loading, adoption of pinned maps, refusals. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use aya::maps::MapData;
use lb_common::abi::{BackendIndex, Pin, Ticks, map};
use lb_common::image::Image;
use lb_common::verdict::Reason;

use super::*;
use crate::core::samples::{known_way, parse};
use crate::core::{effective, health, ids, overrides, plan, tables, target};
use crate::io::lab::{Bpffs, LIMITS, load};
use crate::io::sys;

/// Operations that fill empty maps of [`LIMITS`] with a service, a pool and two backends.
fn filling() -> Vec<plan::Op> {
    let desired = parse(
        "node: { name: edge-1, encap_source: { ipv4: 10.2.0.2 } }\n\
         interfaces: [{ name: eth0 }]\n\
         limits: { services: 16, pools: 8, backends: 30, table_slots: 16384, pins: 64, \
         fragments: 64 }\n\
         pools: [{ name: web, table_slots: 1031, backends: [\n\
           { name: web-1, address: 10.3.0.2 }, { name: web-2, address: 10.3.0.3 } ] }]\n\
         services: [{ name: web, vip: 203.0.113.10, protocol: tcp, ports: [80, 443], pool: web }]\n",
    );
    assert_eq!(desired.limits, LIMITS);
    let ids = ids::Ids::default().assign(&desired).unwrap();
    let effective = effective::effective(
        &desired,
        &overrides::Overrides::default(),
        &health::Conditions::default(),
    );
    let mut tables = tables::Tables::default();
    tables.update(&desired, &effective, &ids).unwrap();
    let address = "10.3.0.2".parse().unwrap();
    let ways = target::Ways::from([(address, known_way(address, 1))]);
    let target = target::target(&desired, &ids, &tables, &ways, &BTreeSet::new());
    plan::plan(&Image::default(), &target, &LIMITS, &BTreeSet::new()).unwrap()
}

fn fill(datapath: &mut Datapath) -> Image {
    for op in &filling() {
        datapath.maps.execute(op).unwrap();
    }
    let image = datapath.maps.observe().unwrap();
    assert_eq!((image.services.len(), image.pools.len(), image.backends.len()), (3, 1, 2));
    image
}

/// Every file below a directory, by path and inode.
fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push((entry.path(), entry.metadata().unwrap().ino()));
        }
    }
    found.sort();
    found
}

#[test]
fn the_kernel_accepts_the_program_and_says_what_it_costs() {
    let datapath = load(None, LIMITS).unwrap();

    let (instructions, translated_bytes) = datapath.verified().unwrap();

    println!("{instructions} instructions verified, {translated_bytes} bytes translated");
    assert!(!datapath.adopted);
    assert!(translated_bytes > 0);
    // The kernel's limit is a million; a quarter of it leaves room for older verifiers.
    assert!((1..250_000).contains(&instructions), "{instructions}");
}

#[test]
fn a_test_run_ends_with_a_verdict_and_is_counted() {
    let datapath = load(None, LIMITS).unwrap();
    // An ARP frame: ethertype 0x0806, the rest does not matter.
    let mut frame = [0xff; 60];
    frame[12..14].copy_from_slice(&[0x08, 0x06]);

    let outcome = datapath.test_run(&frame, 0).unwrap();

    assert_eq!(outcome, TestRunOutcome { verdict: Some(Verdict::Pass), frame: frame.to_vec() });
    let counter = datapath.maps.reason_counters().unwrap()[&Reason::NotIp];
    assert_eq!((counter.packets, counter.bytes), (1, 60));
}

#[test]
fn a_frame_that_the_kernel_does_not_take_is_an_error() {
    let datapath = load(None, LIMITS).unwrap();
    assert!(matches!(datapath.test_run(&[0; 10], 0), Err(BpfError::TestRun(_))));
}

#[test]
fn every_map_is_pinned_under_its_name() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let datapath = load(Some(&pins), LIMITS).unwrap();

    assert!(!datapath.adopted);
    let mut expected = shapes(&LIMITS).map(|shape| pins.map(shape.name));
    expected.sort();
    let pinned: Vec<_> = files(&bpffs.pin_dir()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(pinned, expected);
}

#[test]
fn a_restarted_agent_adopts_the_maps_with_their_contents_and_counters() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let mut first = load(Some(&pins), LIMITS).unwrap();
    let image = fill(&mut first);
    let pin = Pin::new(7 << 32, BackendIndex::new(1).unwrap(), Ticks::default());
    assert!(first.maps.replace_pin(13, Pin::EMPTY, pin));
    first.test_run(&[0xff; 60], 0).unwrap();
    let counters = first.maps.reason_counters().unwrap();
    let pinned: Vec<Pin> = first.maps.pins().collect();
    let before = files(&bpffs.pin_dir());
    drop((first, pins));

    let pins = bpffs.pins();
    let second = load(Some(&pins), LIMITS).unwrap();

    assert!(second.adopted);
    assert_eq!(second.maps.observe().unwrap(), image);
    assert_eq!(second.maps.reason_counters().unwrap(), counters);
    assert_eq!((pinned.len(), pinned[13]), (64, pin));
    assert_eq!(second.maps.pins().collect::<Vec<_>>(), pinned);
    assert_eq!(files(&bpffs.pin_dir()), before);
}

#[test]
fn pinned_maps_of_another_size_are_refused_and_nothing_is_changed() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let image = fill(&mut load(Some(&pins), LIMITS).unwrap());
    let before = files(&bpffs.pin_dir());
    let others = [
        (map::SERVICES, Limits { services: 17, ..LIMITS }),
        (map::POOLS, Limits { pools: 4, ..LIMITS }),
        (map::TABLE_PAGES, Limits { table_slots: 2 * LIMITS.table_slots, ..LIMITS }),
        (map::BACKENDS, Limits { backends: 31, ..LIMITS }),
        (map::PINS, Limits { pins: 128, ..LIMITS }),
        (map::FRAGMENTS, Limits { fragments: 128, ..LIMITS }),
    ];

    for (name, limits) in others {
        let Err(error) = load(Some(&pins), limits) else { panic!("{limits:?} was accepted") };
        let BpfError::Pins(PinError::Mismatch { map, what: "size", .. }) = &error else {
            panic!("{error}")
        };
        assert_eq!(map, name);
        assert!(error.cure().contains("set the limits back"), "{}", error.cure());
    }

    assert_eq!(files(&bpffs.pin_dir()), before);
    let again = load(Some(&pins), LIMITS).unwrap();
    assert_eq!(again.maps.observe().unwrap(), image);
}

#[test]
fn a_pinned_map_of_another_type_is_refused_and_no_other_map_is_made() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    drop(load(Some(&pins), LIMITS).unwrap());
    let servers = MapData::from_pin(pins.map(map::QUIC_SERVERS)).unwrap();
    for shape in shapes(&LIMITS) {
        fs::remove_file(pins.map(shape.name)).unwrap();
    }
    sys::pin(servers.fd().as_fd(), &pins.map(map::POOLS)).unwrap();
    let before = files(&bpffs.pin_dir());

    let Err(error) = load(Some(&pins), LIMITS) else { panic!("it was accepted") };

    assert!(
        matches!(&error, BpfError::Pins(PinError::Mismatch { map, what: "type", .. }) if map == map::POOLS),
        "{error}"
    );
    assert_eq!(files(&bpffs.pin_dir()), before);
}

#[test]
fn a_start_that_was_cut_off_is_completed_by_the_next() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    drop(load(Some(&pins), LIMITS).unwrap());
    for name in [map::BACKENDS, map::BACKEND_COUNTERS] {
        fs::remove_file(pins.map(name)).unwrap();
    }

    let mut datapath = load(Some(&pins), LIMITS).unwrap();
    let image = fill(&mut datapath);
    drop(datapath);

    assert_eq!(files(&bpffs.pin_dir()).len(), shapes(&LIMITS).len());
    assert_eq!(load(Some(&pins), LIMITS).unwrap().maps.observe().unwrap(), image);
}
