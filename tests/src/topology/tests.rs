//! What the topology itself promises, without the product: links, routes, answers, no remains.

use super::*;
use crate::http::fetch;
use crate::http::load::Load;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn origins_answer_at_their_own_addresses_over_ipv4_and_ipv6() {
    let topology = Topology::new("direct").unwrap();
    let upload = vec![b'x'; 256 * 1024];
    for (number, name) in ORIGIN_NAMES.into_iter().enumerate() {
        for target in [port_80(ORIGINS_V4[number]), port_80(ORIGINS_V6[number])] {
            let tally = topology.expect_answers(target, 20).unwrap();
            assert_eq!(tally.of(name), 20, "{tally}");
            let answer = topology.client.enter(|| fetch(target, &upload)).unwrap();
            assert_eq!(answer.as_deref(), Ok(name));
        }
    }
}

#[test]
fn the_router_sends_vip_traffic_to_the_balancer() {
    let topology = Topology::new("route").unwrap();
    for vip in [IpAddr::from(VIP_V4), VIP_V6.into()] {
        // The balancer answers for the VIP itself, as it never does in production.
        topology.balancer.ip(&format!("addr add {vip} dev lo\n")).unwrap();
        let socket = topology.balancer.udp_socket((vip, 80)).unwrap();
        topology
            .client
            .enter(|| {
                let any: IpAddr = if vip.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
                std::net::UdpSocket::bind((any, 0)).unwrap().send_to(b"?", (vip, 80)).unwrap();
            })
            .unwrap();
        assert_eq!(receive(&socket, LIMIT).unwrap().as_deref(), Some(&b"?"[..]), "{vip}");
    }
}

#[test]
fn the_routers_end_of_the_balancers_link_runs_a_native_program() {
    let topology = Topology::new("native").unwrap();
    let links = topology.router.ip_json(&["link", "show", "dev", network::BALANCER]).unwrap();
    // 1 is XDP_ATTACHED_DRV.
    assert_eq!(links.pointer("/0/xdp/mode"), Some(&1.into()), "{links:#}");
    assert_eq!(links.pointer("/0/mtu"), Some(&1600.into()), "{links:#}");
}

#[test]
fn hosts_see_their_own_interfaces_and_pins_only() {
    let topology = Topology::new("isolation").unwrap();
    let interfaces = topology.balancer.list(Path::new("/sys/class/net")).unwrap();
    assert_eq!(interfaces, ["eth0", "lo"]);
    let dir = Path::new(BPFFS).join("mine");
    topology.balancer.enter(|| std::fs::create_dir(&dir)).unwrap().unwrap();
    let listed = |host: &Host| host.list(Path::new(BPFFS)).unwrap();
    assert!(listed(&topology.balancer).contains(&"mine".to_owned()));
    assert!(!listed(&topology.router).contains(&"mine".to_owned()));
    assert!(!dir.exists(), "a host's mount shows outside of it");
}

#[test]
fn a_dropped_topology_leaves_no_process_and_no_file() {
    let topology = Topology::new("remains").unwrap();
    let dir = topology.dir().to_owned();
    let pids = topology.origins.each_ref().map(|origin| origin.nginx.pid());
    let alive = || pids.iter().any(|pid| Path::new(&format!("/proc/{pid}")).exists());
    assert!(dir.exists() && alive());
    drop(topology);
    assert!(!dir.exists() && !alive());
}

#[test]
fn a_load_counts_answers_until_it_is_stopped_and_settles_in_between() {
    let mut topology = Topology::new("load").unwrap();
    let targets = [port_80(ORIGINS_V4[0]), port_80(ORIGINS_V6[1])];
    let load = Load::start(&topology.client, &targets, Duration::from_millis(1));
    let new = load.wait_for(100, LIMIT).unwrap();
    assert!(new.failed() == 0 && new.of("origin1") > 0 && new.of("origin2") > 0, "{new}");
    // Origin 1 goes; whatever is counted after the load has settled was begun after that.
    topology.origins[0].nginx.kill_now().unwrap();
    let settled = load.settle().unwrap();
    let new = load.wait_for(100, LIMIT).unwrap();
    let all = load.stop().unwrap();
    let after = all.since(&settled);
    assert!(after.of("origin1") == 0 && after.failed() > 0 && after.of("origin2") > 0, "{after}");
    assert!(after.answered() + after.failed() >= new.answered() + new.failed(), "{all}");
}

#[test]
fn a_failed_test_keeps_its_files_and_names_them() {
    let error = on_topology("failing", |_| anyhow::bail!("as intended")).unwrap_err();
    assert_eq!(error.root_cause().to_string(), "as intended");
    let message = error.to_string();
    let dir = message.split_whitespace().last().map(PathBuf::from).unwrap();
    assert!(dir.is_dir(), "{message}");
    std::fs::remove_dir_all(dir).unwrap();
}
