//! The pin directory on a real BPF file system.

use std::os::unix::fs::symlink;

use lb_common::abi::map;

use super::*;
use crate::io::lab::{Bpffs, LIMITS, load};
use crate::io::maps::shapes;

fn names(dir: &Path) -> Vec<String> {
    entries(dir).unwrap().iter().map(|path| name_of(path)).collect()
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

    let ours = root.join(format!("v{LAYOUT_VERSION}"));
    assert_eq!(pins.map(map::SERVICES), ours.join("maps/SERVICES"));
    assert_eq!(pins.link(7, false), ours.join("links/native-7"));
    assert_eq!(pins.link(7, true), ours.join("links/generic-7"));
    assert_eq!(names(&ours), ["links", "maps"]);
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
    let told = format!("holds pins of layout v0, and this agent speaks layout v{LAYOUT_VERSION}");
    assert!(error.to_string().contains(&told), "{error}");
    assert_eq!(names(&bpffs.pin_dir()), ["v0"]);
}

#[test]
fn every_property_of_a_pinned_map_is_compared() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let _datapath = load(Some(&pins), LIMITS).unwrap();
    let right = shapes(&LIMITS);
    let services = *right.iter().find(|shape| shape.name == map::SERVICES).unwrap();
    let wrong = [
        ("type", MapShape { map_type: MapType::LruHash, ..services }),
        ("key size", MapShape { key_bytes: 8, ..services }),
        ("value size", MapShape { value_bytes: 24, ..services }),
        ("size", MapShape { max_entries: 43, ..services }),
        ("flags", MapShape { flags: 1, ..services }),
    ];

    assert!(pins.check(&right).unwrap());
    for (property, shape) in wrong {
        let error = pins.check(&[shape]).unwrap_err();
        let PinError::Mismatch { map, what, .. } = &error else { panic!("{error}") };
        assert_eq!((map.as_str(), *what), (map::SERVICES, property));
    }
    let error = pins.check(&[MapShape { max_entries: 43, ..services }]).unwrap_err();
    let message = "pinned map SERVICES has size 42, and this agent needs 43";
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
fn links_are_listed_with_their_mode() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    let made = [(true, pins.link(12, true)), (false, pins.link(7, false))];
    for (_, path) in &made {
        symlink("nowhere", path).unwrap();
    }

    assert_eq!(pins.links().unwrap(), made);
}

#[test]
fn a_directory_that_holds_anything_else_is_neither_used_nor_emptied() {
    let ours = |below: &str| format!("v{LAYOUT_VERSION}/{below}");
    let foreign = [
        ("theirs".to_owned(), false),
        ("v1x".to_owned(), true),
        ("v".to_owned(), true),
        (ours("theirs"), true),
        (ours("maps/dir"), true),
    ];
    for (foreign, dir) in foreign {
        let bpffs = Bpffs::mount();
        drop(load(Some(&bpffs.pins()), LIMITS).unwrap());
        let root = bpffs.pin_dir();
        let path = root.join(&foreign);
        if dir {
            fs::create_dir(&path).unwrap();
        } else {
            symlink("nowhere", &path).unwrap();
        }
        let before = contents(&root).unwrap();

        let opened = Pins::open(&root).unwrap_err();
        let removed = Pins::open_for_removal(&root).unwrap().unwrap().remove_all().unwrap_err();

        for error in [opened, removed] {
            assert!(
                matches!(&error, PinError::NotOurs { found, .. } if *found == path),
                "{foreign}: {error}"
            );
            assert!(error.to_string().contains("is not a pin directory of lb-agent"));
        }
        assert_eq!(contents(&root).unwrap(), before, "{foreign}");
    }
}

#[test]
fn a_directory_elsewhere_is_not_emptied() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("v1/maps")).unwrap();

    let error = Pins::open_for_removal(dir.path()).unwrap_err();

    assert!(matches!(&error, PinError::NotBpffs { .. }), "{error}");
    assert!(dir.path().join("v1/maps").exists());
}

#[test]
fn what_is_new_goes_again_unless_it_is_kept() {
    let bpffs = Bpffs::mount();
    let root = bpffs.pin_dir();

    let pins = bpffs.pins();
    let new = pins.undo_unless_kept();
    drop(load(Some(&pins), LIMITS).unwrap());
    drop(pins);
    assert!(matches!(Pins::open(&root), Err(PinError::Locked { .. })), "until it has gone");
    drop(new);
    assert!(!root.exists());

    let pins = bpffs.pins();
    let new = pins.undo_unless_kept();
    drop(load(Some(&pins), LIMITS).unwrap());
    new.keep();
    drop(pins);
    let before = contents(&root).unwrap();
    let pins = bpffs.pins();
    let new = pins.undo_unless_kept();
    symlink("nowhere", pins.link(7, false)).unwrap();
    drop(new);
    assert_eq!(contents(&root).unwrap(), before);
}

#[test]
fn removal_takes_everything_of_every_layout() {
    let bpffs = Bpffs::mount();
    let pins = bpffs.pins();
    drop(load(Some(&pins), LIMITS).unwrap());
    symlink("nowhere", pins.link(7, false)).unwrap();
    drop(pins);
    fs::create_dir_all(bpffs.pin_dir().join("v0/maps")).unwrap();
    symlink("nowhere", bpffs.pin_dir().join("v0/maps/OLD")).unwrap();

    Pins::open_for_removal(&bpffs.pin_dir()).unwrap().unwrap().remove_all().unwrap();

    assert!(!bpffs.pin_dir().exists());
    assert!(Pins::open_for_removal(&bpffs.pin_dir()).unwrap().is_none());
}
