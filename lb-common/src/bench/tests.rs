//! Every flow comes once a round, and is told from every other.

use std::collections::BTreeSet;
use std::vec::Vec;

use super::*;

#[test]
fn a_round_of_packets_visits_every_flow_once() {
    for flows in [1_u64, 2, 1024, 16_384, 131_072, 524_288] {
        for first in [0, 1, 77_777, u64::MAX - 5] {
            let round = (0..flows).map(|packet| flow_of(first.wrapping_add(packet), flows - 1));
            let visited: BTreeSet<_> = round.collect();
            assert_eq!(visited.len() as u64, flows, "{flows} flows from packet {first}");
            assert_eq!(visited.last(), Some(&(flows - 1)));
        }
    }
}

#[test]
fn flows_are_not_visited_in_their_order() {
    let visited: Vec<_> = (0..1024).map(|packet| flow_of(packet, 1023)).collect();
    let neighbours = visited.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1);
    assert_eq!(neighbours.count(), 0);
}

#[test]
fn no_two_flows_have_the_same_client() {
    let near = (0..1 << 19).map(client_of);
    assert_eq!(near.collect::<BTreeSet<_>>().len(), 1 << 19);
    // Flows that share the address differ in the port.
    let far = (0..1 << 14).map(|high| client_of(high << 24 | 0x00ab_cdef));
    assert_eq!(far.collect::<BTreeSet<_>>().len(), 1 << 14);
}

#[test]
fn new_flows_never_repeat_within_a_benchmark() {
    let flows: BTreeSet<_> = (0..1_000_000).map(|packet| flow_of(packet, ALL_FLOWS)).collect();
    assert_eq!(flows.len(), 1_000_000);
}
