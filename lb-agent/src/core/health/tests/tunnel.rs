//! Checks that go through the tunnel, and probes that ask nobody.

use lb_common::abi::BackendIndex;
use lb_common::config::{Desired, Encapsulation};

use super::super::{Checks, Condition};
use super::{SECOND_NS, START_NS, checked, configured, outcome, seconds};

/// The same backends, checked through the tunnel.
fn tunnelled(fields: &str) -> Desired {
    checked(&format!(", via: tunnel{fields}"))
}

/// Backend `b1` has this index, and `b2` the next.
fn indexed(mut checks: Checks, first: u16) -> Checks {
    checks.follow_indices(|_, name| BackendIndex::new(first + u16::from(name == "b2")));
    checks
}

#[test]
fn checks_through_the_tunnel_ask_the_vip_and_are_wrapped_for_their_own_backend() {
    let checks = indexed(configured(&tunnelled(""), Condition::Unknown), 7);
    let asked = |name: &str| {
        let probe = checks.of("web", name).unwrap().probe("web", name);
        let tunnel = probe.tunnel.unwrap();
        (probe.address.to_string(), tunnel.backend.to_string(), tunnel.index.value())
    };
    assert_eq!(asked("b1"), ("203.0.113.10:443".to_owned(), "10.3.0.1".to_owned(), 7));
    assert_eq!(asked("b2"), ("203.0.113.10:443".to_owned(), "10.3.0.2".to_owned(), 8));
    let checks = configured(&tunnelled(", port: 8443"), Condition::Unknown);
    assert_eq!(checks.of("web", "b1").unwrap().address.port(), 8443);
    assert_eq!(configured(&checked(""), Condition::Unknown).of("web", "b1").unwrap().tunnel, None);
}

#[test]
fn what_is_known_of_a_backend_stays_when_its_check_goes_another_way_to_it() {
    let mut checks = configured(&checked(""), Condition::Up);
    seconds(&mut checks, 1, "---");
    checks.configure(&tunnelled(""), |_, _| Condition::Unknown, START_NS + 4 * SECOND_NS);
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Down);
    // The VIP is the same, the backend behind it is not.
    let mut moved = tunnelled("");
    let backend = moved.pools.get_mut("web").unwrap().backends.get_mut("b1").unwrap();
    backend.address = "10.3.0.9".parse().unwrap();
    checks.configure(&moved, |_, _| Condition::Unknown, START_NS + 5 * SECOND_NS);
    assert_eq!(checks.known("web", "b1", START_NS).condition, Condition::Unknown);
    assert_eq!(checks.known("web", "b2", START_NS).condition, Condition::Up);
}

#[test]
fn a_probe_that_was_wrapped_for_another_index_or_backend_certifies_nobody() {
    let change: [fn(&mut Checks); 3] = [
        |checks| checks.follow_indices(|_, _| BackendIndex::new(11)),
        |checks| {
            let mut moved = tunnelled(", fall: 1");
            let backends = &mut moved.pools.get_mut("web").unwrap().backends;
            for backend in backends.values_mut() {
                let std::net::IpAddr::V4(address) = backend.address else { unreachable!() };
                backend.address = (u32::from(address) + 16).to_be_bytes().into();
            }
            checks.configure(&moved, |_, _| Condition::Unknown, START_NS + SECOND_NS);
        },
        |checks| {
            let mut other = tunnelled(", fall: 1");
            other.pools.get_mut("web").unwrap().encapsulation = Encapsulation::Gre;
            checks.configure(&other, |_, _| Condition::Unknown, START_NS + SECOND_NS);
        },
    ];
    for change in change {
        let mut checks = indexed(configured(&tunnelled(", fall: 1"), Condition::Up), 7);
        let now_ns = START_NS + SECOND_NS;
        let probes = checks.due(now_ns);
        assert_eq!(probes.len(), 2);
        change(&mut checks);
        for probe in probes {
            assert_eq!(checks.finish(probe.id, Some(outcome(false)), now_ns), None);
        }
        assert_eq!(checks.iter().filter(|(_, _, checked)| checked.last().is_some()).count(), 0);
        assert_eq!(checks.due(now_ns + SECOND_NS).len(), 2, "asked again");
    }
}

#[test]
fn why_nobody_was_asked_is_news_once_and_known_until_somebody_is() {
    let mut checks = configured(&checked(", fall: 1"), Condition::Up);
    let mut now_ns = START_NS;
    let mut missed = |checks: &mut Checks, reason| {
        now_ns += SECOND_NS;
        let probes = checks.due(now_ns);
        let id = probes.iter().find(|probe| probe.backend == "b1").unwrap().id;
        let news = checks.miss(id, reason, now_ns).is_some();
        let others = probes.iter().map(|probe| probe.id).filter(|other| *other != id);
        for other in others {
            checks.finish(other, Some(outcome(true)), now_ns);
        }
        news
    };
    assert!(missed(&mut checks, "no way"));
    assert!(!missed(&mut checks, "no way"));
    assert!(missed(&mut checks, "no means"));
    let of_b1 = |checks: &Checks| checks.of("web", "b1").unwrap().clone();
    assert_eq!(of_b1(&checks).not_asked.as_deref(), Some("no means"));
    assert_eq!((of_b1(&checks).machine.condition(), of_b1(&checks).failed), (Condition::Up, 0));
    seconds(&mut checks, 9, "+");
    assert_eq!(of_b1(&checks).not_asked, None);
}
