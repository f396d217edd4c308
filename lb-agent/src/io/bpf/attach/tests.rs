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
        let attachments = Attachments::adopt(&pins).unwrap();
        Self { pins, datapath, attachments }
    }

    /// Attaches with this agent's program; whether mode auto fell back to generic.
    fn attach(&mut self, interface: &str, mode: Mode) -> Result<bool, BpfError> {
        let ifindex = if_nametoindex(interface).unwrap();
        self.attachments.attach(&mut self.datapath, &self.pins, interface, ifindex, mode)?;
        self.attachments.replace_programs(&mut self.datapath)?;
        Ok(self.attachments.of(interface).unwrap().fallback.is_some())
    }

    /// Where the link of an interface is pinned.
    fn pin(&self, interface: &str, generic: bool) -> PathBuf {
        self.pins.link(if_nametoindex(interface).unwrap(), generic)
    }

    /// Index, mode and program of an attached interface, as the kernel says it of the link.
    fn link(&self, interface: &str) -> (u32, u32, u32) {
        let attachment = self.attachments.of(interface).unwrap();
        let info = sys::link_info(attachment.link.as_fd()).unwrap();
        assert_eq!((info.ifindex, info.program_id), (attachment.ifindex, attachment.program_id));
        (info.id, info.ifindex, info.program_id)
    }

    fn program_id(&self) -> u32 {
        self.datapath.program(PROGRAM).unwrap().info().unwrap().id()
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
    assert!(agent.pin("eth0", false).exists());
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
    assert!(agent.pin("lo", true).exists());
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

    agent.attachments = Attachments::adopt(&agent.pins).unwrap();
    agent.attach("eth0", Mode::Generic).unwrap();

    assert!(agent.attachments.of("eth0").unwrap().generic);
    assert!(!agent.pin("eth0", false).exists());
    assert!(agent.pin("eth0", true).exists());
}

#[test]
fn the_mode_of_an_interface_can_change_while_the_agent_runs() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("eth0", Mode::Native).unwrap();

    agent.attach("eth0", Mode::Generic).unwrap();

    assert!(agent.attachments.of("eth0").unwrap().generic);
    assert_eq!(agent.pins.links().unwrap().len(), 1);
}

#[test]
fn somebody_elses_program_is_left_alone() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    let ifindex = if_nametoindex("eth0").unwrap();
    let program = agent.datapath.program(PROGRAM).unwrap().fd().unwrap().as_fd();
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

    let detached = second.attachments.detach_others(&[if_nametoindex("eth0").unwrap()]).unwrap();

    assert_eq!(detached, ["peer0"]);
    assert!(second.attachments.is_intact("eth0"));
    // Free again for anybody.
    let program = second.datapath.program(PROGRAM).unwrap().fd().unwrap().as_fd();
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
    assert!(matches!(agent.attachments.tend()[..], [(_, Tended::Lost)]));
    ip("link add eth0 type veth peer name peer0");
    agent.attach("eth0", Mode::Auto).unwrap();

    let (new_link, ifindex, program) = agent.link("eth0");
    assert_ne!(new_link, old_link);
    assert_eq!((ifindex, program), (if_nametoindex("eth0").unwrap(), agent.program_id()));
    assert!(agent.attachments.is_intact("eth0"));
}

#[test]
fn a_pin_that_somebody_removed_is_noticed_and_made_again_for_the_same_link() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("eth0", Mode::Auto).unwrap();
    let link = agent.link("eth0");

    fs::remove_file(agent.pin("eth0", false)).unwrap();
    assert!(!agent.attachments.is_intact("eth0"));
    assert!(matches!(agent.attachments.tend()[..], [(_, Tended::PinnedAgain)]));

    assert!(agent.attachments.is_intact("eth0"));
    assert_eq!(agent.link("eth0"), link);
}

#[test]
fn a_mode_that_cannot_be_had_leaves_the_interface_in_the_mode_before() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("lo", Mode::Generic).unwrap();

    let error = agent.attach("lo", Mode::Native).unwrap_err();

    assert!(matches!(&error, BpfError::NotNative { .. }), "{error}");
    assert!(agent.attachments.is_intact("lo"));
    assert!(agent.attachments.of("lo").unwrap().generic);
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

#[test]
fn a_renamed_interface_keeps_its_link_over_a_restart_and_frees_its_name() {
    let bpffs = lab();
    let mut first = Agent::start(&bpffs);
    first.attach("eth0", Mode::Auto).unwrap();
    let (link, ..) = first.link("eth0");
    ip("link set dev eth0 name wan.0");
    ip("link add eth0 type veth peer name peer1");
    assert!(first.attachments.tend().is_empty());
    assert!(first.attachments.is_intact("wan.0") && first.attachments.of("eth0").is_none());
    drop(first);

    let mut second = Agent::start(&bpffs);
    second.attach("wan.0", Mode::Auto).unwrap();
    second.attach("eth0", Mode::Auto).unwrap();

    assert_eq!(second.link("wan.0").0, link);
    assert_ne!(second.link("eth0").0, link);
}

#[test]
fn an_attachment_that_is_undone_leaves_what_was_there_before() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    agent.attach("peer0", Mode::Generic).unwrap();
    let mut undo = |interface: &str, mode| {
        let ifindex = if_nametoindex(interface).unwrap();
        let Agent { pins, datapath, attachments } = &mut agent;
        let before = attachments.attach(datapath, pins, interface, ifindex, mode).unwrap();
        attachments.undo(datapath, pins, &before).unwrap();
    };

    undo("eth0", Mode::Auto);
    undo("peer0", Mode::Native);

    assert!(agent.attachments.of("eth0").is_none());
    assert!(agent.attachments.of("peer0").unwrap().generic);
    assert!(agent.attachments.is_intact("peer0"));
    assert_eq!(agent.pins.links().unwrap(), [(true, agent.pin("peer0", true))]);
}

#[test]
fn mode_auto_asks_the_driver_again_once_for_each_agent() {
    let bpffs = lab();
    let mut first = Agent::start(&bpffs);
    first.attach("eth0", Mode::Generic).unwrap();
    assert!(first.attach("lo", Mode::Auto).unwrap());
    let (link, ..) = first.link("lo");
    assert!(first.attach("lo", Mode::Auto).unwrap());
    assert_eq!(first.link("lo").0, link, "the driver has been asked");
    drop(first);

    let mut second = Agent::start(&bpffs);

    assert!(!second.attach("eth0", Mode::Auto).unwrap());
    assert!(!second.attachments.of("eth0").unwrap().generic);
    assert!(second.attach("lo", Mode::Auto).unwrap());
}

#[test]
fn whatever_the_driver_has_against_the_program_makes_mode_auto_fall_back_and_is_told() {
    let bpffs = lab();
    let mut agent = Agent::start(&bpffs);
    ip("link set dev eth0 mtu 9000");
    ip("link set dev peer0 mtu 9000");

    assert!(agent.attach("eth0", Mode::Native).is_err());
    assert!(agent.attach("eth0", Mode::Auto).unwrap());

    let reason = agent.attachments.of("eth0").unwrap().fallback.clone().unwrap();
    assert!(reason.starts_with("its driver refused the program: "), "{reason}");
}
