//! HTTP: which answers pass, and what is said of the others.

use lb_common::config::{HttpCheck, HttpMethod, StatusRange, Statuses};

use super::*;

pub(super) fn plain() -> HttpCheck {
    HttpCheck {
        path: "/healthz".into(),
        method: HttpMethod::Get,
        host: None,
        expect_status: Statuses(vec![StatusRange { first: 200, last: 299 }]),
        expect_body: None,
        tls: None,
    }
}

fn with_body(expected: &str) -> HttpCheck {
    HttpCheck { expect_body: Some(expected.into()), ..plain() }
}

/// What a server that answers with `text` is told.
async fn answered(text: String, check: HttpCheck) -> Outcome {
    let text: &'static str = Box::leak(text.into_boxed_str());
    let answer: &'static [&'static str] = Box::leak(Box::new([text]));
    asked(server(answer, Duration::ZERO).await, HealthKind::Http(check), LIMIT).await
}

/// A server that hands over the first request it gets, and answers it with 200 and nothing.
async fn listening() -> (SocketAddr, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, request) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        heard.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).unwrap();
    });
    (address, request)
}

#[tokio::test]
async fn any_status_2xx_passes_and_the_others_are_told() {
    for (answer, passed, detail) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true, "200 OK"),
        ("HTTP/1.1 204 No Content\r\n\r\n", true, "204 No Content"),
        ("HTTP/1.0 200 OK\r\n\r\n", true, "200 OK"),
        (
            "HTTP/1.1 301 Moved\r\nlocation: /\r\n\r\n",
            false,
            "the answer is 301 Moved Permanently, expected 200-299",
        ),
        (
            "HTTP/1.1 503 Busy\r\n\r\n",
            false,
            "the answer is 503 Service Unavailable, expected 200-299",
        ),
        ("SSH-2.0-OpenSSH_9.6\r\n", false, "no HTTP answer: invalid HTTP version parsed"),
        ("", false, "no HTTP answer: connection closed before message completed"),
    ] {
        let outcome = answered(answer.to_owned(), plain()).await;
        assert_eq!((outcome.passed, outcome.detail.as_str()), (passed, detail), "{answer:?}");
    }
}

#[tokio::test]
async fn only_the_statuses_that_are_expected_pass() {
    let ranges = [(204, 204), (301, 302)].map(|(first, last)| StatusRange { first, last });
    let check = HttpCheck { expect_status: Statuses(ranges.into()), ..plain() };
    for (status, passed) in [(200, false), (204, true), (300, false), (301, true), (303, false)] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        let outcome = answered(answer, check.clone()).await;
        assert_eq!(outcome.passed, passed, "{outcome:?}");
        assert!(passed || outcome.detail.ends_with("expected 204, 301-302"), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_body_must_have_what_is_expected_wherever_the_pieces_end() {
    const PIECES: &[&str] =
        &["HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n{\"st", "atus", "\":1}"];
    let pieces = server(PIECES, Duration::from_millis(5)).await;
    let passes = asked(pieces, HealthKind::Http(with_body("\"status\":1")), LIMIT).await;
    assert_eq!((passes.passed, passes.detail.as_str()), (true, "200 OK"));
    let fails = asked(pieces, HealthKind::Http(with_body("\"status\":2")), LIMIT).await;
    assert!(!fails.passed);
    assert_eq!(fails.detail, "the body, 12 bytes, does not have \"\\\"status\\\":2\"");
}

#[tokio::test]
async fn the_body_is_searched_as_far_as_64_kib_and_not_beyond() {
    let body = |before: usize| {
        let length = before + 2;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        head + &"x".repeat(before) + "ok"
    };
    assert!(answered(body(65_534), with_body("ok")).await.passed);
    let outcome = answered(body(65_535), with_body("ok")).await;
    assert_eq!(outcome.detail, "the first 65536 bytes of the body do not have \"ok\"");
    let outcome = answered(body(1_000_000), with_body("ok")).await;
    assert!(!outcome.passed, "{outcome:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_fails() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nno".to_owned();
    let outcome = answered(answer, with_body("ok")).await;
    assert!(outcome.detail.starts_with("the body broke off after 2 bytes: "), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_that_comes_drop_by_drop_holds_no_check() {
    const HEAD: &[&str] = &["H"; 10_000];
    let mut body = vec!["o"; 10_000];
    body[0] = "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n";
    for (pieces, check) in [(HEAD, plain()), (body.leak(), with_body("ok"))] {
        let slow = server(pieces, Duration::from_millis(20)).await;
        let outcome = asked(slow, HealthKind::Http(check), Duration::from_millis(200)).await;
        assert!(!outcome.passed);
        assert_eq!(outcome.detail, "no answer within 200ms");
    }
}

#[tokio::test]
async fn the_server_is_asked_what_the_check_says() {
    let (address, request) = listening().await;
    let head = HttpCheck {
        method: HttpMethod::Head,
        host: Some("www.example".into()),
        path: "/ready?full=1".into(),
        ..plain()
    };
    assert!(asked(address, HealthKind::Http(head), LIMIT).await.passed);
    let request = request.await.unwrap();
    assert!(request.starts_with("HEAD /ready?full=1 HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nhost: www.example\r\n"), "{request}");

    let (address, request) = listening().await;
    assert!(asked(address, HealthKind::Http(plain()), LIMIT).await.passed);
    let request = request.await.unwrap();
    assert!(request.starts_with("GET /healthz HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {address}\r\n")), "{request}");
}

#[tokio::test]
async fn each_step_is_told_to_whoever_wants_to_know() {
    const ANSWER: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine"];
    let address = server(ANSWER, Duration::ZERO).await;
    let (outcome, steps) = Asker::default()
        .explain(&errand(question(address, HealthKind::Http(with_body("ok")), LIMIT)))
        .await;
    let outcome = outcome.unwrap();
    assert!(!outcome.passed);
    let names: Vec<_> = steps.iter().map(|step| step.name).collect();
    assert_eq!(names, ["connect", "request", "answer", "body"]);
    assert_eq!(steps[1].detail, format!("GET /healthz, Host: {address}"));
    assert_eq!(steps[2].detail, "200 OK");
    assert_eq!(steps[3].detail, outcome.detail, "the last step says what was wrong");
}
