//! Links on interfaces of a network namespace that only the test has. Needs root.

use std::os::fd::AsFd;

use nix::net::if_::if_nametoindex;

use super::*;
use crate::io::lab::{Bpffs, LIMITS, enter_new_network, ip, load};

/// One agent on a BPF file system and a network of its own.
struct Agent {
    pins: Pins,
    datapath: Datapath,
    attachments: Attachments,
}

impl Agent {
    fn start(bpffs: &Bpffs) -> Self {
        let pins = bpffs.pins();
        let datapath = load(Some(&pins), LIMITS).unwrap();
        Self { pins, datapath, attachments: Attachments::default() }
    }

    fn attach(&mut self, interface: &str, mode: Mode) -> Result<bool, BpfError> {
        let ifindex = if_nametoindex(interface).unwrap();
        self.attachments.attach(&self.datapath, &self.pins, interface, ifindex, mode)
    }

    /// Index, mode and program of an attached interface, as the kernel says it of the link.
    fn link(&self, interface: &str) -> (u32, u32, u32) {
        let attachment = self.attachments.of(interface).unwrap();
        let info = sys::link_info(attachment.link.as_fd()).unwrap();
        assert_eq!((info.ifindex, info.program_id), (attachment.ifindex, attachment.program_id));
        (info.id, info.ifindex, info.program_id)
    }

    fn program_id(&self) -> u32 {
        self.datapath.program().unwrap().info().unwrap().id()
    }
}

fn lab() -> Bpffs {
    let bpffs = Bpffs::mount();
    enter_new_network();
    ip("link add eth0 type veth peer name peer0");
    bpffs
}

#[test]
fn an_interface_is_attached_in_its_driver_by_a_pinned_link() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);

    let fell_back = agent.attach("eth0", Mode::Auto).unwrap();

    let ifindex = if_nametoindex("eth0").unwrap();
    assert!(!fell_back);
    assert_eq!(agent.link("eth0").2, agent.program_id());
    assert!(agent.pins.link("eth0", false).exists());
    assert!(agent.attachments.is_intact("eth0") && agent.attachments.on(ifindex));
    assert!(!agent.attachments.is_intact("peer0"));
}

#[test]
fn a_driver_without_xdp_falls_back_in_mode_auto_and_is_refused_in_mode_native() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);

    let refused = agent.attach("lo", Mode::Native).unwrap_err();
    let fell_back = agent.attach("lo", Mode::Auto).unwrap();

    assert!(matches!(&refused, BpfError::NotNative { interface, .. } if interface == "lo"));
    assert!(fell_back);
    assert!(agent.attachments.of("lo").unwrap().generic);
    assert!(agent.pins.link("lo", true).exists());
}

#[test]
fn a_restarted_agent_replaces_the_program_on_the_same_link() {
    let bpffs = lab();
    let mut first = Agent::start(&bpffs);
    first.attach("eth0", Mode::Auto).unwrap();
    let (link, ifindex, old_program) = first.link("eth0");
    drop(first);

    let mut second = Agent::start(&bpffs);
    second.attach("eth0", Mode::Auto).unwrap();

    assert_eq!(second.link("eth0"), (link, ifindex, second.program_id()));
    assert_ne!(second.program_id(), old_program);
}

#[test]
fn another_mode_makes_another_link() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("eth0", Mode::Native).unwrap();

    agent.attachments = Attachments::default();
    agent.attach("eth0", Mode::Generic).unwrap();

    assert!(agent.attachments.of("eth0").unwrap().generic);
    assert!(!agent.pins.link("eth0", false).exists());
    assert!(agent.pins.link("eth0", true).exists());
}

#[test]
fn the_mode_of_an_interface_can_change_while_the_agent_runs() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("eth0", Mode::Native).unwrap();

    agent.attach("eth0", Mode::Generic).unwrap();

    assert!(agent.attachments.of("eth0").unwrap().generic);
}

#[test]
fn somebody_elses_program_is_left_alone() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    let ifindex = if_nametoindex("eth0").unwrap();
    let program = agent.datapath.program().unwrap().fd().unwrap().as_fd();
    let theirs = sys::link_create_xdp(program, ifindex, false).unwrap();

    for mode in [Mode::Auto, Mode::Native, Mode::Generic] {
        let error = agent.attach("eth0", mode).unwrap_err();
        assert!(
            matches!(&error, BpfError::Occupied { interface } if interface == "eth0"),
            "{mode:?}: {error}"
        );
    }

    assert_eq!(sys::link_info(theirs.as_fd()).unwrap().ifindex, ifindex);
    assert!(agent.pins.links().unwrap().is_empty());
}

#[test]
fn interfaces_that_are_no_longer_wanted_are_detached_even_those_of_an_earlier_agent() {
    let bpffs = lab();
    let mut first = Agent::start(&bpffs);
    first.attach("peer0", Mode::Auto).unwrap();
    drop(first);
    let mut second = Agent::start(&bpffs);
    second.attach("eth0", Mode::Auto).unwrap();

    let detached = second.attachments.detach_others(&second.pins, |name| name == "eth0").unwrap();

    assert_eq!(detached, ["peer0"]);
    assert!(second.attachments.is_intact("eth0"));
    // Free again for anybody.
    let program = second.datapath.program().unwrap().fd().unwrap().as_fd();
    sys::link_create_xdp(program, if_nametoindex("peer0").unwrap(), false).unwrap();
}

#[test]
fn an_interface_that_went_and_came_back_is_attached_anew() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("eth0", Mode::Auto).unwrap();
    let (old_link, ..) = agent.link("eth0");

    ip("link del eth0");
    assert!(!agent.attachments.is_intact("eth0"));
    ip("link add eth0 type veth peer name peer0");
    agent.attach("eth0", Mode::Auto).unwrap();

    let (new_link, ifindex, program) = agent.link("eth0");
    assert_ne!(new_link, old_link);
    assert_eq!((ifindex, program), (if_nametoindex("eth0").unwrap(), agent.program_id()));
    assert!(agent.attachments.is_intact("eth0"));
}

#[test]
fn a_pin_that_somebody_removed_is_noticed() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("eth0", Mode::Auto).unwrap();

    fs::remove_file(agent.pins.link("eth0", false)).unwrap();

    assert!(!agent.attachments.is_intact("eth0"));
}

#[test]
fn an_interface_with_a_dot_in_its_name_can_be_attached_and_adopted() {
    let bpffs = lab();
    ip("link add bond0.100 type veth peer name peer1");
    let mut first = Agent::start(&bpffs);
    first.attach("bond0.100", Mode::Auto).unwrap();
    let (link, ..) = first.link("bond0.100");
    drop(first);

    let mut second = Agent::start(&bpffs);
    second.attach("bond0.100", Mode::Auto).unwrap();

    assert_eq!(second.link("bond0.100").0, link);
}
