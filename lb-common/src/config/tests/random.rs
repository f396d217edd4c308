//! Claims about texts nobody thought of.

use std::collections::BTreeMap;
use std::format;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::{BASE, parse};
use crate::config::Desired;
use crate::config::file::{
    BackendFile, ClusterFile, ConfigFile, EncapSourceFile, FailoverFile, HealthFile, HealthType,
    IcmpFile, InterfaceFile, LimitsFile, MetricsFile, NodeFile, PoolFile, QuicFile, ServiceFile,
    StatusFile, StatusesFile,
};
use crate::config::{Encapsulation, HealthVia, HttpMethod, Mode, Protocol, Scheduler};

fn health() -> impl Strategy<Value = HealthFile> {
    (any::<bool>(), 1..=65_535_i64, 20..5000_u64, 1..=100_i64).prop_map(
        |(is_http, port, interval_ms, streak)| HealthFile {
            kind: if is_http { HealthType::Http } else { HealthType::Tcp },
            path: is_http.then(|| "/ready?full=1".to_string()),
            method: is_http.then_some(HttpMethod::Get),
            host: is_http.then(|| "www.example:8080".to_string()),
            expect_status: is_http.then(|| {
                let range = StatusFile::Range("300-302".to_string());
                StatusesFile::List(vec![StatusFile::Number(200), range])
            }),
            expect_body: is_http.then(|| "\"ok\": ✓".to_string()),
            server_name: None,
            ca: None,
            verify: None,
            query: None,
            record: None,
            expect_rcode: None,
            service: None,
            tls: None,
            command: None,
            environment: None,
            user: None,
            port: Some(port),
            interval: format!("{interval_ms}ms"),
            timeout: format!("{}ms", interval_ms / 2),
            rise: streak,
            fall: 101 - streak,
            panic_threshold: streak,
            via: HealthVia::Direct,
        },
    )
}

/// A pool whose backends have addresses that no other pool's have: by `number`.
fn pool(number: u16) -> impl Strategy<Value = PoolFile> {
    let sizes = prop::sample::select(&[251_i64, 1021, 65_521][..]);
    let backends = proptest::collection::vec((any::<bool>(), 0..=1000_i64, 0..=255_i64), 0..6);
    let how =
        (prop::sample::select(&Scheduler::ALL[..]), prop::sample::select(&Encapsulation::ALL[..]));
    (sizes, how, proptest::option::of(health()), backends).prop_map(
        move |(table_slots, (scheduler, encapsulation), health, backends)| PoolFile {
            name: format!("pool.{number}"),
            scheduler,
            encapsulation,
            quic: vec![QuicFile { config_id: 3, server_id_bytes: 2 }],
            table_slots,
            flow_idle_timeout: "90s".into(),
            udp_idle_timeout: Some("1500ms".into()),
            health,
            failover: FailoverFile::default(),
            adapt: None,
            backends: (1_u8..)
                .zip(backends)
                .map(|(index, (is_ipv4, weight, tier))| BackendFile {
                    name: format!("b_{index}"),
                    address: if is_ipv4 {
                        let [high, low] = number.to_be_bytes();
                        Ipv4Addr::new(10, high, low, index).to_string()
                    } else {
                        Ipv6Addr::new(0xfd00, number, 0, 0, 0, 0, 0, index.into()).to_string()
                    },
                    weight,
                    tier,
                    quic_server_id: (tier % 2 == 0).then(|| format!("a0{index:02x}")),
                })
                .collect(),
        },
    )
}

/// Services of the pools, each with a VIP of its own.
fn services(pools: usize) -> impl Strategy<Value = Vec<ServiceFile>> {
    let ports = proptest::collection::btree_set(1..=65_535_i64, 1..4);
    proptest::collection::vec((any::<bool>(), ports, 0..pools), 0..5).prop_map(|services| {
        (1_u8..)
            .zip(services)
            .map(|(number, (is_tcp, ports, pool))| ServiceFile {
                name: format!("service-{number}"),
                vip: Ipv4Addr::new(203, 0, 113, number).to_string(),
                protocol: if is_tcp { Protocol::Tcp } else { Protocol::Udp },
                ports: ports.into_iter().collect(),
                pool: format!("pool.{pool}"),
            })
            .collect()
    })
}

fn valid_file() -> impl Strategy<Value = ConfigFile> {
    let pools = (pool(0), pool(1), pool(2)).prop_map(|(a, b, c)| Vec::from([a, b, c]));
    (pools, services(3), proptest::option::of("[ -~]{16,40}")).prop_map(
        |(pools, services, hash_seed)| {
            let mut file = ConfigFile {
                node: NodeFile {
                    name: "edge".into(),
                    encap_source: EncapSourceFile::default(),
                    gue_port: 6080,
                    icmp: IcmpFile::default(),
                },
                interfaces: Vec::from([InterfaceFile { name: "eth0".into(), mode: Mode::Native }]),
                cluster: ClusterFile { hash_seed },
                limits: LimitsFile::default(),
                metrics: MetricsFile::default(),
                pools,
                services,
            };
            file.node.encap_source.ipv4 = Some("10.255.0.1".into());
            file.node.encap_source.ipv6 = Some("fd00:ffff::/64".into());
            file
        },
    )
}

/// Whether `desired` says what `file` does, by way of the fields' own texts.
fn says_the_same(desired: &Desired, file: &ConfigFile) -> bool {
    let pool_says = |pool: &PoolFile| {
        let checked = &desired.pools[&pool.name];
        checked.backends.len() == pool.backends.len()
            && i64::from(checked.table_slots) == pool.table_slots
            && (checked.scheduler, checked.encapsulation) == (pool.scheduler, pool.encapsulation)
            && checked.quic == BTreeMap::from([(3, 2)])
            && checked.flow_idle_timeout.as_secs() == 90
            && checked.udp_idle_timeout.as_millis() == 1500
            && checked.health.is_some() == pool.health.is_some()
            && pool.backends.iter().all(|backend| {
                let checked = &checked.backends[&backend.name];
                checked.address.to_string() == backend.address
                    && i64::from(checked.weight.value()) == backend.weight
                    && i64::from(checked.tier) == backend.tier
                    && checked.quic_server_id.as_ref().map(ToString::to_string)
                        == backend.quic_server_id
            })
    };
    let service_says = |service: &ServiceFile| {
        let checked = &desired.services[&service.name];
        checked.vip.to_string() == service.vip
            && checked.protocol == service.protocol
            && checked.pool == service.pool
            && checked.ports.iter().map(|port| i64::from(*port)).eq(service.ports.iter().copied())
    };
    desired.pools.len() == file.pools.len()
        && desired.services.len() == file.services.len()
        && file.pools.iter().all(pool_says)
        && file.services.iter().all(service_says)
}

/// Fragments that YAML gives a meaning to, and pieces of a valid file.
fn yaml_like() -> impl Strategy<Value = String> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ":",
        ": ",
        "- ",
        "\n",
        "\n  ",
        "? ",
        "&a ",
        "*a",
        "!x ",
        "|\n",
        ">\n",
        "'",
        "\"",
        "#",
        "---\n",
        "...\n",
        "<<",
        "~",
        "node",
        "pools",
        "services",
        "name",
        "web",
        "0x10",
        "1e9",
        "\t",
        "\u{feff}",
        "%YAML 1.2\n",
        "\\",
        "\u{0}",
        "é",
        "`",
    ];
    proptest::collection::vec(prop::sample::select(Vec::from(pieces)), 0..60)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_valid_file_is_read_as_it_was_written(file in valid_file()) {
        let text = serde_yaml::to_string(&file).unwrap();
        let desired = parse("x", &text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(says_the_same(&desired, &file), "{text}");
    }

    #[test]
    fn the_order_of_pools_and_services_means_nothing(file in valid_file()) {
        let mut reversed = file.clone();
        reversed.pools.reverse();
        reversed.services.reverse();
        let [a, b] = [&file, &reversed].map(|file| parse("x", &serde_yaml::to_string(file).unwrap()));
        prop_assert_eq!(a.unwrap(), b.unwrap());
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".*") {
        let _ = parse("x", &text);
    }

    #[test]
    fn no_yaml_like_text_makes_the_parser_panic(text in yaml_like()) {
        let _ = parse("x", &text);
    }

    #[test]
    fn no_damage_to_a_valid_text_makes_the_parser_panic(
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
        instead in yaml_like(),
    ) {
        let start = at.index(BASE.len());
        let end = (start + length).min(BASE.len());
        if let (Some(head), Some(tail)) = (BASE.get(..start), BASE.get(end..))
            && let Err(error) = parse("x", &(head.to_string() + &instead + tail))
        {
            // A refusal always says why, and a place in the file whenever there is one.
            prop_assert!(!error.problems.is_empty());
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
