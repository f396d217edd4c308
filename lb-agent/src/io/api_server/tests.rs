//! The API over a real Unix socket, with a loop behind it that says what it was asked.

mod events;
mod limits;
mod metrics;

use std::collections::BTreeSet;
use std::time::Duration;

use lb_common::api::{ConfigRequest, DrainRequest, PROBLEM_MEDIA_TYPE, TraceRequest};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::io::metrics::Scrape;
use crate::io::pulse::Moment;

const PATIENCE: Duration = Duration::from_secs(10);
const JSON: &str = "application/json";

/// A served socket in a directory that goes with it.
struct Server {
    socket: PathBuf,
    journal: Arc<Journal>,
    scrapes: mpsc::Receiver<Scrape>,
    _dir: TempDir,
}

#[derive(Debug)]
struct Reply {
    status: u16,
    media_type: String,
    body: Value,
}

impl Server {
    /// A server whose loop answers every request with the request itself, and knows no "nobody".
    async fn start() -> Self {
        let (server, mut called) = Self::without_loop().await;
        tokio::spawn(async move {
            while let Some(Call { wanted, answer }) = called.recv().await {
                let unknown = Problem {
                    kind: "not_found".to_owned(),
                    title: "no service nobody".to_owned(),
                    status: 404,
                    detail: None,
                    did_you_mean: vec!["somebody".to_owned()],
                    errors: Vec::new(),
                };
                let nobody = Request::Service { name: "nobody".to_owned() };
                let is_known = wanted != Wanted::Request(nobody);
                let said = json!({ "asked": match wanted {
                    Wanted::Request(request) => format!("{request:?}"),
                    Wanted::Trial { .. } => format!("{wanted:?}"),
                } });
                answer.send(if is_known { Ok(said) } else { Err(unknown) }).unwrap();
            }
        });
        server
    }

    async fn without_loop() -> (Self, mpsc::Receiver<Call>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("agent.sock");
        let listener = listen(&socket).await.unwrap();
        let (sources, journal, scrapes, called) = sources();
        tokio::spawn(serve(listener, sources));
        (Self { socket, journal, scrapes, _dir: dir }, called)
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.ask_as(method, path, JSON, body).await
    }

    async fn ask_as(&self, method: &str, path: &str, media_type: &str, body: &str) -> Reply {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\
             Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
        reply(&text)
    }
}

/// Sources of answers, with the ends that the loop holds.
fn sources() -> (Sources, Arc<Journal>, mpsc::Receiver<Scrape>, mpsc::Receiver<Call>) {
    let (calls, called) = mpsc::channel(4);
    let (wanted, scrapes) = mpsc::channel(4);
    let journal = Arc::new(Journal::new());
    let pulse = Arc::new(Pulse::new(Moment::now()));
    let shared = Arc::clone(&journal);
    let sources = Sources { calls, scraper: Scraper::new(wanted), journal: shared, pulse };
    (sources, journal, scrapes, called)
}

fn reply(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let media_type = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "))
        .unwrap_or_default()
        .to_owned();
    Reply {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        media_type,
        body: serde_json::from_str(body).unwrap_or_else(|_| json!({ "no JSON": body })),
    }
}

/// Checks that a reply is a problem document of this status, and returns its type and title.
fn problem(reply: &Reply, status: u16) -> (String, String) {
    assert_eq!(
        (reply.status, reply.media_type.as_str()),
        (status, PROBLEM_MEDIA_TYPE),
        "{reply:?}"
    );
    let problem: Problem = serde_json::from_value(reply.body.clone()).unwrap();
    assert_eq!(problem.status, status);
    (problem.kind, problem.title)
}

#[tokio::test]
async fn each_path_asks_the_loop_for_its_own_thing() {
    let server = Server::start().await;
    let (pool, name) = ("web".to_owned(), "web-1".to_owned());
    let config = ConfigRequest {
        text: "node: {}".to_owned(),
        origin: "edge.yaml".to_owned(),
        expect_generation: Some(7),
        max_moved_percent: 50,
    };
    let trace = TraceRequest {
        source: "198.51.100.7:40000".parse().unwrap(),
        destination: "[2001:db8::10]:443".parse().unwrap(),
        protocol: "tcp".to_owned(),
    };
    let config_body = serde_json::to_string(&config).unwrap();
    let trace_body = serde_json::to_string(&trace).unwrap();
    let backend = "/v1/backends/web/web-1";
    let weight = |weight| Request::Weight { pool: pool.clone(), name: name.clone(), weight };
    let drain = |request| Request::Drain { pool: pool.clone(), name: name.clone(), request };
    let of_pool = Request::Backends { pool: Some(pool.clone()) };
    let one = Request::Backend { pool: pool.clone(), name: name.clone() };
    let asked = [
        ("GET", "/v1/status".to_owned(), "", Request::Status),
        ("GET", "/v1/services".to_owned(), "", Request::Services),
        ("GET", "/v1/services/web".to_owned(), "", Request::Service { name: "web".to_owned() }),
        ("GET", "/v1/backends".to_owned(), "", Request::Backends { pool: None }),
        ("GET", "/v1/health".to_owned(), "", Request::Health { pool: None }),
        (
            "GET",
            "/v1/health?pool=web".to_owned(),
            "",
            Request::Health { pool: Some("web".to_owned()) },
        ),
        ("GET", "/v1/backends?pool=web".to_owned(), "", of_pool),
        ("GET", backend.to_owned(), "", one),
        ("PUT", format!("{backend}/weight"), r#"{"weight":50}"#, weight(Some(50))),
        ("PUT", format!("{backend}/weight"), r#"{"weight":null}"#, weight(None)),
        ("POST", format!("{backend}/drain"), "", drain(DrainRequest::default())),
        (
            "POST",
            format!("{backend}/drain"),
            r#"{"deadline_s":60,"force_at_deadline":true}"#,
            drain(DrainRequest { deadline_s: Some(60), force_at_deadline: true }),
        ),
        ("POST", format!("{backend}/undrain"), "", Request::Undrain { pool, name }),
        ("GET", "/v1/config".to_owned(), "", Request::Config),
        ("GET", "/v1/config/history".to_owned(), "", Request::History),
        ("GET", "/v1/config/history/7".to_owned(), "", Request::Version { generation: 7 }),
        ("POST", "/v1/config/diff".to_owned(), &config_body, Request::Diff(config.clone())),
        ("POST", "/v1/config/apply".to_owned(), &config_body, Request::Apply(config)),
        ("POST", "/v1/trace".to_owned(), &trace_body, Request::Trace(trace)),
        ("GET", "/v1/state".to_owned(), "", Request::Export),
        ("GET", "/v1/doctor".to_owned(), "", Request::Doctor),
    ];
    for (method, path, body, request) in asked {
        let reply = server.ask(method, &path, body).await;
        assert_eq!((reply.status, reply.media_type.as_str()), (200, JSON), "{path}: {reply:?}");
        assert_eq!(reply.body, json!({ "asked": format!("{request:?}") }), "{path}");
    }
}

#[test]
fn the_openapi_document_lists_every_route_and_no_other() {
    let source = include_str!("routes.rs");
    let routed: BTreeSet<(String, String)> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split_once("\", "))
        .map(|(path, rest)| (path.to_owned(), rest.split('(').next().unwrap().to_owned()))
        .filter(|(path, _)| path != "/openapi.json")
        .collect();
    let document = serde_json::to_value(openapi()).unwrap();
    let operations = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys().cloned();
        methods.map(|method| (path.clone(), method)).collect::<Vec<_>>()
    };
    let documented: BTreeSet<_> =
        document["paths"].as_object().unwrap().iter().flat_map(operations).collect();

    assert_eq!(documented, routed);
    assert_eq!(routed.len(), 23);
}

#[tokio::test]
async fn a_loop_that_hangs_is_told_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let (sources, journal, scrapes, _called) = sources();
    let pulse = Arc::clone(&sources.pulse);
    spawn(listen(&socket).await.unwrap(), sources).unwrap();
    let server = Server { socket, journal, scrapes, _dir: dir };
    let live = server.ask("GET", "/v1/live", "").await;
    assert_eq!((live.status, &live.body["kind"]), (200, &json!("Live")), "{live:?}");

    let now = Moment::now();
    let early = now.monotonic_ns.saturating_sub(60_000_000_000);
    pulse.beat(Moment { monotonic_ns: early, ..now }, Duration::ZERO);
    let (kind, title) = problem(&server.ask("GET", "/v1/live", "").await, 503);
    assert_eq!(kind, "internal");
    assert!(title.starts_with("the agent's loop has not come round for 6"), "{title}");
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let reply = Server::start().await.ask("GET", "/openapi.json", "").await;

    assert_eq!((reply.status, reply.media_type.as_str()), (200, JSON));
    assert_eq!(reply.body, serde_json::to_value(openapi()).unwrap());
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let server = Server::start().await;
    for path in ["/", "/v1", "/v1/service", "/v1/status/", "/v1/backends/web", "/v2/status"] {
        let (kind, _) = problem(&server.ask("GET", path, "").await, 404);
        assert_eq!(kind, "not_found", "{path}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_problem() {
    let server = Server::start().await;
    for (method, path) in
        [("DELETE", "/v1/status"), ("GET", "/v1/trace"), ("POST", "/v1/backends/web/b/weight")]
    {
        let (kind, _) = problem(&server.ask(method, path, "").await, 405);
        assert_eq!(kind, "invalid_request", "{method} {path}");
    }
}

#[tokio::test]
async fn a_body_that_makes_no_sense_is_a_problem_that_says_why() {
    let server = Server::start().await;
    let weight = "/v1/backends/web/web-1/weight";
    let refused = [
        ("PUT", weight, "", "EOF"),
        ("PUT", weight, "{\"weight\": 5", "EOF"),
        ("PUT", weight, r#"{"weight": -1}"#, "invalid value: integer `-1`"),
        ("PUT", weight, r#"{"weight": "50"}"#, "invalid type: string"),
        ("PUT", weight, r#"{"wieght": 50}"#, "unknown field `wieght`"),
        ("POST", "/v1/config/diff", r#"{"text": ""}"#, "missing field `origin`"),
        ("POST", "/v1/config/apply", "[]", "invalid"),
        ("POST", "/v1/trace", r#"{"source": "here"}"#, "invalid socket address"),
    ];
    for (method, path, body, reason) in refused {
        let (kind, title) = problem(&server.ask(method, path, body).await, 400);
        assert_eq!(kind, "invalid_request", "{body}");
        assert!(title.contains(reason), "{body}: {title}");
    }
}

#[tokio::test]
async fn a_body_of_another_media_type_is_a_problem() {
    let server = Server::start().await;
    let path = "/v1/backends/web/web-1/weight";
    let (kind, title) =
        problem(&server.ask_as("PUT", path, "text/plain", r#"{"weight":5}"#).await, 400);
    assert_eq!(kind, "invalid_request");
    assert!(title.contains("application/json"), "{title}");
}

#[tokio::test]
async fn an_unknown_query_parameter_is_a_problem_and_not_ignored() {
    let server = Server::start().await;
    let (kind, title) = problem(&server.ask("GET", "/v1/backends?pol=web", "").await, 400);
    assert_eq!(kind, "invalid_request");
    assert!(title.contains("unknown field `pol`"), "{title}");
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_a_problem() {
    let server = Server::start().await;
    for (method, path) in [
        ("GET", "/v1/services/%ff"),
        ("GET", "/v1/backends/web/%ff"),
        ("POST", "/v1/backends/%ff/web-1/drain"),
        ("POST", "/v1/backends/%ff/web-1/undrain"),
        ("GET", "/v1/health/%ff"),
        ("POST", "/v1/health/web/%ff/check"),
    ] {
        let (kind, _) = problem(&server.ask(method, path, "").await, 400);
        assert_eq!(kind, "invalid_request", "{path}");
    }
    let weight = server.ask("PUT", "/v1/backends/%ff/b/weight", r#"{"weight":5}"#).await;
    problem(&weight, 400);
}

#[tokio::test]
async fn a_problem_of_the_loop_reaches_the_client_as_it_is() {
    let reply = Server::start().await.ask("GET", "/v1/services/nobody", "").await;

    let (kind, title) = problem(&reply, 404);
    assert_eq!((kind.as_str(), title.as_str()), ("not_found", "no service nobody"));
    assert_eq!(reply.body["did_you_mean"], json!(["somebody"]));
}

#[tokio::test]
async fn a_loop_that_has_ended_is_a_problem() {
    let (server, called) = Server::without_loop().await;
    drop(called);
    let (kind, title) = problem(&server.ask("GET", "/v1/status", "").await, 503);
    assert_eq!((kind.as_str(), title.as_str()), ("internal", "the agent is shutting down"));
}

#[tokio::test]
async fn a_loop_that_ends_without_an_answer_is_a_problem() {
    let (server, mut called) = Server::without_loop().await;
    tokio::spawn(async move { drop(called.recv().await) });
    problem(&server.ask("GET", "/v1/status", "").await, 503);
}

#[tokio::test]
async fn the_socket_is_made_with_its_directory_for_owner_and_group_only() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("made/on/demand/agent.sock");

    let _listener = listen(&socket).await.unwrap();

    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
}

#[tokio::test]
async fn a_socket_that_a_killed_agent_left_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    drop(listen(&socket).await.unwrap());
    assert!(socket.exists());

    let _listener = listen(&socket).await.unwrap();

    UnixStream::connect(&socket).await.unwrap();
}

#[tokio::test]
async fn a_socket_that_an_agent_answers_on_is_refused_and_stays() {
    let server = Server::start().await;

    let error = listen(&server.socket).await.unwrap_err();

    assert!(matches!(&error, ApiError::InUse { path } if *path == server.socket), "{error}");
    assert_eq!(server.ask("GET", "/v1/status", "").await.status, 200);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    fs::write(&path, "precious").unwrap();

    let error = listen(&path).await.unwrap_err();

    assert!(matches!(error, ApiError::Listen { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_pools_history_and_a_probe_by_hand_are_asked_for_by_the_names_in_the_path() {
    let server = Server::start().await;
    let reply = server.ask("GET", "/v1/health/web", "").await;
    let wanted = Request::HealthHistory { pool: "web".to_owned() };
    assert_eq!(reply.body["asked"], format!("{wanted:?}"));
    let reply = server.ask("POST", "/v1/health/web/web-1/check", "").await;
    assert_eq!(reply.status, 200);
    let wanted = Wanted::Trial { pool: "web".to_owned(), name: "web-1".to_owned() };
    assert_eq!(reply.body["asked"], format!("{wanted:?}"));
}
