//! What counts as an answer, and how answers are counted.

use std::net::TcpListener;

use super::*;

/// A server on loopback that gives `answer` to one request.
fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let length = stream.read(&mut request).unwrap();
        assert!(request[..length].starts_with(b"GET / HTTP/1.1\r\n"));
        stream.write_all(answer.as_bytes()).unwrap();
    });
    address
}

#[test]
fn a_complete_answer_gives_its_body() {
    let address = server("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\norigin1");
    assert_eq!(fetch(address, &[]), Ok("origin1".to_owned()));
}

#[test]
fn anything_less_than_a_complete_answer_is_a_failure_with_its_cause() {
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\norig", "body has 4 of 7 bytes"),
        ("HTTP/1.1 200 OK\r\nContent-", "answer cut short after 25 bytes"),
        ("HTTP/1.1 200 OK\r\n\r\norigin1", "answer without a length"),
        ("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status: HTTP/1.1 503 Busy"),
    ];
    for (answer, cause) in rows {
        assert_eq!(fetch(server(answer), &[]), Err(cause.to_owned()));
    }
}

#[test]
fn a_refused_connection_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let tally = requests(address, 2);
    assert_eq!((tally.answered(), tally.failed()), (0, 2));
    assert!(tally.to_string().contains("connect: "), "{tally}");
}

#[test]
fn tallies_subtract_merge_and_share() {
    let mut tally = Tally::default();
    tally.add(Ok("a".to_owned()));
    let earlier = tally.clone();
    for outcome in [Ok("a".to_owned()), Ok("b".to_owned()), Err("late".to_owned())] {
        tally.add(outcome);
    }
    let new = tally.since(&earlier);
    assert_eq!((new.of("a"), new.of("b"), new.of("c"), new.failed()), (1, 1, 0, 1));
    assert!((tally.share("a") - 2.0 / 3.0).abs() < 1e-9);
    let mut merged = earlier.clone();
    merged.merge(&new);
    assert_eq!(merged, tally);
    assert_eq!(tally.since(&tally), Tally::default());
}
