//! The pin directory on a real BPF file system.

use std::os::unix::fs::symlink;

use lb_common::abi::map;

use super::*;
use crate::io::lab::{Bpffs, LIMITS, load};
use crate::io::maps::shapes;

fn names(dir: &Path) -> Vec<String> {
    let mut names = versions(dir).unwrap();
    names.sort();
    names
}

#[test]
fn a_directory_elsewhere_is_refused_by_its_nearest_existing_parent_and_not_made() {
    let dir = tempfile::tempdir().unwrap();

    let error = Pins::open(&dir.path().join("not/there")).unwrap_err();

    assert!(matches!(&error, PinError::NotBpffs { dir: named } if named == dir.path()), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn an_open_pin_directory_has_the_layout_that_the_version_says() {
    let bpffs = Bpffs::mount();
    let root = bpffs.pin_dir();
    let pins = bpffs.pins();

    assert_eq!(pins.map(map::SERVICES), root.join("v1/maps/SERVICES"));
    assert_eq!(pins.link("eth0", false), root.join("v1/links/native-eth0"));
    assert_eq!(pins.link("eth0", true), root.join("v1/links/generic-eth0"));
    assert_eq!(names(&root.join("v1")), ["links", "maps"]);
    assert_eq!(pins.links().unwrap(), []);
    assert!(!pins.check(&shapes(&LIMITS)).unwrap(), "nothing is pinned yet");
}

#[test]
fn a_second_agent_is_locked_out_until_the_first_has_gone() {
    let bpffs = Bpffs::mount();
    let first = bpffs.pins();

    let second = Pins::open(&bpffs.pin_dir()).unwrap_err();
    let removal = Pins::open_for_removal(&bpffs.pin_dir()).unwrap_err();
    drop(first);

    for error in [second, removal] {
        assert!(matches!(&error, PinError::Locked { dir } if *dir == bpffs.pin_dir()), "{error}");
        assert!(error.cure().contains("stop the other agent"));
    }
    Pins::open(&bpffs.pin_dir()).unwrap();
}

#[test]
fn pins_of_another_layout_are_refused_and_left_alone() {
    let bpffs = Bpffs::mount();
    fs::create_dir_all(bpffs.pin_dir().join("v0/maps")).unwrap();

    let error = Pins::open(&bpffs.pin_dir()).unwrap_err();

    assert!(matches!(&error, PinError::OtherLayout { found, .. } if found == "v0"), "{error}");
    assert!(error.to_string().contains("holds pins of layout v0, and this agent speaks layout v1"));
    assert_eq!(names(&bpffs.pin_dir()), ["v0"]);
}

#[test]
fn every_property_of_a_pinned_map_is_compared() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let _datapath = load(Some(&pins), LIMITS).unwrap();
    let right = shapes(&LIMITS);
    let services = right[0];
    let wrong = [
        ("type", MapShape { map_type: MapType::LruHash, ..services }),
        ("key size", MapShape { key_bytes: 32, ..services }),
        ("value size", MapShape { value_bytes: 24, ..services }),
        ("size", MapShape { max_entries: 17, ..services }),
        ("flags", MapShape { flags: 1, ..services }),
    ];

    assert!(pins.check(&right).unwrap());
    for (property, shape) in wrong {
        let error = pins.check(&[shape]).unwrap_err();
        let PinError::Mismatch { map, what, .. } = &error else { panic!("{error}") };
        assert_eq!((map.as_str(), *what), (map::SERVICES, property));
    }
    let error = pins.check(&[MapShape { max_entries: 17, ..services }]).unwrap_err();
    let message = "pinned map SERVICES has size 16, and this agent needs 17";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_pin_that_is_no_map_is_told_by_name() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    fs::create_dir(pins.map(map::POOLS)).unwrap();

    let error = pins.check(&shapes(&LIMITS)).unwrap_err();

    assert!(matches!(&error, PinError::Inspect { map, .. } if map == map::POOLS), "{error}");
}

#[test]
fn a_link_is_listed_by_the_name_of_its_interface_whatever_that_is() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let made = [("eth0", false), ("my-native-eth", true), ("bond0.100", false), (".hidden.", true)];
    for (interface, generic) in made {
        symlink("nowhere", pins.link(interface, generic)).unwrap();
    }

    let mut listed = pins.links().unwrap();

    listed.sort();
    let mut expected: Vec<_> = made
        .iter()
        .map(|(name, generic)| ((*name).to_owned(), *generic, pins.link(name, *generic)))
        .collect();
    expected.sort();
    assert_eq!(listed, expected);
}

#[test]
fn removal_takes_everything_of_every_layout() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    drop(load(Some(&pins), LIMITS).unwrap());
    symlink("nowhere", pins.link("eth0", false)).unwrap();
    drop(pins);
    fs::create_dir_all(bpffs.pin_dir().join("v0/maps")).unwrap();
    symlink("nowhere", bpffs.pin_dir().join("v0/maps/OLD")).unwrap();

    Pins::open_for_removal(&bpffs.pin_dir()).unwrap().unwrap().remove_all().unwrap();

    assert!(!bpffs.pin_dir().exists());
    assert!(Pins::open_for_removal(&bpffs.pin_dir()).unwrap().is_none());
}
