//! Clients that hang, that are too many, or that send too much.

use std::io::{ErrorKind, Read};

use lb_common::api::REQUEST_MAX_BYTES;

use super::super::connections::{self, CONNECTIONS_MAX, Limits};
use super::*;

/// Far less than [`connections::LIMITS`] give: who is answered within it did not wait for them.
pub(super) const SOON: Duration = Duration::from_secs(2);
const HALF_A_BODY: &str =
    "POST /v1/trace HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
const STATUS: &str = "GET /v1/status HTTP/1.1\r\nHost: agent\r\n\r\n";

/// A server without a loop whose limits are over at once.
pub(super) async fn impatient() -> (Server, mpsc::Receiver<Call>) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let listener = listen(&socket).await.unwrap();
    let limits = Limits { head: Duration::from_millis(50), connection: Duration::from_millis(100) };
    let (sources, journal, scrapes, called) = sources();
    tokio::spawn(connections::serve(listener, sources, limits));
    (Server { socket, journal, scrapes, _dir: dir }, called)
}

/// Connects and sends `text`.
pub(super) async fn client(server: &Server, text: &str) -> UnixStream {
    let mut stream = UnixStream::connect(&server.socket).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What the server still sends before it closes the connection.
pub(super) async fn rest(mut stream: UnixStream) -> String {
    let mut text = String::new();
    match timeout(SOON, stream.read_to_string(&mut text)).await.unwrap() {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => text,
    }
}

/// Whether the server has closed the connection. Asks the kernel: tokio may not have heard yet.
fn is_closed(stream: UnixStream) -> bool {
    match stream.into_std().unwrap().read(&mut [0; 1]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[tokio::test]
async fn idle_connections_keep_nobody_out_and_only_so_many_stay() {
    let server = Server::start().await;
    let mut idle = Vec::new();
    for number in 0..4 * CONNECTIONS_MAX {
        // Some say nothing at all, some stop in the head, some in the body.
        let text = ["", "GET /v1/sta", HALF_A_BODY];
        idle.push(client(&server, text[number % text.len()]).await);
    }

    let reply = timeout(SOON, server.ask("GET", "/v1/status", "")).await.unwrap();

    assert_eq!(reply.status, 200);
    let closed: Vec<_> = idle.into_iter().map(is_closed).collect();
    let open = closed.iter().filter(|closed| !**closed).count();
    assert!((1..CONNECTIONS_MAX).contains(&open), "{open} are open");
    assert!(closed.is_sorted_by_key(|closed| !closed), "not the oldest went: {closed:?}");
}

#[tokio::test]
async fn who_is_being_answered_keeps_its_connection() {
    let (server, mut called) = Server::without_loop().await;
    let mut asking = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        asking.push(client(&server, STATUS).await);
    }
    let mut pending = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        pending.push(timeout(SOON, called.recv()).await.unwrap().unwrap());
    }
    let newcomer = client(&server, STATUS).await;
    let early = timeout(Duration::from_millis(50), called.recv()).await;
    assert!(early.is_err(), "one more than {CONNECTIONS_MAX} was let in");

    for call in pending {
        call.answer.send(Ok(json!({}))).unwrap();
    }
    let call = timeout(SOON, called.recv()).await.unwrap().unwrap();
    call.answer.send(Ok(json!({}))).unwrap();

    for stream in asking.into_iter().chain([newcomer]) {
        let text = rest(stream).await;
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    }
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_cut_off_in_time() {
    let (server, _called) = impatient().await;
    for text in ["", "GET /v1/sta", HALF_A_BODY, STATUS] {
        let stream = client(&server, text).await;
        let answer = rest(stream).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn one_connection_carries_one_request() {
    let server = Server::start().await;

    let text = rest(client(&server, &STATUS.repeat(2)).await).await;

    assert_eq!(text.matches("HTTP/1.1").count(), 1, "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
}

#[tokio::test]
async fn the_largest_configuration_gets_through_and_more_is_a_problem() {
    let server = Server::start().await;
    let body = |bytes: usize| {
        let request = |text: String| ConfigRequest {
            text,
            origin: "edge.yaml".to_owned(),
            expect_generation: None,
            max_moved_percent: 50,
        };
        let empty = serde_json::to_string(&request(String::new())).unwrap().len();
        serde_json::to_string(&request("#".repeat(bytes - empty))).unwrap()
    };

    let largest = server.ask("POST", "/v1/config/diff", &body(REQUEST_MAX_BYTES)).await;
    assert_eq!(largest.status, 200);

    // The server stops reading in front of the last byte, so the whole request has been sent.
    let larger = server.ask("POST", "/v1/config/diff", &body(REQUEST_MAX_BYTES + 1)).await;
    let (kind, title) = problem(&larger, 413);
    assert_eq!(kind, "invalid_request");
    assert_eq!(title, "the request is larger than 16777216 bytes");
}

#[tokio::test]
async fn a_weight_is_reset_by_null_and_not_by_an_empty_document() {
    let server = Server::start().await;
    let path = "/v1/backends/web/web-1/weight";
    let (_, title) = problem(&server.ask("PUT", path, "{}").await, 400);
    assert!(title.contains("missing field `weight`"), "{title}");
    assert_eq!(server.ask("PUT", path, r#"{"weight":null}"#).await.status, 200);

    let document = serde_json::to_value(openapi()).unwrap();
    let schema = &document["components"]["schemas"]["WeightRequest"];
    assert_eq!(schema["required"], json!(["weight"]), "{schema}");
}
