//! ICMP echo: who answers, and who does not.

use nix::sched::{CloneFlags, unshare};

use super::*;

fn at(address: &str) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), 0)
}

#[tokio::test]
async fn a_host_that_answers_passes_over_either_ip_version() {
    for address in ["127.0.0.1", "::1"] {
        let outcome = asked(at(address), HealthKind::Icmp, LIMIT).await;
        assert_eq!((outcome.passed, outcome.detail.as_str()), (true, "echo reply"), "{address}");
    }
}

#[tokio::test]
async fn many_at_once_each_get_their_own_reply() {
    let questions = (0..100).map(|_| asked(at("127.0.0.1"), HealthKind::Icmp, LIMIT));
    let outcomes = futures::future::join_all(questions).await;
    assert!(outcomes.iter().all(|outcome| outcome.passed), "{outcomes:?}");
}

#[test]
fn a_host_to_which_there_is_no_way_fails_at_once() {
    // A namespace with nothing but a loopback that is down.
    let alone = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(asked(at("198.51.100.1"), HealthKind::Icmp, LIMIT))
    });
    let outcome = alone.join().unwrap();
    assert!(!outcome.passed);
    assert!(outcome.detail.starts_with("no reply: Network is unreachable"), "{outcome:?}");
}
