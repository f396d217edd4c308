//! Probes of real sockets on this host's loopback.

use std::net::SocketAddr;
use std::time::Duration;

use lb_common::config::HealthKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server that answers each connection with `answer`, in pieces, with a pause after each.
async fn server(answer: &'static [&'static str], pause: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                for piece in answer {
                    if stream.write_all(piece.as_bytes()).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            });
        }
    });
    address
}

async fn asked(address: SocketAddr, kind: HealthKind, limit: Duration) -> Outcome {
    let timeout_ns = u64::try_from(limit.as_nanos()).unwrap();
    probe(&Probe { id: ProbeId::default(), address, kind, timeout_ns }).await.unwrap()
}

fn http() -> HealthKind {
    HealthKind::Http { path: "/healthz".into() }
}

#[test]
fn what_this_host_lacks_is_not_the_backends_fault() {
    assert!(is_ours(&io::Error::from(Errno::EMFILE)));
    assert!(!is_ours(&io::Error::from(Errno::ECONNREFUSED)));
    assert!(!is_ours(&io::Error::other("no number")));
}

#[tokio::test]
async fn the_thread_answers_each_question_by_its_number() {
    let open = server(&[], Duration::ZERO).await;
    let (prober, mut finished) = Prober::start().unwrap();
    prober.ask(Probe {
        id: ProbeId::default(),
        address: open,
        kind: HealthKind::Tcp,
        timeout_ns: 20_000_000_000,
    });
    let (id, outcome) = finished.recv().await.unwrap();
    assert_eq!(id, ProbeId::default());
    assert!(outcome.unwrap().passed);
    drop(prober);
    assert!(finished.recv().await.is_none(), "the thread goes on");
}

const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_port_that_accepts_passes_and_a_closed_one_does_not() {
    let open = server(&[], Duration::ZERO).await;
    let outcome = asked(open, HealthKind::Tcp, LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let outcome = asked(closed, HealthKind::Tcp, LIMIT).await;
    assert!(!outcome.passed);
    assert!(outcome.detail.contains("refused"), "{outcome:?}");
}

#[tokio::test]
async fn any_status_2xx_passes_and_the_others_are_told() {
    for (answer, passed, detail) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true, "200 OK"),
        ("HTTP/1.1 204 No Content\r\n\r\n", true, "204 No Content"),
        ("HTTP/1.0 200 OK\r\n\r\n", true, "200 OK"),
        ("HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n", false, "the answer is 301"),
        ("HTTP/1.1 503 Busy\r\n\r\n", false, "the answer is 503"),
        ("SSH-2.0-OpenSSH_9.6\r\n", false, "no HTTP answer"),
        ("", false, "no HTTP answer"),
    ] {
        let answer: &'static [&'static str] = Box::leak(Box::new([answer]));
        let outcome = asked(server(answer, Duration::ZERO).await, http(), LIMIT).await;
        assert_eq!(outcome.passed, passed, "{outcome:?}");
        assert!(outcome.detail.starts_with(detail), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_answer_that_comes_drop_by_drop_holds_no_check() {
    const DROPS: &[&str] = &["H"; 10_000];
    let slow = server(DROPS, Duration::from_millis(20)).await;
    let outcome = asked(slow, http(), Duration::from_millis(200)).await;
    assert!(!outcome.passed);
    assert_eq!(outcome.detail, "no answer within 200ms");
}
