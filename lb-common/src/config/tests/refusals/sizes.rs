//! Configurations that are larger than the maps they ask for.

use std::vec::Vec;

use super::{Row, check};
use crate::config::tests::{accepted, edited, refused};

#[test]
fn configurations_that_outgrow_the_maps_are_refused_with_their_place() {
    check(WRONG_SIZES);
}

const WRONG_SIZES: &[Row] = &[
    (
        "interfaces:",
        "cluster: { hash_seed: too short }\ninterfaces:",
        "2:23: cluster.hash_seed: must be 16..=1024 characters long",
    ),
    (
        "interfaces:",
        "limits: { services: 0 }\ninterfaces:",
        "2:21: limits.services: 0 is not in 1..=1048576",
    ),
    (
        "interfaces:",
        "limits: { pools: 65537 }\ninterfaces:",
        "2:18: limits.pools: 65537 is not in 1..=65536",
    ),
    (
        "interfaces:",
        "limits: { backends: 32767 }\ninterfaces:",
        "2:21: limits.backends: 32767 is not in 1..=32766",
    ),
    (
        "interfaces:",
        "limits: { pins: 7 }\ninterfaces:",
        "2:17: limits.pins: 7 is not in 8..=134217728",
    ),
    (
        "interfaces:",
        "limits: { fragments: 134217729 }\ninterfaces:",
        "2:22: limits.fragments: 134217729 is not in 8..=134217728",
    ),
    (
        "interfaces:",
        "limits: { services: 1 }\ninterfaces:",
        "15:3: services: 3 ports and VIPs of services are more than limits.services = 1",
    ),
    (
        "interfaces:",
        "limits: { backends: 1 }\ninterfaces:",
        "6:3: pools: 2 backends are more than limits.backends = 1",
    ),
    (
        "services:\n",
        "  - { name: b, backends: [] }\nlimits: { pools: 1 }\nservices:\n",
        "5:3: pools: 2 pools are more than limits.pools = 1",
    ),
    (
        "interfaces:",
        "limits: { table_slots: 130000 }\ninterfaces:",
        "6:3: pools: 131072 table slots (all pools, the largest twice, in pages of 1024) are more than limits.table_slots = 130048",
    ),
];

#[test]
fn rotations_need_room_beside_their_tables() {
    let with = |scheduler: &str, room: u32| {
        let text = edited("    health:", &std::format!("    scheduler: {scheduler}\n    health:"));
        let limits = std::format!("limits: {{ table_slots: {room} }}\ninterfaces:");
        text.replace("interfaces:", &limits)
    };
    // 64 pages of a table, and one more with at most 1,024 backends, or 64 more; all of it twice.
    let cases =
        [("maglev", 128), ("random", 128), ("round-robin", 130), ("weighted-round-robin", 256)];
    for (scheduler, pages) in cases {
        accepted(&with(scheduler, pages * 1024));
        let refusal = refused(&with(scheduler, (pages - 1) * 1024));
        assert!(refusal.contains(&std::format!("{} table slots", pages * 1024)), "{refusal}");
    }
}

#[test]
fn a_server_id_needs_room_once_for_each_configuration_it_is_of() {
    let quic = "    quic: [{ config_id: 0, server_id_bytes: 1 }, { config_id: 1, server_id_bytes: 1 }, \
                { config_id: 2, server_id_bytes: 1 }]\n    health:";
    let text = edited("    health:", quic).replace("weight: 50", "quic_server_id: a0");
    let with = |room| {
        text.replace("interfaces:", &std::format!("limits: {{ backends: {room} }}\ninterfaces:"))
    };
    accepted(&with(3));
    let refusal = refused(&with(2));
    assert!(
        refusal.ends_with(
            "3 QUIC server ids (of each configuration) are more than limits.backends = 2"
        ),
        "{refusal}"
    );
}

#[test]
fn more_backends_than_slots_are_refused() {
    let backend =
        |number| std::format!("      - {{ name: b{number}, address: 10.9.0.{number} }}\n");
    let many = (0..252).map(backend).collect::<Vec<_>>().concat();
    let text = edited("      - name: web-1\n", &(many + "      - name: web-1\n"))
        .replace("    health:", "    table_slots: 251\n    health:");
    assert_eq!(
        refused(&text),
        "edge.yaml:6:18: pools[0].table_slots: 251 slots are too few for 254 backends"
    );
}
