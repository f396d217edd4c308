//! Probes of real sockets on this host's loopback.

mod dns;
mod exec;
mod grpc;
mod http;
mod icmp;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use lb_common::config::{HealthCheck, HealthVia};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};

use super::*;

/// Far more than anything takes that is not meant to take for ever.
const LIMIT: Duration = Duration::from_secs(20);

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

/// A port that nobody listens on; nobody else gets it as long as the socket is there.
fn closed_port() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn question(address: SocketAddr, kind: HealthKind, limit: Duration) -> Probe {
    let check = HealthCheck {
        kind,
        port: None,
        interval: limit * 2,
        timeout: limit,
        rise: 1,
        fall: 1,
        panic_threshold: 1,
        via: HealthVia::Direct,
    };
    let (pool, backend) = ("web".to_owned(), "web-1".to_owned());
    let (check, id) = (Arc::new(check), ProbeId::default());
    Probe { id, pool, backend, address, tunnel: None, check, report_port: None }
}

const fn errand(probe: Probe) -> Errand {
    Errand { probe, counts: None }
}

async fn asked(address: SocketAddr, kind: HealthKind, limit: Duration) -> Outcome {
    Asker::default().probe(&errand(question(address, kind, limit))).await.unwrap()
}

#[test]
fn what_this_host_lacks_is_not_the_backends_fault() {
    assert!(is_ours(&io::Error::from(Errno::EMFILE)));
    assert!(!is_ours(&io::Error::from(Errno::ECONNREFUSED)));
    assert!(!is_ours(&io::Error::other("no number")));
}

#[tokio::test]
async fn what_is_for_the_tunnel_is_not_sent_when_nothing_would_wrap_it() {
    let open = server(&[], Duration::ZERO).await;
    let index = lb_common::abi::BackendIndex::new(7).unwrap();
    let (backend, encapsulation) = (open.ip(), lb_common::config::Encapsulation::Ipip);
    let tunnel = Some(crate::core::health::Tunnel { backend, encapsulation, index });
    let probe = Probe { tunnel, ..question(open, HealthKind::Tcp, LIMIT) };
    let (asked, steps) = Asker::default().explain(&errand(probe)).await;
    assert!(matches!(asked, Err(NotAsked::NotLoaded)), "{asked:?}");
    let steps: Vec<_> = steps.iter().map(|step| step.name).collect();
    assert_eq!(steps, ["tunnel"], "nothing was connected");
}

#[tokio::test]
async fn the_thread_answers_each_question_by_its_number() {
    let open = server(&[], Duration::ZERO).await;
    let (prober, mut finished) = Prober::start().unwrap();
    prober.ask(errand(question(open, HealthKind::Tcp, LIMIT)));
    let (id, outcome) = finished.recv().await.unwrap();
    assert_eq!(id, ProbeId::default());
    assert!(outcome.unwrap().passed);
    drop(prober);
    assert!(finished.recv().await.is_none(), "the thread goes on");
}

#[tokio::test]
async fn a_port_that_accepts_passes_and_a_closed_one_does_not() {
    let open = server(&[], Duration::ZERO).await;
    let outcome = asked(open, HealthKind::Tcp, LIMIT).await;
    assert!(outcome.passed, "{outcome:?}");

    let (_held, closed) = closed_port();
    let outcome = asked(closed, HealthKind::Tcp, LIMIT).await;
    assert!(!outcome.passed);
    assert!(outcome.detail.contains("refused"), "{outcome:?}");
}

#[tokio::test]
async fn no_more_probes_are_under_way_than_there_is_room_for() {
    const ROOM: usize = 3;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, questions) = mpsc::unbounded_channel();
    let (answers, mut finished) = mpsc::unbounded_channel();
    tokio::spawn(ask_all(questions, answers, ROOM));
    let silence = HealthKind::Http(http::plain());
    for _ in 0..ROOM * 2 {
        let probe = question(address, silence.clone(), LIMIT);
        asked.send(Question::Due(errand(probe))).unwrap();
    }
    let mut open = Vec::new();
    for _ in 0..ROOM {
        open.push(listener.accept().await.unwrap());
    }
    // A fourth has every opportunity.
    let more = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(more.is_err(), "one more than there is room for");
    // Somebody at the keyboard does not wait for a turn.
    let (answer, answered) = oneshot::channel();
    let (_held, closed) = closed_port();
    let by_hand = question(closed, HealthKind::Tcp, LIMIT);
    asked.send(Question::Trial(errand(by_hand), answer)).unwrap();
    let soon = timeout(LIMIT / 4, answered).await.expect("it waits for a turn");
    assert!(!soon.unwrap().0.unwrap().passed);
    open.pop();
    assert!(!finished.recv().await.unwrap().1.unwrap().passed);
    timeout(LIMIT, listener.accept()).await.expect("the next has its turn").unwrap();
}
