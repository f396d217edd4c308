//! Against the kernel: a veth pair between two anonymous network namespaces. Needs root.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use tokio::time::timeout;

use super::super::{Changes, Netlink, NetlinkError, Routes, Way};
use super::{address, problem};

const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xa1];
const MOVED_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xa2];

/// Longer than anything here takes, so that a machine under load fails no test.
const PATIENCE: Duration = Duration::from_secs(20);

impl Netlink {
    /// The way to one address.
    async fn way_to(&self, destination: IpAddr) -> Result<Way, NetlinkError> {
        Ok(self.ways_to(&[destination]).await?.pop().unwrap())
    }

    /// The ways to some, in their order.
    async fn ways_to(&self, destinations: &[IpAddr]) -> Result<Vec<Way>, NetlinkError> {
        let all = destinations.iter().copied().collect();
        let seen = self.look(&all, &Routes::default()).await?;
        Ok(destinations.iter().map(|destination| seen.ways[destination].clone()).collect())
    }
}

/// A network namespace that lives as long as this handle.
struct Namespace(File);

impl Namespace {
    fn new() -> Self {
        let create = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        };
        thread::spawn(create).join().unwrap()
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Runs one command inside and returns its output.
    fn run(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", self.path()))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?} {input}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs `ip` commands, one a line.
    fn ip(&self, lines: &str) -> String {
        self.run(&["ip", "-batch", "-"], lines)
    }

    fn sysctl(&self, key: &str, value: &str) {
        let set = format!("echo {value} > /proc/sys/net/{key}");
        self.run(&["sh", "-c", &set], "");
    }
}

/// The balancer's side with `nl0`, and the router's side with `nl1`.
struct Lab {
    host: Namespace,
    peer: Namespace,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { host: Namespace::new(), peer: Namespace::new() };
        let peer = lab.peer.path();
        lab.host.ip(&format!("link add nl0 type veth peer name nl1 netns {peer}\n"));
        lab.host.sysctl("ipv6/conf/nl0/accept_dad", "0");
        lab.peer.sysctl("ipv6/conf/nl1/accept_dad", "0");
        // Neighbour questions are repeated after 0.1 s instead of 1 s.
        lab.host.sysctl("ipv4/neigh/nl0/retrans_time_ms", "100");
        // A changed MAC address is announced by a gratuitous ARP reply.
        lab.peer.sysctl("ipv4/conf/nl1/arp_notify", "1");
        lab.peer.ip("link set nl1 address 02:00:00:00:00:a1 mtu 1600 up\n\
             addr add 10.2.0.1/24 dev nl1\n\
             addr add fe80::1/64 dev nl1 nodad\n");
        lab.host.ip("link set nl0 mtu 1600 up\n\
             addr add 10.2.0.2/24 dev nl0\n\
             route add 10.3.0.0/16 via 10.2.0.1 mtu 1400\n\
             route add fd00:3::/64 via fe80::1 dev nl0\n");
        lab
    }

    /// Runs `test` on a single-threaded executor whose thread is in the balancer's namespace.
    fn run<T>(&self, test: impl AsyncFnOnce(&Self, Netlink, Changes) -> T + Send) -> T
    where
        T: Send,
    {
        let body = || {
            setns(&self.host.0, CloneFlags::CLONE_NEWNET).unwrap();
            let executor =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            executor.block_on(async {
                let (netlink, changes) = Netlink::connect().await.unwrap();
                test(self, netlink, changes).await
            })
        };
        thread::scope(|scope| scope.spawn(body).join().unwrap())
    }
}

async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Asks for the way now, then after every change and only then, until it is as wanted.
async fn way_once(
    (netlink, changes): (&Netlink, &mut Changes),
    destination: IpAddr,
    wanted: impl Fn(&Way) -> bool,
) -> Way {
    let mut last = None;
    let wait = async {
        loop {
            let way = netlink.way_to(destination).await.unwrap();
            if wanted(&way) {
                return way;
            }
            last = Some(way);
            changes.next().await.unwrap();
        }
    };
    let way = timeout(PATIENCE, wait).await;
    way.unwrap_or_else(|_| panic!("waited in vain for the way to {destination}, last {last:?}"))
}

fn leads_to(expected: [u8; 6]) -> impl Fn(&Way) -> bool {
    move |way| matches!(way, Way::Known { mac, .. } if *mac == expected)
}

#[test]
fn a_gateway_is_resolved_and_its_mac_change_followed() {
    Lab::new().run(async |lab, netlink, mut changes| {
        let destination = address("10.3.0.2");
        let first = netlink.way_to(destination).await.unwrap();
        assert_eq!(problem(&first), "10.2.0.1 on nl0 has not answered ARP");

        let way = way_once((&netlink, &mut changes), destination, leads_to(PEER_MAC)).await;
        let link = netlink.link("nl0").await.unwrap().unwrap();
        assert!(link.up && link.mtu_bytes == 1600 && link.name == "nl0", "{link:?}");
        let (gateway, mac) = (address("10.2.0.1"), PEER_MAC);
        assert_eq!(way, Way::Known { gateway, link, mac, mtu_bytes: 1400 });

        lab.peer.ip("link set nl1 address 02:00:00:00:00:a2\n");
        way_once((&netlink, &mut changes), destination, leads_to(MOVED_MAC)).await;
    });
}

#[test]
fn a_patient_look_waits_for_who_answers_and_no_longer_than_told() {
    Lab::new().run(async |lab, netlink, mut changes| {
        let there = BTreeSet::from([address("10.3.0.2"), address("fd00:3::2")]);
        let look = netlink.look_patiently(&there, &mut changes, PATIENCE);
        let seen = patiently("both next hops", look).await.unwrap();
        assert!(seen.ways.values().all(leads_to(PEER_MAC)), "{seen:?}");

        lab.host.ip("route add 10.4.0.0/16 via 10.2.0.9\n");
        let silent = address("10.4.0.1");
        let both = BTreeSet::from([silent, address("10.3.0.2")]);
        let look = netlink.look_patiently(&both, &mut changes, Duration::from_millis(50));
        let seen = patiently("the end of patience", look).await.unwrap();
        assert!(problem(&seen.ways[&silent]).contains("10.2.0.9"), "{seen:?}");
        assert!(leads_to(PEER_MAC)(&seen.ways[&address("10.3.0.2")]), "{seen:?}");
    });
}

#[test]
fn an_on_link_destination_is_its_own_gateway_and_follows_the_links_mtu() {
    Lab::new().run(async |lab, netlink, mut changes| {
        let destination = address("10.2.0.1");
        let way = way_once((&netlink, &mut changes), destination, leads_to(PEER_MAC)).await;
        assert!(
            matches!(way, Way::Known { gateway, mtu_bytes: 1600, .. } if gateway == destination),
            "{way:?}"
        );
        lab.host.ip("link set nl0 mtu 1580\n");
        let narrow = |way: &Way| matches!(way, Way::Known { mtu_bytes: 1580, .. });
        way_once((&netlink, &mut changes), destination, narrow).await;
    });
}

#[test]
fn an_ipv6_link_local_gateway_is_resolved() {
    Lab::new().run(async |_, netlink, mut changes| {
        let destination = address("fd00:3::2");
        let first = netlink.way_to(destination).await.unwrap();
        assert_eq!(problem(&first), "fe80::1 on nl0 has not answered neighbour discovery");
        let way = way_once((&netlink, &mut changes), destination, leads_to(PEER_MAC)).await;
        assert!(
            matches!(way, Way::Known { gateway, .. } if gateway == address("fe80::1")),
            "{way:?}"
        );
    });
}

#[test]
fn an_ipv4_route_through_an_ipv6_gateway_is_resolved() {
    Lab::new().run(async |lab, netlink, mut changes| {
        lab.host.ip("route add 10.4.0.0/16 via inet6 fe80::1 dev nl0\n");
        let destination = address("10.4.0.2");
        way_once((&netlink, &mut changes), destination, leads_to(PEER_MAC)).await;
    });
}

#[test]
fn destinations_without_a_way_say_why() {
    Lab::new().run(async |lab, netlink, _changes| {
        lab.host.ip("route add blackhole 10.5.0.0/24\n\
             route add unreachable 10.5.1.0/24\n\
             route add prohibit 10.5.2.0/24\n\
             route add blackhole fd00:5::/64\n\
             route add unreachable fd00:5:1::/64\n\
             route add prohibit fd00:5:2::/64\n");
        let expected = [
            ("10.9.0.2", "no route to 10.9.0.2"),
            ("10.5.0.2", "the route to 10.5.0.2 is a blackhole"),
            ("10.5.1.2", "the route to 10.5.1.2 says unreachable"),
            ("10.5.2.2", "the route to 10.5.2.2 says prohibited"),
            ("10.2.0.2", "10.2.0.2 is an address of this machine"),
            ("10.2.0.255", "10.2.0.255 is a broadcast address"),
            ("fd00:9::2", "no route to fd00:9::2"),
            ("fd00:5::2", "the route to fd00:5::2 is a blackhole"),
            ("fd00:5:1::2", "the route to fd00:5:1::2 says unreachable"),
            ("fd00:5:2::2", "the route to fd00:5:2::2 says prohibited"),
        ];
        let destinations = expected.map(|(destination, _)| address(destination));
        let ways = netlink.ways_to(&destinations).await.unwrap();
        let said: Vec<&str> = ways.iter().map(problem).collect();
        assert_eq!(said, expected.map(|(_, sentence)| sentence));
    });
}

#[test]
fn a_lost_carrier_is_reported_and_its_return_too() {
    Lab::new().run(async |lab, netlink, mut changes| {
        let destination = address("10.3.0.2");
        way_once((&netlink, &mut changes), destination, leads_to(PEER_MAC)).await;
        lab.peer.ip("link set nl1 down\n");
        let is_down = |way: &Way| matches!(way, Way::Unknown { link: Some(link), .. } if !link.up);
        let way = way_once((&netlink, &mut changes), destination, is_down).await;
        assert_eq!(problem(&way), "nl0 is down, which leads to 10.2.0.1");
        lab.peer.ip("link set nl1 up\n");
        way_once((&netlink, &mut changes), destination, leads_to(PEER_MAC)).await;
        // Taken down on this side, the link takes its routes along.
        lab.host.ip("link set nl0 down\n");
        let lost = |way: &Way| matches!(way, Way::Unknown { gateway: None, .. });
        let way = way_once((&netlink, &mut changes), destination, lost).await;
        assert_eq!(problem(&way), "no route to 10.3.0.2");
    });
}

#[test]
fn a_silent_gateway_is_reported_and_asked_again() {
    Lab::new().run(async |lab, netlink, mut changes| {
        let silent = address("10.2.0.77");
        let waiting = "10.2.0.77 on nl0 has not answered ARP";
        assert_eq!(problem(&netlink.way_to(silent).await.unwrap()), waiting);
        let failed = async {
            while !lab.host.ip("neigh show 10.2.0.77\n").contains("FAILED") {
                changes.next().await.unwrap();
            }
        };
        patiently("the kernel to give up", failed).await;
        lab.peer.ip("addr add 10.2.0.77/24 dev nl1\n");
        way_once((&netlink, &mut changes), silent, leads_to(PEER_MAC)).await;
    });
}

#[test]
fn a_stale_neighbour_is_used_as_it_is_and_verified() {
    Lab::new().run(async |lab, netlink, _changes| {
        let gateway = address("10.2.0.1");
        let state = || lab.host.ip("neigh show 10.2.0.1\n");
        lab.host.ip("neigh replace 10.2.0.1 lladdr 02:00:00:00:00:a1 dev nl0 nud stale\n");
        let way = netlink.way_to(gateway).await.unwrap();
        assert!(leads_to(PEER_MAC)(&way), "{way:?}");
        assert!(state().contains("STALE"), "{}", state());
        let Way::Known { link, .. } = way else { panic!("known above") };
        netlink.verify_stale(&BTreeSet::from([(link.index + 1, gateway)])).await.unwrap();
        assert!(state().contains("STALE"), "another interface's: {}", state());
        netlink.verify_stale(&BTreeSet::from([(link.index, gateway)])).await.unwrap();
        assert!(!state().contains("STALE"), "{}", state());
    });
}

#[test]
fn a_permanent_neighbour_is_left_alone() {
    Lab::new().run(async |lab, netlink, _changes| {
        let gateway = address("10.2.0.1");
        lab.host.ip("neigh replace 10.2.0.1 lladdr 02:00:00:00:00:a1 dev nl0 nud permanent\n");
        let way = netlink.way_to(gateway).await.unwrap();
        let Way::Known { link, .. } = way else { panic!("{way:?}") };
        netlink.verify_stale(&BTreeSet::from([(link.index, gateway)])).await.unwrap();
        let state = lab.host.ip("neigh show 10.2.0.1\n");
        assert!(state.contains("PERMANENT"), "{state}");
    });
}

#[test]
fn a_thousand_destinations_are_answered_in_their_order() {
    Lab::new().run(async |_, netlink, mut changes| {
        way_once((&netlink, &mut changes), address("10.3.0.2"), leads_to(PEER_MAC)).await;
        let destinations: Vec<IpAddr> = (0..1000_u32)
            .map(|n| Ipv4Addr::from(if n % 2 == 0 { 0x0a03_0000 } else { 0x0a09_0000 } + n).into())
            .collect();
        let ways = netlink.ways_to(&destinations).await.unwrap();
        assert_eq!(ways.len(), destinations.len());
        for (n, (way, destination)) in ways.iter().zip(&destinations).enumerate() {
            if n % 2 == 0 {
                assert!(leads_to(PEER_MAC)(way), "{destination}: {way:?}");
            } else {
                assert_eq!(problem(way), format!("no route to {destination}"));
            }
        }
        assert_eq!(netlink.ways_to(&[]).await.unwrap(), []);
    });
}

#[test]
fn every_kind_of_change_is_reported() {
    Lab::new().run(async |lab, _netlink, mut changes| {
        for command in [
            "link set nl0 mtu 1580",
            "route add 10.9.0.0/24 via 10.2.0.1",
            "route del 10.9.0.0/24",
            "route add fd00:9::/64 via fe80::1 dev nl0",
            "route del fd00:9::/64",
            "rule add from 10.2.0.9 table 100",
            "-6 rule add from fd00:9::9 table 100",
            "neigh replace 10.2.0.9 lladdr 02:00:00:00:00:a9 dev nl0 nud permanent",
            "neigh replace fe80::9 lladdr 02:00:00:00:00:a9 dev nl0 nud permanent",
            "neigh del 10.2.0.9 dev nl0",
        ] {
            // What earlier commands caused must not be taken for the effect of this one.
            while let Ok(Some(_changed)) = timeout(Duration::from_millis(150), changes.next()).await
            {
            }
            let arguments: Vec<&str> = ["ip"].into_iter().chain(command.split(' ')).collect();
            lab.host.run(&arguments, "");
            patiently(command, changes.next()).await.unwrap();
        }
    });
}

#[test]
fn an_interface_that_does_not_exist_is_none() {
    Lab::new().run(async |_, netlink, _changes| {
        for name in ["nl9", "", "a-name-longer-than-interfaces-have"] {
            assert_eq!(netlink.link(name).await.unwrap(), None, "{name:?}");
        }
    });
}
