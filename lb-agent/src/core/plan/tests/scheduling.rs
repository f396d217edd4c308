//! Plans that change schedulers, rotations and server ids.

use lb_common::abi::PoolEntry;
use lb_common::config::Desired;

use super::written::names;
use super::{after, tables};
use crate::core::plan::*;
use crate::core::samples::{Agent, desired};
use crate::core::target::Ways;

const SCHEDULERS: [&str; 6] =
    ["maglev", "source-hash", "round-robin", "weighted-round-robin", "least-connections", "random"];

/// One pool of two backends with this scheduler; the second has this weight.
fn pool(scheduler: &str, weight: u16, fields: &str) -> Desired {
    desired(
        &format!(
            "[{{ name: web, table_slots: 251, scheduler: {scheduler}, {fields} backends: [
               {{ name: b1, address: 10.3.0.1 }},
               {{ name: b2, address: 10.3.0.2, weight: {weight} }} ] }}]"
        ),
        "[]",
    )
}

fn change(agent: &mut Agent, desired: &Desired) -> String {
    names(&agent.change(desired, &Ways::new()).unwrap().ops)
}

fn entry(agent: &Agent) -> PoolEntry {
    agent.observed.pools[&0]
}

/// Whether all slots are in transition, and whether all name their own backend as `previous`.
fn restless(agent: &Agent) -> (bool, bool) {
    let (_, slots) = tables(&agent.observed).into_values().next().unwrap();
    let all = |is_so: fn(&Slot) -> bool| slots.iter().all(is_so);
    (all(|slot| slot.consult()), all(|slot| slot.previous() == slot.current()))
}

#[test]
fn a_scheduler_that_places_flows_takes_over_from_slots_that_remember_theirs() {
    let mut agent = Agent::default();
    change(&mut agent, &pool("maglev", 100, ""));
    assert!(!restless(&agent).0);
    assert_eq!(change(&mut agent, &pool("random", 100, "")), "PutTable PutPool");
    assert_eq!(restless(&agent), (true, true), "flows without a pin are old ones");
    assert_eq!(change(&mut agent, &pool("least-connections", 100, "")), "PutPool");
    agent.settle();
    assert_eq!(change(&mut agent, &pool("maglev", 100, "")), "PutTable PutPool");
    assert_eq!(restless(&agent), (true, false), "pins of flows count until they have gone");
}

#[test]
fn flows_follow_at_once_where_another_hash_chooses_their_slots() {
    for (before, after) in [("maglev", "source-hash"), ("source-hash", "random")] {
        let mut agent = Agent::default();
        change(&mut agent, &pool(before, 100, ""));
        assert_eq!(change(&mut agent, &pool(after, 100, "")), "PutPool", "the same table");
        assert!(!restless(&agent).0);
        // What an earlier change has left in transition is of no use either.
        let mut agent = Agent::default();
        change(&mut agent, &pool(before, 100, ""));
        change(&mut agent, &pool(before, 1000, ""));
        let ops = change(&mut agent, &pool(after, 1000, ""));
        assert_eq!(ops, "PutTable PutPool", "{before} {after}");
        assert!(!restless(&agent).0);
    }
}

#[test]
fn a_rotation_changes_beside_its_table_and_alone_if_that_stays() {
    let mut agent = Agent::default();
    let ops = change(&mut agent, &pool("round-robin", 100, ""));
    assert!(ops.ends_with("PutTable PutTable PutPool"), "{ops}");
    assert_eq!(entry(&agent).rotation.slots(), 2);
    let ops = change(&mut agent, &pool("weighted-round-robin", 100, ""));
    assert_eq!(ops, "", "equal weights take the same turns");
    let ops = change(&mut agent, &pool("weighted-round-robin", 50, ""));
    assert_eq!(ops, "PutBackend PutTable PutTable PutPool");
    let before = entry(&agent).table;
    // 100 to 50 is 2 to 1, and to take equal turns again the table may stay.
    assert_eq!(change(&mut agent, &pool("round-robin", 50, "")), "PutTable PutPool");
    assert_eq!((entry(&agent).table, entry(&agent).rotation.slots()), (before, 2));
}

#[test]
fn a_rotation_that_is_the_table_moves_with_it() {
    let mut agent = Agent::default();
    for weight in [999, 998] {
        change(&mut agent, &pool("weighted-round-robin", weight, ""));
        let PoolEntry { table, rotation, .. } = entry(&agent);
        assert_eq!(rotation, table);
    }
    change(&mut agent, &pool("random", 998, ""));
    assert_eq!(entry(&agent).rotation.slots(), 0);
}

#[test]
fn server_ids_come_with_their_backend_and_go_before_it() {
    let quic = |ids: &str| {
        let backends = format!("quic: [{{ config_id: 0, server_id_bytes: 1 }}], backends: [{ids}]");
        let pool =
            format!("[{{ name: web, table_slots: 251, flow_idle_timeout: 0s, {backends} }}]");
        desired(&pool, "[]")
    };
    let (a, b) = (
        "{ name: a, address: 10.3.0.1, quic_server_id: 'aa' }",
        "{ name: b, address: 10.3.0.2, quic_server_id: 'bb' }",
    );
    let mut agent = Agent::default();
    assert_eq!(
        change(&mut agent, &quic(a)),
        "ResetBackend PutBackend PutTable PutPool PutQuicServer"
    );
    assert_eq!(
        change(&mut agent, &quic(b)),
        "ResetBackend PutBackend PutTable PutPool RemoveQuicServer PutQuicServer AwaitReaders RemoveBackend"
    );
    let renamed = b.replace("bb", "bc");
    assert_eq!(change(&mut agent, &quic(&renamed)), "RemoveQuicServer PutQuicServer");
}

#[test]
fn any_scheduler_can_follow_any_other_and_nothing_is_left_to_do() {
    for from in SCHEDULERS {
        for to in SCHEDULERS {
            let mut agent = Agent::default();
            change(&mut agent, &pool(from, 100, ""));
            let step = agent.change(&pool(to, 30, ""), &Ways::new()).unwrap();
            let reached = after(&step.observed, &step.ops);
            let again = plan(&reached, &step.target, &step.limits, &BTreeSet::new());
            assert_eq!(again, Ok(vec![]), "{from} -> {to}");
        }
    }
}
